#include "session.hpp"

#include <algorithm>
#include <optional>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;

// A client that froze inside a chunk: how long the server lets it keep its locks.
constexpr int idle_transaction_s = 30;
// A client that froze between chunks keeps its run lock for this long. MySQL knows no other limit for one inside a chunk either.
constexpr int idle_purge_s = 60;
constexpr int idle_session_s = 8 * 3600;  // the servers' own default, whatever this one's is

constexpr int unknown_system_variable = 1193;

// Settings that only some servers have.
void set_if_known(Line& line, const std::string& assignment) {
  try {
    line.command("SET SESSION " + assignment);
  } catch (const Error& e) {
    if (e.vendor_code() != unknown_system_variable) throw;
  }
}

// A variable that this server may not have.
std::optional<std::string> variable(Line& line, const std::string& name) {
  const sdk::Rows rows = line.query("SHOW VARIABLES LIKE '" + name + "'", {});
  if (rows.empty()) return std::nullopt;
  return rows[0].at(1).text;
}

bool is_on(Line& line, const std::string& name) {
  const std::optional<std::string> value = variable(line, name);
  return value.has_value() && (*value == "ON" || *value == "1");
}

std::string product_name(Line& line) {
  if (line.is_mariadb()) return "MariaDB";
  const std::string comment = variable(line, "version_comment").value_or("");
  for (const char* name : {"TiDB", "Percona"}) {
    if (comment.find(name) != std::string::npos) return name;
  }
  return "MySQL";
}

// A foreign key of a table on which this user has no right at all is not shown to it, and its cascade would go unseen.
bool may_miss_tables(Line& line) {
  const sdk::Rows rights = line.query(
      "SELECT (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES'))"
      " + (SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES WHERE DATABASE() LIKE TABLE_SCHEMA)",
      {});
  return rights.at(0).at(0).i64 == 0;
}

std::vector<std::string> warnings_for(Line& line) {
  std::vector<std::string> out;
  if (may_miss_tables(line)) {
    out.emplace_back("this user sees the foreign keys of those tables only that it has a right on, so that another's ON DELETE CASCADE would go unseen and uncounted; "
                     "GRANT REFERENCES on the database shows all of them and gives nothing else");
  }
  const bool logs = is_on(line, "log_bin");
  if (logs_statements(line)) {
    out.emplace_back("binlog_format=STATEMENT: InnoDB refuses purgekit's READ COMMITTED transactions; a run needs ROW or MIXED");
  }
  if (logs && variable(line, "binlog_row_image").value_or("") == "FULL") {
    out.emplace_back("binlog_row_image=FULL: every deleted row goes whole into the binary log; MINIMAL logs only its key");
  }
  if (variable(line, "innodb_max_purge_lag").value_or("0") != "0") {
    out.emplace_back("innodb_max_purge_lag is set: the server slows every write down while InnoDB is clearing up after a purge");
  }
  if (!is_on(line, "innodb_file_per_table")) {
    out.emplace_back("innodb_file_per_table=OFF: tables made now never give space back to the file system, not even by OPTIMIZE TABLE");
  }
  return out;
}

}  // namespace

void settle_session(Line& line, const sdk::ConnectParams& params) {
  line.command("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
  // NO_UNSIGNED_SUBTRACTION: a cutoff minus an unsigned column may be negative. Strict: a value that does not fit is an error
  // and never a guess. ALLOW_INVALID_DATES: a date such as 31 February that a table holds is archived as it is.
  // NO_AUTO_VALUE_ON_ZERO: a restored row keeps the number 0. No ANSI_QUOTES, NO_BACKSLASH_ESCAPES or PIPES_AS_CONCAT, whatever the server's default.
  line.command(
      "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_UNSIGNED_SUBTRACTION,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', autocommit = 1, "
      "foreign_key_checks = 1, sql_safe_updates = 0, sql_select_limit = 18446744073709551615, sql_big_selects = 1");
  limit_idle(line, false);
  set_lock_wait_seconds(line, lock_wait_seconds(params.lock_wait_ms, line.is_mariadb()));
  // MySQL 8 tells sizes of tables as they were up to a day ago.
  if (!line.is_mariadb() && line.version() >= 80000) set_if_known(line, "information_schema_stats_expiry = 0");
  if (line.is_mariadb()) set_if_known(line, "idle_transaction_timeout = " + std::to_string(idle_transaction_s));
  if (params.statement_timeout_ms > 0) bound_statements(line, params.statement_timeout_ms);
}

void bound_statements(Line& line, std::uint32_t timeout_ms) {
  if (line.is_mariadb()) {
    const std::string fraction = std::to_string(1000 + timeout_ms % 1000);
    set_if_known(line, "max_statement_time = " + std::to_string(timeout_ms / 1000) + "." + fraction.substr(1));
  } else {
    set_if_known(line, "max_execution_time = " + std::to_string(timeout_ms));
  }
}

void limit_idle(Line& line, bool purging) { line.command("SET SESSION wait_timeout = " + std::to_string(purging ? idle_purge_s : idle_session_s)); }

void limit_silence(Line& line, int seconds) {
  line.command("SET SESSION wait_timeout = " + std::to_string(seconds));
  if (line.is_mariadb()) set_if_known(line, "idle_transaction_timeout = " + std::to_string(seconds));
}

void limit_silence_of_chunks(Line& line) {
  limit_idle(line, true);
  if (line.is_mariadb()) set_if_known(line, "idle_transaction_timeout = " + std::to_string(idle_transaction_s));
}

std::int64_t lock_wait_seconds(std::uint32_t wait_ms, bool is_mariadb) {
  if (wait_ms == 0 && is_mariadb) return 0;
  return std::max<std::int64_t>(1, (std::int64_t{wait_ms} + 999) / 1000);
}

void set_lock_wait_seconds(Line& line, std::int64_t seconds) {
  // Without the second one a table lock (ALTER TABLE under way) would be waited for a whole day or year.
  line.command("SET SESSION innodb_lock_wait_timeout = " + std::to_string(seconds) +
               ", lock_wait_timeout = " + std::to_string(std::max<std::int64_t>(1, seconds)));
}

bool knows_server_zone(Line& line) {
  const sdk::Rows rows = line.query("SELECT CONVERT_TZ('2020-01-01 00:00:00', '+00:00', @@global.time_zone)", {});
  return rows.at(0).at(0).kind != PK_VALUE_NULL;
}

bool logs_statements(Line& line) { return is_on(line, "log_bin") && variable(line, "binlog_format").value_or("") == "STATEMENT"; }

sdk::Server inspect_server(Line& line, const std::string& database) {
  const ClientOptions& options = line.options();
  sdk::Server out;
  out.product = product_name(line);
  out.version = line.version_text();
  const sdk::Rows now = line.query("SELECT UTC_TIMESTAMP(6), @@hostname, @@port, @@datadir", {});
  const auto clock = sdk::parse_iso_time(now.at(0).at(0).text);
  if (!clock) throw Error(PK_INTERNAL, "the server's clock can't be read");
  out.clock_utc_ns = clock->ns;
  for (const char* name : {"read_only", "super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only"}) {
    const std::string value = variable(line, name).value_or("OFF");
    out.read_only = out.read_only || (value != "OFF" && value != "0");
  }
  const sdk::Rows cipher = line.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {});
  out.loopback = options.loopback;
  const bool encrypted = !cipher.empty() && !cipher[0].at(1).text.empty();
  out.tls = options.local_socket || encrypted;
  out.tls_verified = options.local_socket || (encrypted && options.tls == Tls::verify_identity);
  out.database = options.place + "/" + database;
  out.identity = variable(line, "server_uuid").value_or(now[0].at(1).text + ":" + std::to_string(now[0].at(2).i64) + ":" + now[0].at(3).text) + "/" + database;
  out.warnings = warnings_for(line);
  return out;
}

}  // namespace purgekit::mysql
