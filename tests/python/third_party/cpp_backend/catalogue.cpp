#include "catalogue.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>

namespace filedb {
namespace {

using sdk::Value;

pk_column_kind kind_of(std::string type) {
  std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const auto has = [&](const char* part) { return type.find(part) != std::string::npos; };
  if (type.empty()) return PK_COLUMN_ANY;
  if (has("INT")) return PK_COLUMN_INT;
  if (has("CHAR") || has("TEXT") || has("CLOB")) return PK_COLUMN_TEXT;
  if (has("BLOB")) return PK_COLUMN_BYTES;
  if (has("REAL") || has("FLOA") || has("DOUB")) return PK_COLUMN_REAL;
  return PK_COLUMN_DECIMAL;
}

pk_fk_action action_of(const std::string& on_delete) {
  if (on_delete == "CASCADE") return PK_FK_CASCADE;
  if (on_delete == "SET NULL") return PK_FK_SET_NULL;
  if (on_delete == "SET DEFAULT") return PK_FK_SET_DEFAULT;
  return PK_FK_RESTRICT;
}

// Name, type and DDL of the one object that is meant.
sdk::Row find(Database& db, const sdk::TableName& name) {
  const std::string select = "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name ";
  sdk::Rows rows;
  if (name.schema.empty() || name.schema == "main") {
    rows = db.query(select + "= ?", {Value::string(name.name)});
    if (rows.empty() && !name.name_quoted) rows = db.query(select + "= ? COLLATE NOCASE", {Value::string(name.name)});
  }
  if (rows.empty()) throw sdk::Error(PK_NOT_FOUND, "no table " + name.name);
  return rows[0];
}

// The declared key when none of its columns can be NULL, else SQLite's own row number, which every other table has.
void add_key(sdk::Table& table, const std::map<std::int64_t, std::uint32_t>& parts) {
  for (const auto& [place, position] : parts) table.key.push_back(position);
  const auto is_null = [&](std::uint32_t p) { return table.columns[p].nullable; };
  const bool is_row_number = parts.size() == 1 && table.columns[parts.begin()->second].type_name == "INTEGER";
  if (is_row_number) table.columns[table.key[0]].nullable = false;
  if (!table.key.empty() && std::none_of(table.key.begin(), table.key.end(), is_null)) return;
  table.columns.push_back({"rowid", "INTEGER", PK_COLUMN_INT, false});
  table.key = {static_cast<std::uint32_t>(table.columns.size() - 1)};
}

void add_columns(Database& db, sdk::Table& table) {
  std::map<std::int64_t, std::uint32_t> key_parts;
  for (const sdk::Row& r : db.query("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?) ORDER BY cid", {Value::string(table.name)})) {
    if (r[3].i64 > 0) key_parts[r[3].i64] = static_cast<std::uint32_t>(table.columns.size());
    table.columns.push_back({r[0].text, r[1].text, kind_of(r[1].text), r[2].i64 == 0});
  }
  if (table.kind == PK_TABLE_BASE) add_key(table, key_parts);
}

void add_indexes(Database& db, sdk::Table& table) {
  const sdk::Rows rows = db.query(
      "SELECT i.name, i.\"unique\", i.partial, x.cid FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS x ORDER BY i.seq, x.seqno",
      {Value::string(table.name)});
  for (const sdk::Row& r : rows) {
    if (table.indexes.empty() || table.indexes.back().name != r[0].text) table.indexes.push_back({r[0].text, {}, r[1].i64 != 0, r[2].i64 != 0});
    table.indexes.back().columns.push_back(r[3].i64 >= 0 ? static_cast<std::uint32_t>(r[3].i64) : sdk::Index::expression);
  }
}

void add_references(Database& db, sdk::Table& table) {
  const sdk::Rows rows = db.query(
      "SELECT m.name, f.id, f.\"from\", f.\"to\", f.on_delete FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f "
      "WHERE m.type = 'table' AND f.\"table\" = ? COLLATE NOCASE ORDER BY m.name, f.id, f.seq",
      {Value::string(table.name)});
  for (const sdk::Row& r : rows) {
    const std::string name = r[0].text + "[" + std::to_string(r[1].i64) + "]";
    if (table.references.empty() || table.references.back().name != name) {
      table.references.push_back({name, "", r[0].text, {}, {}, action_of(r[4].text), false, true});
    }
    sdk::Reference& reference = table.references.back();
    reference.child_columns.push_back(r[2].text);
    // Declared without a column: the parent's key.
    const bool named = r[3].kind == PK_VALUE_TEXT;
    reference.parent_columns.push_back(named ? r[3].text : table.columns[table.key.at(reference.parent_columns.size())].name);
  }
}

}  // namespace

sdk::Table read_table(Database& db, const sdk::TableName& name) {
  const sdk::Row found = find(db, name);
  sdk::Table table;
  table.name = found[0].text;
  table.kind = found[1].text == "view" ? PK_TABLE_VIEW : PK_TABLE_BASE;
  table.storage = "rowid";
  table.identity = table.name + ":" + std::to_string(std::hash<std::string>{}(found[2].text));
  add_columns(db, table);
  if (table.kind == PK_TABLE_VIEW) return table;
  add_indexes(db, table);
  add_references(db, table);
  return table;
}

std::vector<std::string> table_names(Database& db) {
  std::vector<std::string> out;
  for (const sdk::Row& r : db.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")) out.push_back(r[0].text);
  return out;
}

}  // namespace filedb
