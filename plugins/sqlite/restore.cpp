// Putting archived rows back: which columns SQLite computes by itself, and what fires meanwhile.
#include "catalogue.hpp"
#include "connection.hpp"

namespace purgekit::sqlite {

using sdk::Row;
using sdk::Value;

sdk::Restored SqliteConnection::restore_next(const sdk::Restore& restore, std::int64_t after) {
  const Database::Activity activity(db_);
  return SqlConnection::restore_next(restore, after);
}

void SqliteConnection::archive_make(const sdk::Load& load) {
  const Database::Activity activity(db_);
  SqlConnection::archive_make(load);
}

void SqliteConnection::archive_load(const sdk::Load& load) {
  const Database::Activity activity(db_);
  SqlConnection::archive_load(load);
}

sdk::InsertShape SqliteConnection::insert_shape(const sdk::Table& table) {
  constexpr std::int64_t first_generated = 2;  // "hidden" of pragma_table_xinfo: 2 virtual, 3 stored
  sdk::InsertShape shape;
  const Value name = Value::string(table.name);
  // A key that is the rowid has no index of its own.
  const bool key_is_rowid = table.key.size() == 1 && db_.query("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'", {name}).empty();
  for (const Row& r : db_.query("SELECT name, \"notnull\", dflt_value IS NULL, pk, hidden FROM pragma_table_xinfo(?, 'main')", {name})) {
    const bool generated = r.at(4).i64 >= first_generated;
    const bool numbers_itself = r.at(3).i64 != 0 && key_is_rowid;
    if (numbers_itself) shape.identity.push_back(r.at(0).text);
    if (generated) shape.generated.push_back(r.at(0).text);
    if (!generated && r.at(1).i64 != 0 && r.at(2).i64 != 0 && !numbers_itself) shape.required.push_back(r[0].text);
  }
  for (const Row& r : db_.query("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name", {name})) {
    if (fires_on("insert", r.at(1).text)) shape.triggers.push_back(r.at(0).text);
  }
  return shape;
}

}  // namespace purgekit::sqlite
