#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "catalogue_parts.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Value;

constexpr std::array<std::pair<std::string_view, pk_column_kind>, 28> kinds = {{
    {"tinyint", PK_COLUMN_INT},         {"smallint", PK_COLUMN_INT},    {"mediumint", PK_COLUMN_INT},   {"int", PK_COLUMN_INT},
    {"bigint", PK_COLUMN_INT},          {"year", PK_COLUMN_INT},        {"decimal", PK_COLUMN_DECIMAL}, {"float", PK_COLUMN_REAL},
    {"double", PK_COLUMN_REAL},         {"bit", PK_COLUMN_BIT},         {"char", PK_COLUMN_TEXT},       {"varchar", PK_COLUMN_TEXT},
    {"tinytext", PK_COLUMN_TEXT},       {"text", PK_COLUMN_TEXT},       {"mediumtext", PK_COLUMN_TEXT}, {"longtext", PK_COLUMN_TEXT},
    {"enum", PK_COLUMN_TEXT},           {"set", PK_COLUMN_TEXT},        {"binary", PK_COLUMN_BYTES},    {"varbinary", PK_COLUMN_BYTES},
    {"tinyblob", PK_COLUMN_BYTES},      {"blob", PK_COLUMN_BYTES},      {"mediumblob", PK_COLUMN_BYTES}, {"longblob", PK_COLUMN_BYTES},
    {"date", PK_COLUMN_DATE},           {"datetime", PK_COLUMN_TIMESTAMP}, {"timestamp", PK_COLUMN_TIMESTAMP_ZONED}, {"time", PK_COLUMN_TIME},
}};

pk_column_kind kind_of(std::string_view data_type, std::string_view column_type) {
  if (data_type == "uuid") return PK_COLUMN_UUID;
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const auto& entry) { return entry.first == data_type; });
  if (found == kinds.end()) return PK_COLUMN_OTHER;
  const bool is_unsigned = column_type.find("unsigned") != std::string_view::npos;
  return found->second == PK_COLUMN_INT && is_unsigned ? PK_COLUMN_UINT : found->second;
}

}  // namespace

void read_columns(Line& line, sdk::Table& table) {
  const sdk::Rows rows = line.query(
      "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? "
      "ORDER BY ORDINAL_POSITION",
      {Value::string(table.schema), Value::string(table.name)});
  for (const sdk::Row& row : rows) {
    sdk::Column column;
    column.name = row.at(0).text;
    column.type_name = row.at(2).text;
    column.kind = kind_of(row.at(1).text, row.at(2).text);
    column.nullable = row.at(3).text != "NO";
    table.columns.push_back(std::move(column));
  }
}

bool is_walkable(const sdk::Column& column) {
  const auto starts = [&](std::string_view word) { return std::string_view(column.type_name).substr(0, word.size()) == word; };
  return column.kind != PK_COLUMN_OTHER && !starts("enum(") && !starts("set(");
}

}  // namespace purgekit::mysql
