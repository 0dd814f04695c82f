// What people and the planner want to know of a server before anything is purged.
#include <string>

#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Row;

namespace {

// An address by its number: "127.example.org" is a name like any other.
bool is_loopback(const std::string& host) {
  const bool is_127 = host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos;
  return host.empty() || host[0] == '/' || host[0] == '@' || host == "localhost" || host == "::1" || is_127;
}

}  // namespace

sdk::Server PgConnection::inspect() {
  const Row row = query(
      "SELECT pg_catalog.current_setting('server_version'),"
      " EXTRACT(EPOCH FROM pg_catalog.date_trunc('minute', t.now))::bigint, EXTRACT(MICROSECONDS FROM t.now)::bigint,"
      " pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('transaction_read_only')::boolean,"
      " COALESCE((SELECT s.ssl FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_catalog.pg_backend_pid()), false),"
      " pg_catalog.current_database()::text, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()),"
      " pg_catalog.current_setting('port'), pg_catalog.current_setting('autovacuum')::boolean,"
      " (SELECT COUNT(*) FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_catalog.pg_backend_pid()"
      "   AND a.xact_start < pg_catalog.clock_timestamp() - interval '1 hour' AND a.datname = pg_catalog.current_database()),"
      " (SELECT COUNT(*) FROM pg_catalog.pg_replication_slots r WHERE NOT r.active)"
      " FROM (SELECT pg_catalog.clock_timestamp() AS now) t",
      {}).at(0);
  sdk::Server out;
  out.product = "PostgreSQL";
  out.version = row.at(0).text.substr(0, row.at(0).text.find(' '));
  out.clock_utc_ns = (row.at(1).i64 * 1'000'000 + row.at(2).i64) * 1'000;
  out.read_only = row.at(3).i64 != 0;
  out.loopback = is_loopback(line_.host());
  const std::string host = line_.host();
  const bool local_socket = host.empty() || host[0] == '/' || host[0] == '@';
  out.tls = local_socket || row.at(4).i64 != 0;
  out.tls_verified = local_socket || (row.at(4).i64 != 0 && sslmode_ == "verify-full");
  out.database = row.at(5).text + " on " + (local_socket ? std::string("the local socket") : host) + ", port " + row.at(7).text;
  try {
    const sdk::Rows system = query("SELECT system_identifier::text FROM pg_catalog.pg_control_system()", {});
    out.identity = system.at(0).at(0).text + "/" + std::to_string(row.at(6).i64);
  } catch (const Error& e) {
    if (e.code() != PK_PRIVILEGE) throw;
    out.identity = host + ":" + row.at(7).text + "/" + std::to_string(row.at(6).i64);
  }
  if (pooled_) {
    out.warnings.emplace_back("a connection pooler stands in between: the early refusal of a second purge is off, the ledger alone keeps them apart");
  }
  if (row.at(8).i64 == 0) out.warnings.emplace_back("autovacuum is off: the space of purged rows is not reused until somebody runs VACUUM");
  if (row.at(9).i64 > 0) {
    out.warnings.push_back(std::to_string(row.at(9).i64) + " transaction(s) of this database are open for more than an hour: VACUUM can't remove what is purged meanwhile");
  }
  if (row.at(10).i64 > 0) {
    out.warnings.push_back(std::to_string(row.at(10).i64) + " replication slot(s) have no reader: the server keeps all WAL that a purge writes");
  }
  return out;
}

}  // namespace purgekit::postgresql
