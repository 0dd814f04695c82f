#include "connection.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "catalogue.hpp"
#include "conninfo.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Rows;
using sdk::Sql;
using sdk::Value;

void PgConnection::connect(const sdk::ConnectParams& params) {
  const Line::Call call(line_);
  forget_tables();
  walk_.reset();
  gauge_.reset();
  if (session_.pid != 0) former_session_ = session_;
  line_.open(params);
  sslmode_ = effective_sslmode(params);
  dialect_.learn(line_.server_version(), "");
  // reset_val is what the server, the role and the database agree on; only PGTZ in our own environment can hide it.
  const Rows rows = query(
      "SELECT pg_catalog.version(), pg_catalog.pg_backend_pid(), (SELECT a.backend_start::text FROM pg_catalog.pg_stat_activity a"
      " WHERE a.pid = pg_catalog.pg_backend_pid()), (SELECT s.reset_val FROM pg_catalog.pg_settings s WHERE s.name = 'TimeZone'),"
      " pg_catalog.quote_ident(current_user)",
      {});
  const sdk::Row& row = rows.at(0);
  if (row.at(0).text.rfind("PostgreSQL ", 0) != 0) {
    throw Error(PK_NOT_SUPPORTED, "the server speaks PostgreSQL's protocol but is another database; this backend relies on PostgreSQL's own storage");
  }
  session_ = {row.at(1).i64, row.at(2).text};
  pooled_ = session_.pid != line_.announced_pid();
  dialect_.learn(line_.server_version(), std::getenv("PGTZ") == nullptr ? row.at(3).text : "");
  user_ = row.at(4).text;
}

std::int64_t PgConnection::execute(const std::string& text, const std::vector<Value>& params) {
  return static_cast<std::int64_t>(line_.run(text, params).affected_rows());
}

Rows PgConnection::query(const std::string& text, const std::vector<Value>& params) { return to_rows(line_.run(text, params)); }

sdk::Table PgConnection::read_table(const sdk::TableName& name) {
  return Catalogue(static_cast<SqlSession&>(*this), line_.server_version()).describe(name);
}

std::vector<std::string> PgConnection::tables(const sdk::TableName& name) {
  return Catalogue(static_cast<SqlSession&>(*this), line_.server_version()).tables(name);
}

std::int64_t PgConnection::table_oid(const sdk::Purge& purge) { return std::stoll(known(purge).identity); }

std::int64_t PgConnection::planned_rows(const Sql& select) {
  return Catalogue(static_cast<SqlSession&>(*this), line_.server_version()).planned_rows(select.text(), select.params());
}

// Whoever comes to a page with dead rows clears them away and writes the page once more. Done right after the chunk, that costs no page: it is
// still to be written. Left to the count at the end, every page of the table is written within seconds, and others wait for the disk.
void PgConnection::commit() {
  SqlConnection::commit();
  if (!walk_ || !spares_others()) return;
  try {
    walk_->clear_up();
  } catch (const Error&) {
    // The chunk is committed. A connection that is lost is found out by the next call.
  }
}

std::int64_t PgConnection::estimate(const sdk::Purge& purge) {
  Sql sql(dialect_);
  sql << "SELECT 1 FROM " << sdk::qualified(dialect_, purge.schema, purge.table) << " WHERE ";
  sdk::render_predicate(sql, *purge.predicate, purge.table);
  return planned_rows(sql);
}

// The newest value by an index, then rows of pages from all over the table.
std::vector<Value> PgConnection::sample_column(const sdk::Purge& purge, const std::string& column) {
  constexpr double wanted_rows = 500;
  const sdk::Table& table = known(purge);
  const sdk::Column* described = table.find(column);
  if (described == nullptr) throw Error(PK_NOT_FOUND, "there is no column " + column + " in table " + table.name);
  std::vector<Value> out;
  const std::string name = dialect_.quote(column);
  const std::string from = "SELECT " + name + " FROM " + sdk::qualified(dialect_, table.schema, table.name);
  const auto add = [&](const std::string& tail) {
    for (sdk::Row& row : query(from + tail, {})) {
      if (auto value = as_sample(std::move(row.at(0)), *described)) out.push_back(std::move(*value));
    }
  };
  for (const sdk::Index& index : table.indexes) {
    if (!index.partial && !index.columns.empty() && index.columns[0] < table.columns.size() && table.columns[index.columns[0]].name == column) {
      add(" WHERE " + name + " IS NOT NULL ORDER BY " + name + " DESC" + dialect_.limit(1));
      break;
    }
  }
  const auto rows = static_cast<double>(table.rows_estimate);
  const double percent = rows <= 4 * wanted_rows ? 100 : 400 * wanted_rows / rows;
  const bool sampled = percent < 100 && table.kind == PK_TABLE_BASE;
  add((sampled ? " TABLESAMPLE SYSTEM (" + std::to_string(percent) + ")" : "") + " WHERE " + name + " IS NOT NULL" +
      dialect_.limit(static_cast<std::int64_t>(wanted_rows)));
  return out;
}

double PgConnection::replica_lag() {
  if (line_.server_version() < 100000) throw Error(PK_NOT_SUPPORTED, "PostgreSQL tells the lag of its replicas in seconds from version 10 on");
  const Rows rows = query(
      "SELECT COUNT(*), COUNT(state), COALESCE(MAX(EXTRACT(EPOCH FROM replay_lag)), 0)::float8 FROM pg_catalog.pg_stat_replication"
      " WHERE state IS DISTINCT FROM 'backup'",
      {});
  const std::int64_t replicas = rows.at(0).at(0).i64;
  if (replicas == 0) return -1;
  if (rows[0].at(1).i64 < replicas) {
    throw Error(PK_PRIVILEGE, "the lag of the replicas is hidden from " + user_ + "; GRANT pg_monitor TO " + user_ + ", or leave out the limit on it");
  }
  return rows[0].at(2).f64;
}

// While nothing comes in, the last transaction replayed gets older and older, though nothing is missing: all that came in being replayed, the
// line to the primary decides. Where there is none (the log comes from files), the age is all there is.
double PgConnection::own_lag() {
  const bool renamed = line_.server_version() >= 100000;
  const std::string received = renamed ? "pg_catalog.pg_last_wal_receive_lsn()" : "pg_catalog.pg_last_xlog_receive_location()";
  const std::string replayed = renamed ? "pg_catalog.pg_last_wal_replay_lsn()" : "pg_catalog.pg_last_xlog_replay_location()";
  const sdk::Row row = query("SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN " + received + " = " + replayed +
                                 " AND EXISTS (SELECT 1 FROM pg_catalog.pg_stat_wal_receiver w WHERE w.pid IS NOT NULL) THEN 0"
                                 " ELSE EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) END::float8",
                             {}).at(0);
  if (row.at(0).i64 == 0) throw Error(PK_NOT_SUPPORTED, "it is not a replica");
  if (row.at(1).kind == PK_VALUE_NULL) throw Error(PK_NOT_SUPPORTED, "it has replayed no transaction since it was started, so how far it is behind can't be told");
  return std::max(row[1].f64, 0.0);
}

void PgConnection::begin_looking(std::uint32_t timeout_ms) {
  line_.begin();
  line_.run("SET TRANSACTION READ ONLY", {});
  line_.set_lock_wait(timeout_ms);
  line_.bound_statements(timeout_ms);
}

// Of the table that is being purged, or of none yet.
std::int64_t PgConnection::log_bytes() {
  const bool renamed = line_.server_version() >= 100000;
  return query(renamed ? "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint"
                       : "SELECT pg_catalog.pg_xlog_location_diff(pg_catalog.pg_current_xlog_insert_location(), '0/0')::bigint",
               {})
      .at(0).at(0).i64;
}

std::vector<sdk::Signal> PgConnection::pressure() {
  const std::int64_t oid = purge_.table.empty() ? 0 : table_oid(purge_);
  if (!gauge_ || gauge_->table_oid() != oid) gauge_.emplace(static_cast<SqlSession&>(*this), line_.server_version(), oid);
  return gauge_->read();
}

}  // namespace purgekit::postgresql
