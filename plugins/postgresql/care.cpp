// After a purge: VACUUM, which makes the space of dead rows free for new ones, and ANALYZE. Never VACUUM FULL: it locks everybody out.
#include <algorithm>
#include <cmath>
#include <string>

#include "connection.hpp"
#include "leaf.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Row;
using sdk::Value;

namespace {

constexpr double row_header_bytes = 24;
constexpr double line_pointer_bytes = 4;
constexpr double toast_row_bytes = 2'036;  // as long values are cut up, header included
constexpr double page_filled = 0.97;       // of a page that is full
constexpr double noise = 0.05;             // of a table's size: what an estimate from widths can't tell from nothing
constexpr std::int64_t worth_advice_bytes = 8LL * 1024 * 1024;

/// A row of average width, as it lies in its page; 0 when the statistics are not there.
double row_bytes(const Value& width) {
  if (width.kind == PK_VALUE_NULL) return 0;
  const double value = width.kind == PK_VALUE_REAL ? width.f64 : static_cast<double>(width.i64);
  return std::ceil((row_header_bytes + value) / 8) * 8 + line_pointer_bytes;
}

/// Behind "what was asked for", so that people read what it means for them and not for a chunk.
Error told(const Error& e, const std::string& doing) {
  std::string why = e.message();
  if (e.code() == PK_LOCK_TIMEOUT) why = "another session (VACUUM, autovacuum, CREATE INDEX, ALTER TABLE) holds a lock that this needs; autovacuum comes to it later";
  if (e.code() == PK_STATEMENT_TIMEOUT) why = "it took longer than a statement may take here; autovacuum comes to it later";
  if (e.code() == PK_CANCELLED) why = "it was cancelled; autovacuum comes to it later";
  return Error(e.code(), doing + ": " + why).sqlstate(e.sqlstate());
}

}  // namespace

// What this session deleted is counted at once, not within a second: behind a VACUUM it would count as dead rows that are gone.
void PgConnection::flush_counts() {
  if (line_.server_version() >= 150000) query("SELECT pg_catalog.pg_stat_force_next_flush()", {});
}

sdk::Space PgConnection::space(const sdk::Purge& purge) {
  const Line::Call call(line_);
  flush_counts();
  std::string oids;
  for (const Leaf& leaf : read_leaves(static_cast<SqlSession&>(*this), table_oid(purge), line_.server_version())) {
    if (leaf.relkind == 'r') oids += (oids.empty() ? "{" : ",") + std::to_string(leaf.oid);
  }
  sdk::Space out;
  if (oids.empty()) return out;
  const sdk::Rows leaves = query(
      "SELECT pg_catalog.pg_total_relation_size(c.oid), pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_stat_get_live_tuples(c.oid),"
      " pg_catalog.pg_stat_get_dead_tuples(c.oid), COALESCE(pg_catalog.pg_stat_get_dead_tuples(NULLIF(c.reltoastrelid, 0)), 0),"
      " (SELECT SUM(s.avg_width * (1 - s.null_frac))::float8 FROM pg_catalog.pg_stats s"
      "   WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited)"
      " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY($1::oid[])",
      {Value::string(oids + "}")});
  double dead_bytes = 0;
  double reusable_bytes = 0;
  out.bytes = 0;
  for (const Row& row : leaves) {
    const auto heap_bytes = static_cast<double>(row.at(1).i64);
    const auto live = static_cast<double>(row.at(2).i64);
    const auto dead = static_cast<double>(row.at(3).i64);
    const double estimated = row_bytes(row.at(5));
    const double width = estimated > 0 ? estimated : live + dead > 0 ? heap_bytes / (live + dead) : 0;
    out.bytes += row.at(0).i64;
    dead_bytes += std::min(dead * width, heap_bytes) + static_cast<double>(row.at(4).i64) * toast_row_bytes;
    const double left_over = heap_bytes - (live + dead) * width / page_filled;
    if (estimated > 0 && left_over > noise * heap_bytes) reusable_bytes += left_over;
  }
  out.dead_bytes = std::llround(std::min(dead_bytes, static_cast<double>(out.bytes)));
  out.reusable_bytes = std::llround(reusable_bytes);
  out.advice = space_advice(out);
  return out;
}

std::string PgConnection::space_advice(const sdk::Space& space) {
  std::string advice;
  if (space.dead_bytes > 0) {
    advice = "VACUUM makes the space of dead rows reusable (autovacuum in time, --reclaim space at once)";
    const Row oldest = query(
        "SELECT COALESCE(MAX(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - a.xact_start)), 0)::bigint FROM pg_catalog.pg_stat_activity a"
        " WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()",
        {}).at(0);
    if (oldest.at(0).i64 >= 60) advice += ", but not before a transaction has ended that is open for " + std::to_string(oldest.at(0).i64 / 60) + " min";
  }
  if (space.dead_bytes + space.reusable_bytes < worth_advice_bytes) return advice;
  if (!advice.empty()) advice += "; ";
  return advice + "only VACUUM FULL, which locks everybody out and takes room for a second copy, or pg_repack gives it back to the system";
}

// VACUUM warns and passes over what this user may not clean, and tells nobody that it did nothing.
void PgConnection::require_care_rights(const std::vector<Leaf>& leaves, std::int64_t oid) {
  std::string oids = "{" + std::to_string(oid);
  for (const Leaf& leaf : leaves) oids += "," + std::to_string(leaf.oid);
  const std::string maintain = line_.server_version() >= 170000 ? " OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')" : "";
  const sdk::Rows rows = query(
      "SELECT n.nspname::text, c.relname::text, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) FROM pg_catalog.pg_class c"
      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY($1::oid[]) AND NOT (pg_catalog.pg_has_role(c.relowner, 'USAGE')"
      " OR pg_catalog.pg_has_role((SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()), 'USAGE')" +
          maintain + ") ORDER BY c.oid LIMIT 1",
      {Value::string(oids + "}")});
  if (rows.empty()) return;
  const std::string name = sdk::qualified(dialect_, rows[0].at(0).text, rows[0].at(1).text);
  const std::string grant = line_.server_version() >= 170000 ? "GRANT MAINTAIN ON " + name + " TO " + user_ : "GRANT " + rows[0].at(2).text + " TO " + user_;
  throw Error(PK_PRIVILEGE, "VACUUM and ANALYZE of " + name + " are for its owner; " + grant + ", or leave it to autovacuum");
}

std::vector<std::string> PgConnection::care_statements(const sdk::Purge& purge, pk_care kind) {
  const std::vector<Leaf> leaves = read_leaves(static_cast<SqlSession&>(*this), table_oid(purge), line_.server_version());
  require_care_rights(leaves, table_oid(purge));
  // Of a partitioned table this takes the sample of all partitions, for them and for the whole.
  std::vector<std::string> statements = {"ANALYZE " + sdk::qualified(dialect_, purge.schema, purge.table)};
  if (kind != PK_CARE_SPACE) return statements;
  // Without INDEX_CLEANUP a VACUUM that finds few dead rows leaves them in the indexes.
  std::string vacuum = "VACUUM ";
  if (line_.server_version() >= 120000) vacuum += pooled_ ? "(INDEX_CLEANUP ON, SKIP_LOCKED) " : "(INDEX_CLEANUP ON) ";
  for (const Leaf& leaf : leaves) {
    if (leaf.relkind == 'r') statements.push_back(vacuum + sdk::qualified(dialect_, leaf.schema, leaf.name));
  }
  return statements;
}

bool PgConnection::reclaim(const sdk::Purge& purge, pk_care kind) {
  const Line::Call call(line_);
  if (pooled_ && kind == PK_CARE_SPACE && line_.server_version() < 120000) {
    throw Error(PK_NOT_SUPPORTED, "VACUUM through a connection pooler can't be given a bound before PostgreSQL 12; connect to the server itself");
  }
  if (care_.statements.empty() || care_.schema != purge.schema || care_.table != purge.table || care_.kind != kind) {
    flush_counts();
    care_ = {purge.schema, purge.table, kind, care_statements(purge, kind)};
  }
  const std::string& statement = care_.statements.back();
  try {
    if (statement.rfind("VACUUM", 0) == 0) {
      line_.run_alone(statement, pooled_ ? std::vector<std::string>() : line_.care_settings());
    } else {
      execute(statement, {});
    }
  } catch (const Error& e) {
    if (e.connection_lost()) throw;
    throw told(e, statement);
  }
  care_.statements.pop_back();
  return care_.statements.empty();
}

}  // namespace purgekit::postgresql
