// The run lock, and what this user may do with the ledger.
#include <chrono>
#include <thread>

#include "catalogue.hpp"
#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Rows;
using sdk::TableName;
using sdk::Value;

namespace {

// FNV-1a. Advisory locks share one number space of a database; the prefix keeps ours apart from other people's hashes.
std::int64_t lock_number(const std::string& key) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const char c : "purgekit:" + key) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return static_cast<std::int64_t>(hash);
}

}  // namespace

// While the run lock is held, the server ends this session when it falls silent: a frozen client, or a host that lost its power, must
// not keep others out. Only where the session is ours alone, so behind no pooler.
void PgConnection::limit_silence(bool purging) {
  query("SELECT pg_catalog.set_config(s.name, CASE WHEN $1::boolean THEN v.value ELSE s.reset_val END, false)"
        " FROM (VALUES ('idle_session_timeout', '60000'), ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),"
        " ('tcp_keepalives_count', '3')) AS v(name, value) JOIN pg_catalog.pg_settings s USING (name)",
        {Value::boolean(purging)});
}

void PgConnection::lock_run(const std::string& key) {
  // Behind a pooler the lock would stay with a server session that is no longer ours; the ledger's fence does without it.
  if (pooled_) return;
  const auto taken = [&] {
    return query("SELECT pg_catalog.pg_try_advisory_lock($1::bigint)", {Value::integer(lock_number(key))}).at(0).at(0).i64 != 0;
  };
  if (taken()) return limit_silence(true);
  if (former_session_) {
    end_own_former_session();
    for (int attempt = 0; attempt < 30; ++attempt) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (taken()) return limit_silence(true);
    }
  }
  throw Error(PK_LOCK_TIMEOUT, "another purge of this table is running (it holds the advisory lock); nothing was changed, run again when it is through");
}

// After a lost connection the server may not have noticed yet: its old session still holds our lock and our rows.
void PgConnection::end_own_former_session() {
  query(
      "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a"
      " WHERE a.pid = $1::bigint AND a.backend_start = $2::timestamptz AND a.usename = current_user",
      {Value::integer(former_session_->pid), Value::string(former_session_->started)});
  former_session_.reset();
}

void PgConnection::unlock_run(const std::string& key) {
  if (pooled_) return;
  query("SELECT pg_catalog.pg_advisory_unlock($1::bigint)", {Value::integer(lock_number(key))});
  limit_silence(false);
}

sdk::Ledger PgConnection::ledger_find(const TableName& name) {
  Catalogue catalogue(static_cast<SqlSession&>(*this), line_.server_version());
  TableName exact = catalogue.resolve(name);
  if (exact.name.empty()) {
    exact = name;
    if (exact.schema.empty()) {
      const Rows rows = query("SELECT pg_catalog.current_schema()::text", {});
      if (rows.at(0).at(0).kind == PK_VALUE_NULL) {
        throw Error(PK_NOT_FOUND, "no schema of the search path exists or may be used, so there is no place for the ledger; write --ledger SCHEMA.NAME");
      }
      exact.schema = rows[0][0].text;
    }
  }
  try {
    return SqlConnection::ledger_find(exact);
  } catch (const Error& e) {
    if (e.code() != PK_PRIVILEGE) throw;
    sdk::Ledger out;
    out.state = PK_LEDGER_PRESENT;
    ledger_rights(exact, out);
    return out;
  }
}

void PgConnection::ledger_rights(const TableName& name, sdk::Ledger& out) {
  const std::string table = sdk::qualified(dialect_, name.schema, name.name);
  const Rows rows = query(
      "SELECT n.oid IS NOT NULL, COALESCE(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false), COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),"
      " COALESCE((SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, p)) FROM pg_catalog.unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS u(p)), false)"
      " FROM (SELECT pg_catalog.to_regnamespace(pg_catalog.quote_ident($1::text)::text)::oid) AS n(oid)"
      " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2::text",
      {Value::string(name.schema), Value::string(name.name)});
  const sdk::Row& row = rows.at(0);
  const bool usage = row.at(2).i64 != 0;
  out.can_create = usage && row.at(1).i64 != 0;
  out.can_write = out.state == PK_LEDGER_ABSENT ? out.can_create : usage && row.at(3).i64 != 0;
  const bool enough = out.state == PK_LEDGER_ABSENT ? out.can_create : out.can_write;
  if (enough) return;
  const std::string schema = dialect_.quote(name.schema);
  if (row.at(0).i64 == 0) out.grant_hint += "CREATE SCHEMA " + schema + "; ";
  if (!usage) out.grant_hint += "GRANT USAGE ON SCHEMA " + schema + " TO " + user_ + "; ";
  out.grant_hint += "GRANT SELECT, INSERT, UPDATE, DELETE ON " + table + " TO " + user_ + ";";
}

void PgConnection::ledger_create() {
  try {
    SqlConnection::ledger_create();
  } catch (const Error& e) {
    // Somebody else made it at the same moment: duplicate_table, or unique_violation within the catalogue.
    if (e.sqlstate() != "42P07" && e.sqlstate() != "23505") throw;
  }
}

}  // namespace purgekit::postgresql
