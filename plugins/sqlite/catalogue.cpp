#include "catalogue.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "declared.hpp"
#include "references.hpp"
#include "sizes.hpp"
#include "text_hash.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Error;
using sdk::Row;
using sdk::Table;
using sdk::TableName;
using sdk::Value;

struct SchemaEntry {
  std::string name;
  std::string type;
  std::int64_t root_page = 0;
  std::string sql;
};

SchemaEntry find_entry(Database& db, const TableName& wanted) {
  const std::string& schema = wanted.schema;
  if (!schema.empty() && (wanted.schema_quoted ? schema != "main" : lower(schema) != "main")) {
    throw Error(PK_NOT_FOUND, "no schema " + schema + " for table " + wanted.name + ": a SQLite file has one schema, main");
  }
  const auto look = [&](const char* condition) {
    return db.query(std::string("SELECT name, type, rootpage, sql FROM main.sqlite_schema WHERE type IN ('table', 'view') AND ") + condition,
                    {Value::string(wanted.name)});
  };
  sdk::Rows rows = look("name = ?");
  // Without regard to case, as SQLite itself compares names, so no two tables can differ by case alone.
  if (rows.empty() && !wanted.name_quoted) rows = look("name = ? COLLATE NOCASE");
  if (rows.empty()) throw Error(PK_NOT_FOUND, "no table " + wanted.name + " in " + db.path());
  const Row& row = rows[0];
  return {row.at(0).text, row.at(1).text, row.at(2).i64, row.at(3).text};
}

bool is_shadow_table(Database& db, const std::string& name) {
  if (sqlite3_libversion_number() < 3'037'000) return false;
  return !db.query("SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ? AND type = 'shadow'", {Value::string(name)}).empty();
}

pk_table_kind table_kind(Database& db, const SchemaEntry& entry) {
  if (entry.type == "view") return PK_TABLE_VIEW;
  if (lower(entry.name).rfind("sqlite_", 0) == 0 || is_shadow_table(db, entry.name)) return PK_TABLE_SYSTEM;
  return entry.root_page == 0 ? PK_TABLE_FOREIGN : PK_TABLE_BASE;  // a virtual table has no pages of its own
}

/// Columns and declared primary key; returns positions by column id.
std::map<std::int64_t, std::uint32_t> read_columns(Database& db, Table& table, std::vector<std::uint32_t>& primary_key) {
  std::map<std::int64_t, std::uint32_t> positions;
  std::map<std::int64_t, std::uint32_t> key_order;
  for (const Row& r : db.query("SELECT cid, name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?, 'main')", {Value::string(table.name)})) {
    if (r.at(5).i64 == 1) continue;  // hidden column of a virtual table
    const auto position = static_cast<std::uint32_t>(table.columns.size());
    positions[r.at(0).i64] = position;
    if (r.at(4).i64 > 0) key_order[r.at(4).i64] = position;
    table.columns.push_back({r.at(1).text, r.at(2).text, column_kind(r.at(2).text), r.at(3).i64 == 0});
  }
  for (const auto& [order, position] : key_order) primary_key.push_back(position);
  return positions;
}

struct IndexFacts {
  bool has_primary_key_index = false;
  std::string primary_key_index;
};

IndexFacts read_indexes(Database& db, Table& table, const std::map<std::int64_t, std::uint32_t>& positions, std::uint32_t rowid_column) {
  IndexFacts facts;
  for (const Row& list : db.query("SELECT name, \"unique\", origin, partial FROM pragma_index_list(?, 'main')", {Value::string(table.name)})) {
    sdk::Index index{list.at(0).text, {}, list.at(1).i64 != 0, list.at(3).i64 != 0};
    for (const Row& part : db.query("SELECT cid FROM pragma_index_xinfo(?, 'main') WHERE key = 1 ORDER BY seqno", {list.at(0)})) {
      const auto found = positions.find(part.at(0).i64);
      index.columns.push_back(part.at(0).i64 == -1 ? rowid_column : found == positions.end() ? sdk::Index::expression : found->second);
    }
    if (list.at(2).text == "pk") facts = {true, index.name};
    table.indexes.push_back(std::move(index));
  }
  return facts;
}

bool has_column(const Table& table, const std::string& name) {
  return std::any_of(table.columns.begin(), table.columns.end(), [&](const sdk::Column& c) { return lower(c.name) == name; });
}

std::string rowid_name(const Table& table, std::uint32_t rowid_column) {
  if (rowid_column != sdk::Index::expression) return quote_name(table.columns[rowid_column].name);
  for (const char* name : {"rowid", "_rowid_", "oid"}) {
    if (!has_column(table, name)) return name;
  }
  return "";
}

bool all_not_null(const Table& table, const std::vector<std::uint32_t>& columns) {
  return std::all_of(columns.begin(), columns.end(), [&](std::uint32_t c) { return c < table.columns.size() && !table.columns[c].nullable; });
}

void choose_key(Described& out, const std::vector<std::uint32_t>& primary_key, bool primary_is_not_null) {
  Table& table = out.table;
  table.key = primary_key;
  out.key_not_null = !primary_key.empty() && (primary_is_not_null || all_not_null(table, primary_key));
  if (out.key_not_null) return;
  for (const sdk::Index& index : table.indexes) {
    if (index.unique && !index.partial && all_not_null(table, index.columns)) {
      table.key = index.columns;
      out.key_not_null = true;
      return;
    }
  }
}

void read_triggers(Database& db, Table& table) {
  for (const Row& r : db.query("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name",
                               {Value::string(table.name)})) {
    if (fires_on("delete", r.at(1).text)) table.delete_triggers.push_back(r.at(0).text);
  }
}

}  // namespace

Described read_catalogue(Database& db, const TableName& wanted) {
  const SchemaEntry entry = find_entry(db, wanted);
  Described out;
  Table& table = out.table;
  table.name = entry.name;
  table.kind = table_kind(db, entry);
  // SQLite numbers no objects. A new definition or another root page tells that this is another table.
  table.identity = entry.name + "@" + std::to_string(entry.root_page) + "-" + hash_hex(entry.sql);
  std::vector<std::uint32_t> primary_key;
  const auto positions = read_columns(db, table, primary_key);
  if (table.kind != PK_TABLE_BASE && table.kind != PK_TABLE_SYSTEM) {
    table.storage = table.kind == PK_TABLE_VIEW ? "view" : "virtual";
    return out;
  }
  // For a table without rowid, and for no other, its own name serves as an index name here.
  const bool without_rowid = !db.query("SELECT 1 FROM pragma_index_xinfo(?, 'main')", {Value::string(table.name)}).empty();
  table.storage = without_rowid ? "without rowid" : "rowid";

  // INTEGER PRIMARY KEY is the rowid itself and then has no index; "INTEGER PRIMARY KEY DESC" has one and is a plain column.
  const bool has_key_index = !db.query("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'", {Value::string(table.name)}).empty();
  std::uint32_t rowid_column = sdk::Index::expression;
  if (!without_rowid && !has_key_index && primary_key.size() == 1) {
    rowid_column = primary_key[0];
    table.columns[rowid_column].nullable = false;
  }
  const IndexFacts facts = read_indexes(db, table, positions, rowid_column);
  if (without_rowid) {
    for (const std::uint32_t column : primary_key) table.columns[column].nullable = false;
    out.key_index = facts.primary_key_index;
  } else {
    out.rowid = rowid_name(table, rowid_column);
  }
  choose_key(out, primary_key, without_rowid || rowid_column != sdk::Index::expression);
  table.references = read_references(db, table);
  read_triggers(db, table);
  read_sizes(db, table, out.rowid);
  return out;
}

std::vector<std::string> table_names(Database& db) {
  std::vector<std::string> out;
  for (const Row& r : db.query("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")) {
    out.push_back(r.at(0).text);
  }
  return out;
}

}  // namespace purgekit::sqlite
