// Putting archived rows back: which columns the server computes by itself, and what fires meanwhile.
#include "connection.hpp"

namespace purgekit::mysql {

using sdk::Value;

sdk::InsertShape MysqlConnection::insert_shape(const sdk::Table& table) {
  const std::vector<Value> place{Value::string(table.schema), Value::string(table.name)};
  sdk::InsertShape shape;
  for (const sdk::Row& row : query("SELECT COLUMN_NAME, EXTRA, IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL FROM information_schema.COLUMNS "
                                   "WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                                   place)) {
    const std::string& extra = row.at(1).text;
    const auto says = [&](const char* word) { return extra.find(word) != std::string::npos; };
    // MySQL 8 says DEFAULT_GENERATED of a default that is an expression.
    const bool generated = says("VIRTUAL") || says("STORED GENERATED") || says("PERSISTENT");
    if (says("auto_increment")) shape.identity.push_back(row.at(0).text);
    else if (generated) shape.generated.push_back(row.at(0).text);
    else if (row.at(2).i64 != 0 && !says("DEFAULT_GENERATED")) shape.required.push_back(row.at(0).text);
  }
  for (const sdk::Row& row : query("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? "
                                   "AND EVENT_MANIPULATION = 'INSERT' ORDER BY TRIGGER_NAME",
                                   place)) {
    shape.triggers.push_back(row.at(0).text);
  }
  return shape;
}

}  // namespace purgekit::mysql
