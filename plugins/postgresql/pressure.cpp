#include "pressure.hpp"

#include <algorithm>

#include "purgekit/sdk/error.hpp"

namespace purgekit::postgresql {
namespace {

using sdk::Error;
using sdk::Rows;

// The limits' reasons:
// lock_waits: row locks last for one chunk, so a single waiter is nothing; more than eight at a time are a queue.
// active_sessions: the server does not tell how many CPUs it has; 25 is what online schema changes have waited at for years.
// wal_since_checkpoint_pct: a checkpoint that keeps up ends when max_wal_size is reached. Well past it, one begins before the other
//   has ended, and every page that is written goes whole into the log again.
// slot_retained_bytes: half of what the server keeps before it gives a replica up; without that limit, four rounds of the log.
//   Of slots in use only: nothing that we wait for makes another come back.
// others_at_work: sessions that have begun or ended a statement within the last second, however short. Shown only, but see shared_chunk_ms.
// The horizon and the vacuum are shown only: pausing does not end another's transaction, and a vacuum takes hours.
constexpr const char* lock_waits_limit = "8";
constexpr const char* active_limit = "25";
constexpr const char* wal_limit_pct = "120";
// Measured beside 300 logins a second, a purge of 300,000 rows a second: with chunks of 10, 40 and 100 ms the 99th percentile of a login was
// 8, 16 and 17 ms, without a purge 3. One chunk after the other it was twice as long: others who write wait for the log of the last chunk
// to reach the disk.
constexpr double shared_chunk_ms = 10;
constexpr double shared_time = 0.7;
constexpr const char* others_name = "others_at_work";

std::string from_catalog(const std::string& function) { return "pg_catalog." + function; }

}  // namespace

std::vector<PressureGauge::Part> PressureGauge::parts() const {
  const bool renamed = server_version_ >= 100000;
  const std::string now = from_catalog(renamed ? "pg_current_wal_lsn()" : "pg_current_xlog_location()");
  const auto between = [&](const std::string& from) {
    return from_catalog(renamed ? "pg_wal_lsn_diff(" : "pg_xlog_location_diff(") + now + ", " + from + ")";
  };
  const std::string max_wal = "pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size'))";
  // Our own sessions, other workers too, are no pressure from others.
  const std::string others = "a.pid <> pg_catalog.pg_backend_pid() AND NOT (a.usename = current_user AND a.application_name = pg_catalog.current_setting('application_name'))";
  const std::string clients = server_version_ >= 100000 ? " AND a.backend_type = 'client backend'" : "";
  std::vector<Part> out{
      {"lock_waits",
       "(SELECT COUNT(*) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND a.datname = pg_catalog.current_database() AND " + others + ")",
       lock_waits_limit},
      // Others' sessions are open to pg_read_all_stats only; of one's own user, which the application's often is, all are.
      {"active_sessions", "(SELECT COUNT(*) FROM pg_catalog.pg_stat_activity a WHERE a.state = 'active' AND " + others + clients + ")", active_limit},
      {others_name, "(SELECT COUNT(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() AND (a.state = 'active' OR a.state_change >"
       " pg_catalog.clock_timestamp() - interval '1 second') AND " + others + clients + ")", "0"},
      {"oldest_xmin_age_xids", "(SELECT MAX(pg_catalog.age(x.xmin)) FROM (SELECT a.backend_xmin FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_catalog.pg_backend_pid()"
       " UNION ALL SELECT s.xmin FROM pg_catalog.pg_replication_slots s UNION ALL SELECT t.transaction FROM pg_catalog.pg_prepared_xacts t) AS x(xmin))", "0"},
      {"wal_since_checkpoint_pct", "100 * " + between("(SELECT c.redo_" + std::string(renamed ? "lsn" : "location") + " FROM pg_catalog.pg_control_checkpoint() c)") + " / " + max_wal, wal_limit_pct},
      {"wal_bytes", between("'0/0'"), "0"},
  };
  const std::string kept = server_version_ >= 130000 ? "CASE WHEN pg_catalog.current_setting('max_slot_wal_keep_size') <> '-1'"
                                                       " THEN pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size')) / 2 ELSE 4 * " + max_wal + " END"
                                                     : "4 * " + max_wal;
  out.push_back({"slot_retained_bytes", "(SELECT MAX(" + between("s.restart_lsn") + ") FROM pg_catalog.pg_replication_slots s WHERE s.active)", kept});
  if (table_oid_ != 0) {
    out.push_back({"autovacuum_on_table", "(SELECT COUNT(*) FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.datname = pg_catalog.current_database() AND v.relid IN"
                   " (WITH RECURSIVE tree(oid) AS (SELECT " + std::to_string(table_oid_) + "::oid UNION ALL SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)"
                   " SELECT oid FROM tree))", "0"});
  }
  return out;
}

// Each by itself once: what this user or this server does not give is left out for good.
void PressureGauge::learn() {
  std::string columns;
  for (const Part& part : parts()) {
    const std::string pair = "(" + part.value + ")::float8, (" + part.limit + ")::float8";
    try {
      session_.query("SELECT " + pair, {});
    } catch (const Error& e) {
      if (e.connection_lost() || e.retryable() || e.code() == PK_CANCELLED) throw;
      continue;
    }
    names_.push_back(part.name);
    columns += (columns.empty() ? "" : ", ") + pair;
  }
  if (names_.empty()) throw Error(PK_PRIVILEGE, "this user may read nothing about the server's load");
  text_ = "SELECT " + columns;
}

std::vector<sdk::Signal> PressureGauge::read() {
  if (text_.empty()) learn();
  const Rows rows = session_.query(text_, {});
  const auto at = std::chrono::steady_clock::now();
  std::vector<sdk::Signal> out;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const sdk::Value& value = rows.at(0).at(2 * i);
    if (value.kind == PK_VALUE_NULL) continue;
    if (names_[i] == others_name) others_at_work_ = value.f64 > 0;
    if (names_[i] != "wal_bytes") {
      out.push_back({names_[i], value.f64, rows[0].at(2 * i + 1).f64, names_[i] == others_name ? shared_chunk_ms : 0, shared_time});
      continue;
    }
    const double elapsed_s = std::chrono::duration<double>(at - last_at_).count();
    if (last_wal_bytes_ && elapsed_s > 0) out.push_back({"wal_bytes_per_s", std::max(0.0, (value.f64 - *last_wal_bytes_) / elapsed_s), 0});
    last_wal_bytes_ = value.f64;
    last_at_ = at;
  }
  return out;
}

}  // namespace purgekit::postgresql
