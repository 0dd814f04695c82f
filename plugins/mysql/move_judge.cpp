#include "move_judge.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "catalogue.hpp"
#include "chunk_delete.hpp"
#include "create_text.hpp"
#include "dialect.hpp"
#include "move_names.hpp"
#include "partitions.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Value;

constexpr std::int64_t too_few_writes_in_a_row = 100;

std::string setting(Line& line, const std::string& name) {
  const sdk::Rows rows = line.query("SHOW VARIABLES LIKE '" + name + "'", {});
  return rows.empty() ? "" : rows[0].at(1).text;
}

std::int64_t number(Line& line, const std::string& text, const std::vector<Value>& params) { return line.query(text, params).at(0).at(0).i64; }

/// Nothing when this user may not ask.
std::optional<sdk::Rows> asked(Line& line, const std::string& text, const std::vector<Value>& params) {
  try {
    return line.query(text, params);
  } catch (const Error& e) {
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    return std::nullopt;
  }
}

// information_schema shows foreign keys of those tables only that this user has a right on.
bool sees_all_references(Line& line) {
  return number(line, "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES') AND "
                      "REPLACE(GRANTEE, '''', '') = CURRENT_USER()", {}) > 0;
}

std::string reference_problem(Line& line, const std::string& schema, const std::string& table) {
  const sdk::Rows rows = line.query(
      "SELECT CONSTRAINT_NAME, CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS "
      "WHERE (CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ?) OR (UNIQUE_CONSTRAINT_SCHEMA = ? AND REFERENCED_TABLE_NAME = ?) LIMIT 1",
      {Value::string(schema), Value::string(table), Value::string(schema), Value::string(table)});
  if (!rows.empty()) {
    return "foreign key " + rows[0].at(0).text + " of table " + rows[0].at(1).text + "." + rows[0].at(2).text + " would come to refer to another table: leave the strategy out to have it walked";
  }
  if (sees_all_references(line)) return "";
  const bool newer = !line.is_mariadb() && line.version() >= 80000;
  const std::optional<std::string> name = innodb_name(schema, table);
  const auto told = name ? asked(line, std::string("SELECT ID FROM information_schema.") + (newer ? "INNODB_FOREIGN" : "INNODB_SYS_FOREIGN") + " WHERE REF_NAME = ? LIMIT 1",
                               {Value::string(*name)})
                         : std::nullopt;
  if (!told) {
    return "whether foreign keys of tables that this user has no right on refer to it can't be seen: GRANT REFERENCES ON *.* (or PROCESS) shows it, or leave the strategy out to have it walked";
  }
  if (told->empty()) return "";
  return "foreign key " + (*told)[0].at(0).text + " would come to refer to another table: leave the strategy out to have it walked";
}

/// The GRANT that would give what is missing. Privileges by way of a role are not listed by these views.
std::string missing_rights(Line& line, const std::string& schema, const std::string& account) {
  const sdk::Rows rows = line.query(
      "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ? UNION SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES "
      "WHERE GRANTEE = ? AND ? LIKE TABLE_SCHEMA",
      {Value::string(account), Value::string(account), Value::string(schema)});
  std::set<std::string> held;
  for (const sdk::Row& row : rows) held.insert(row.at(0).text);
  std::string missing;
  for (const char* right : {"SELECT", "INSERT", "DELETE", "CREATE", "ALTER", "DROP", "LOCK TABLES", "TRIGGER"}) {
    if (held.count(right) == 0) missing += (missing.empty() ? "" : ", ") + std::string(right);
  }
  return missing.empty() ? "" : "GRANT " + missing + " ON " + MysqlDialect().quote(schema) + ".* TO " + account;
}

std::string server_problem(Line& line) {
  if (setting(line, "wsrep_on") == "ON") return "a Galera cluster knows no lock on a table: leave the strategy out to have it walked";
  if (!setting(line, "group_replication_group_name").empty()) return "group replication knows no lock on a table: leave the strategy out to have it walked";
  if (setting(line, "log_bin") != "ON") return "";
  const auto status = asked(line, !line.is_mariadb() && line.version() >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", {});
  if (!status) return "whether the binary log leaves databases out can't be seen, and replicas would lose rows then: GRANT REPLICATION CLIENT (on newer MariaDB BINLOG MONITOR) ON *.* shows it";
  for (const sdk::Row& row : *status) {
    if (!row.at(2).text.empty() || !row.at(3).text.empty()) {
      return "the binary log leaves some databases out (binlog_do_db, binlog_ignore_db), so replicas might be given other statements than this server: leave the strategy out to have it walked";
    }
  }
  return "";
}

}  // namespace

std::string dependents_problem(Line& line, const std::string& schema, const std::string& table) {
  const sdk::Rows triggers = line.query("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? LIMIT 1",
                                        {Value::string(schema), Value::string(table)});
  if (!triggers.empty()) return "trigger " + triggers[0].at(0).text + " would not see its rows come and go: leave the strategy out to have it walked";
  return reference_problem(line, schema, table);
}

std::string move_problem(Line& line, const sdk::Table& table, const sdk::Purge& purge, const std::string& account) {
  if (table.kind != PK_TABLE_BASE || table.storage != "InnoDB") return "it is kept by " + (table.storage.empty() ? "something else" : table.storage) + ", and a move needs InnoDB";
  if (purge.predicate != nullptr && reads_other_rows(*purge.predicate)) {
    return "its rule looks at other rows, which are out of reach while the table is locked: leave the strategy out to have it walked";
  }
  const std::string type = line.query("SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                                      {Value::string(table.schema), Value::string(table.name)}).at(0).at(0).text;
  if (type != "BASE TABLE") return "it is a " + type + " table, whose history a move would lose: leave the strategy out to have it walked";
  if (const std::string grant = missing_rights(line, table.schema, account); !grant.empty()) return "this user lacks privileges: " + grant;
  if (std::string problem = server_problem(line); !problem.empty()) return problem;
  return dependents_problem(line, table.schema, table.name);
}

std::string swap_problem(Line& line, const sdk::Table& table) {
  if (!sorts_behind_its_table(table.name)) return "its name is too long for a table beside it: rename it, or leave the strategy out to have it walked";
  // A request for a whole table comes first, but for this.
  if (const std::string text = setting(line, "max_write_lock_count"); !text.empty() && text.size() < 10 && std::stoll(text) < too_few_writes_in_a_row) {
    return "max_write_lock_count is " + text + ", so that others could come between the two halves of the swap: raise it, or leave the strategy out to have it walked";
  }
  const CreateText create = show_create(line, sdk::qualified(MysqlDialect(), table.schema, table.name));
  if (create.shape.find("\n  FULLTEXT KEY ") != std::string::npos || create.shape.find("\n  SPATIAL KEY ") != std::string::npos) {
    return "it has a FULLTEXT or SPATIAL index, which brings hidden tables or columns along: leave the strategy out to have it walked";
  }
  for (const char* place : {" DATA DIRECTORY=", " INDEX DIRECTORY=", " DATA DIRECTORY = "}) {
    if (create.shape.find(place) != std::string::npos) return "it lies in a folder of its own (DATA DIRECTORY), and a new one would not: leave the strategy out to have it walked";
  }
  return "";
}

std::string partition_problem(Line& line, const sdk::Table& table) {
  const std::vector<Partition> partitions = read_partitions(line, table.schema, table.name);
  if (partitions.empty()) return "it has no partitions: strategy = \"swap\", or leave the strategy out to have it walked";
  if (line.is_mariadb() && line.version() < 100700) return "MariaDB before 10.7 can't take a partition out under a lock: strategy = \"swap\", or leave the strategy out to have it walked";
  if (partitions[0].method != "RANGE" && partitions[0].method != "RANGE COLUMNS") {
    return "it is partitioned by " + partitions[0].method + ", and only partitions by RANGE can be dropped one by one: leave the strategy out to have it walked";
  }
  if (partitions[0].divided) return "its partitions have subpartitions, which can't change places with a table as a whole: leave the strategy out to have it walked";
  const CreateText create = show_create(line, sdk::qualified(MysqlDialect(), table.schema, table.name));
  if (create.shape.find("\n  FULLTEXT KEY ") != std::string::npos) return "it has a FULLTEXT index, and its partitions can't change places with a table: leave the strategy out to have it walked";
  if (create.shape.find(" DIRECTORY = ") != std::string::npos) return "its partitions lie in folders of their own (DATA DIRECTORY): leave the strategy out to have it walked";
  return "";
}

}  // namespace purgekit::mysql
