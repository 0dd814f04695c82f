// What an archive table looks like here, and what this user may do with it.
#include <map>

#include "catalogue.hpp"
#include "connection.hpp"

namespace purgekit::mysql {

using sdk::Value;

// NULL in so many words: the first TIMESTAMP column would else be set to the current time by every UPDATE. The source's row
// format, because a row that fits into one need not fit into another.
sdk::SqlConnection::ArchiveShape MysqlConnection::archive_shape(const sdk::Table& source) {
  const std::vector<Value> place{Value::string(source.schema), Value::string(source.name)};
  const sdk::Rows rows = query("SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS "
                               "WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                               place);
  std::map<std::string, std::string> types;
  for (const sdk::Row& row : rows) {
    std::string type = row.at(1).text;
    if (row.at(2).kind != PK_VALUE_NULL) type += " CHARACTER SET " + row[2].text + " COLLATE " + row.at(3).text;
    types[row.at(0).text] = type + " NULL";
  }
  ArchiveShape shape;
  for (const sdk::Column& column : source.columns) shape.types.push_back(types.at(column.name));
  shape.suffix = " ENGINE=InnoDB";
  const sdk::Rows format = query("SELECT ROW_FORMAT FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", place);
  if (!format.empty() && (format[0].at(0).text == "Dynamic" || format[0][0].text == "Compressed")) shape.suffix += " ROW_FORMAT=DYNAMIC";
  return shape;
}

// Privileges that come through a role are not listed here.
bool MysqlConnection::may_create(const std::string& schema, const std::string& table) {
  const sdk::Rows rows = query(
      "SELECT (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE') + (SELECT COUNT(*) FROM "
      "information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE' AND ? LIKE TABLE_SCHEMA) + (SELECT COUNT(*) FROM "
      "information_schema.TABLE_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE' AND TABLE_SCHEMA = ? AND TABLE_NAME = ?)",
      {Value::string(schema), Value::string(schema), Value::string(table)});
  return rows.at(0).at(0).i64 > 0;
}

std::string MysqlConnection::account() {
  const std::string user = query("SELECT CURRENT_USER()", {}).at(0).at(0).text;
  const std::size_t at = user.rfind('@');
  return "'" + user.substr(0, at) + "'@'" + user.substr(at + 1) + "'";
}

void MysqlConnection::archive_rights(const sdk::ArchiveTable& target, sdk::ArchiveInfo& out) {
  const std::string table = sdk::qualified(dialect_, target.schema, target.table);
  if (out.state == PK_ARCHIVE_ABSENT) {
    out.can_create = may_create(target.schema, target.table);
    if (out.can_create) return;
  } else {
    out.can_write = may_run(line_, "INSERT INTO " + table + " (" + dialect_.quote(target.is_mapped ? target.columns.at(0).target : sdk::archive_chunk_column) + ") VALUES (1)");
    if (out.can_write) return;
  }
  out.grant_hint = "GRANT SELECT, INSERT ON " + table + " TO " + account();
}

}  // namespace purgekit::mysql
