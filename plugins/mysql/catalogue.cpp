#include "catalogue.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "catalogue_parts.hpp"
#include "dialect.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Value;

std::vector<Value> place(const sdk::Table& table) { return {Value::string(table.schema), Value::string(table.name)}; }

std::uint32_t position_of(const sdk::Table& table, const std::string& column) {
  const auto found = std::find_if(table.columns.begin(), table.columns.end(), [&](const sdk::Column& c) { return c.name == column; });
  return found == table.columns.end() ? sdk::Index::expression : static_cast<std::uint32_t>(found - table.columns.begin());
}

// An index the optimizer must not or can't use for ranges is not walked.
std::string hidden_expression(const Line& line) {
  if (line.is_mariadb()) return line.version() >= 100600 ? "IGNORED = 'YES'" : "0";
  return line.version() >= 80000 ? "IS_VISIBLE = 'NO'" : "0";
}

pk_fk_action action_of(const std::string& rule) {
  if (rule == "CASCADE") return PK_FK_CASCADE;
  if (rule == "SET NULL") return PK_FK_SET_NULL;
  if (rule == "SET DEFAULT") return PK_FK_SET_DEFAULT;
  return PK_FK_RESTRICT;
}

bool serves_as_key(const sdk::Table& table, const sdk::Index& index) {
  return index.unique && !index.partial && std::none_of(index.columns.begin(), index.columns.end(), [&](std::uint32_t c) {
    return c == sdk::Index::expression || table.columns[c].nullable;
  });
}

// MySQL 5.6 keeps no time of creation for partitioned tables; the number of their first partition serves as well, where this
// user may see it.
std::string creation(Line& line, const sdk::Table& table, const Value& create_time) {
  if (create_time.kind != PK_VALUE_NULL) return create_time.text;
  try {
    const sdk::Rows rows = line.query(
        "SELECT CAST(MIN(TABLE_ID) AS CHAR) FROM information_schema.INNODB_SYS_TABLES WHERE LOCATE(CONCAT(?, '/', ?, '#'), NAME) = 1", place(table));
    return rows.at(0).at(0).text;
  } catch (const Error& e) {
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    return "";  // no PROCESS privilege, or a server without this view
  }
}

}  // namespace

void read_indexes(Line& line, sdk::Table& table) {
  const sdk::Rows rows = line.query("SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, INDEX_TYPE, COLLATION, " + hidden_expression(line) +
                                        " FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX",
                                    place(table));
  for (const sdk::Row& row : rows) {
    if (table.indexes.empty() || table.indexes.back().name != row.at(0).text) {
      sdk::Index index;
      index.name = row[0].text;
      index.unique = row.at(1).i64 == 0;
      table.indexes.push_back(std::move(index));
    }
    sdk::Index& index = table.indexes.back();
    const bool plain = row.at(3).kind == PK_VALUE_NULL && row.at(4).text == "BTREE" && row.at(5).text == "A" && row.at(6).i64 == 0;
    index.partial = index.partial || !plain;
    index.columns.push_back(row.at(2).kind == PK_VALUE_NULL ? sdk::Index::expression : position_of(table, row[2].text));
  }
  const auto primary = std::find_if(table.indexes.begin(), table.indexes.end(), [](const sdk::Index& i) { return i.name == "PRIMARY"; });
  const auto unique = std::find_if(table.indexes.begin(), table.indexes.end(), [&](const sdk::Index& i) { return serves_as_key(table, i); });
  if (primary != table.indexes.end()) {
    table.key = primary->columns;
  } else if (unique != table.indexes.end()) {
    table.key = unique->columns;
  }
}

void read_references(Line& line, sdk::Table& table) {
  const sdk::Rows rules = line.query(
      "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS "
      "WHERE UNIQUE_CONSTRAINT_SCHEMA = ? AND REFERENCED_TABLE_NAME = ?",
      place(table));
  if (rules.empty()) return;
  std::map<std::pair<std::string, std::string>, std::pair<std::string, std::string>> by_name;
  for (const sdk::Row& row : rules) by_name[{row.at(0).text, row.at(2).text}] = {row.at(1).text, row.at(3).text};
  const sdk::Rows rows = line.query(
      "SELECT CONSTRAINT_SCHEMA, CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME FROM "
      "information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME = ? "
      "ORDER BY CONSTRAINT_SCHEMA, CONSTRAINT_NAME, TABLE_NAME, ORDINAL_POSITION",
      place(table));
  for (const sdk::Row& row : rows) {
    const auto rule = by_name.find({row.at(0).text, row.at(1).text});
    const bool same = !table.references.empty() && table.references.back().name == row[1].text &&
                      table.references.back().child_schema == row.at(2).text && table.references.back().child_table == row.at(3).text;
    if (!same) {
      sdk::Reference reference;
      reference.name = row[1].text;
      reference.child_schema = row[2].text;
      reference.child_table = row[3].text;
      // Seen in one view and not in the other: take the harmful reading.
      reference.action = rule == by_name.end() ? PK_FK_CASCADE : action_of(rule->second.second);
      reference.child_indexed = true;  // InnoDB makes the index itself and does not let it go
      table.references.push_back(std::move(reference));
    }
    table.references.back().child_columns.push_back(row.at(4).text);
    table.references.back().parent_columns.push_back(row.at(5).text);
  }
}

void read_triggers(Line& line, sdk::Table& table) {
  const sdk::Rows rows = line.query(
      "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? AND "
      "EVENT_MANIPULATION = 'DELETE' ORDER BY TRIGGER_NAME",
      place(table));
  for (const sdk::Row& row : rows) table.delete_triggers.push_back(row.at(0).text);
}

void read_sizes(Line& line, sdk::Table& table) {
  const sdk::Rows rows = line.query(
      "SELECT t.TABLE_TYPE, t.ENGINE, e.TRANSACTIONS, t.TABLE_ROWS, t.DATA_LENGTH, t.INDEX_LENGTH, CAST(t.CREATE_TIME AS CHAR), t.CREATE_OPTIONS "
      "FROM information_schema.TABLES AS t LEFT JOIN information_schema.ENGINES AS e ON e.ENGINE = t.ENGINE "
      "WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ?",
      place(table));
  if (rows.empty()) throw Error(PK_NOT_FOUND, "table " + table.schema + "." + table.name + " is no longer there");
  const sdk::Row& row = rows[0];
  const auto number = [&](std::size_t i) { return row.at(i).kind == PK_VALUE_NULL ? std::int64_t{-1} : row[i].i64; };
  const std::string& type = row.at(0).text;
  const bool system = type == "SYSTEM VIEW" || table.schema == "mysql" || table.schema == "sys" || table.schema == "performance_schema";
  table.kind = system ? PK_TABLE_SYSTEM : type == "VIEW" ? PK_TABLE_VIEW : type == "SEQUENCE" ? PK_TABLE_SYSTEM : PK_TABLE_BASE;
  table.storage = row.at(1).text;
  table.transactional = row.at(2).text == "YES";
  table.rows_estimate = number(3);
  table.bytes = number(4);
  table.index_bytes = number(5);
  table.identity = table.schema + "." + table.name + "@" + creation(line, table, row.at(6));
  if (row.at(7).text.find("partitioned") == std::string::npos) return;
  const sdk::Rows parts = line.query(
      "SELECT COUNT(*) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND PARTITION_NAME IS NOT NULL", place(table));
  table.partition_count = static_cast<std::uint64_t>(parts.at(0).at(0).i64);
}

// EXPLAIN asks for the privileges of the statement it explains, roles included, and changes nothing.
bool may_run(Line& line, const std::string& statement) {
  try {
    line.query("EXPLAIN " + statement, {});
    return true;
  } catch (const Error& e) {
    if (e.code() == PK_PRIVILEGE) return false;
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    return true;  // not about privileges: the statement itself will tell
  }
}

void read_privileges(Line& line, sdk::Table& table) {
  const std::string name = sdk::qualified(MysqlDialect(), table.schema, table.name);
  table.can_select = may_run(line, "SELECT * FROM " + name + " LIMIT 1");
  table.can_delete = table.kind != PK_TABLE_BASE || may_run(line, "DELETE FROM " + name + " WHERE 1 = 0");
  if (table.can_select && table.can_delete) return;
  const std::string user = line.query("SELECT CURRENT_USER()", {}).at(0).at(0).text;
  const std::size_t at = user.rfind('@');
  table.grant_hint = std::string("GRANT ") + (table.can_select ? "" : "SELECT") + (table.can_select || table.can_delete ? "" : ", ") +
                     (table.can_delete ? "" : "DELETE") + " ON " + name + " TO '" + user.substr(0, at) + "'@'" + user.substr(at + 1) + "'";
}

std::optional<std::string> innodb_name(const std::string& schema, const std::string& table) {
  const auto is_plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!std::all_of(schema.begin(), schema.end(), is_plain) || !std::all_of(table.begin(), table.end(), is_plain)) return std::nullopt;
  return schema + "/" + table;
}

sdk::Table read_catalogue(Line& line, const sdk::TableName& name, const std::string& database) {
  sdk::Table table;
  std::tie(table.schema, table.name) = resolve_table(line, name, database);
  read_sizes(line, table);
  read_columns(line, table);
  read_indexes(line, table);
  read_references(line, table);
  read_triggers(line, table);
  read_privileges(line, table);
  return table;
}

}  // namespace purgekit::mysql
