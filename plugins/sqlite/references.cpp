#include "references.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "declared.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Row;
using sdk::Value;

pk_fk_action action_of(const std::string& text) {
  if (text == "CASCADE") return PK_FK_CASCADE;
  if (text == "SET NULL") return PK_FK_SET_NULL;
  if (text == "SET DEFAULT") return PK_FK_SET_DEFAULT;
  return PK_FK_RESTRICT;
}

bool same_names(std::vector<std::string> a, std::vector<std::string> b) {
  for (auto* names : {&a, &b}) {
    for (std::string& name : *names) name = lower(name);
    std::sort(names->begin(), names->end());
  }
  return a == b;
}

/// An index of the child leads with these columns, in any order, or they are its rowid.
bool is_indexed(Database& db, const std::string& child, const std::vector<std::string>& columns) {
  const Value name = Value::string(child);
  std::vector<std::string> primary_key;
  for (const Row& r : db.query("SELECT name FROM pragma_table_info(?, 'main') WHERE pk > 0 ORDER BY pk", {name})) primary_key.push_back(r.at(0).text);
  if (primary_key.size() == 1 && columns.size() == 1 && same_names(primary_key, columns)) return true;
  for (const Row& index : db.query("SELECT name FROM pragma_index_list(?, 'main') WHERE partial = 0", {name})) {
    std::vector<std::string> leading;
    for (const Row& r : db.query("SELECT name FROM pragma_index_info(?, 'main') ORDER BY seqno LIMIT ?",
                                 {index.at(0), Value::integer(static_cast<std::int64_t>(columns.size()))})) {
      leading.push_back(r.at(0).text);
    }
    if (same_names(leading, columns)) return true;
  }
  return false;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

std::vector<sdk::Reference> read_references(Database& db, const sdk::Table& parent) {
  std::vector<sdk::Reference> out;
  std::int64_t last_id = -1;
  for (const Row& r : db.query("SELECT m.name, f.id, f.\"from\", f.\"to\", f.on_delete FROM main.sqlite_schema AS m, "
                               "pragma_foreign_key_list(m.name, 'main') AS f WHERE m.type = 'table' AND f.\"table\" = ? COLLATE NOCASE "
                               "ORDER BY m.name, f.id, f.seq",
                               {Value::string(parent.name)})) {
    if (out.empty() || out.back().child_table != r.at(0).text || last_id != r.at(1).i64) {
      sdk::Reference reference;
      reference.child_table = r.at(0).text;
      reference.action = action_of(r.at(4).text);
      out.push_back(std::move(reference));
      last_id = r.at(1).i64;
    }
    sdk::Reference& reference = out.back();
    reference.child_columns.push_back(r.at(2).text);
    // A reference that names no columns means the primary key, in its order.
    const std::size_t position = reference.parent_columns.size();
    std::string parent_column = r.at(3).text;
    if (r.at(3).kind == PK_VALUE_NULL && position < parent.key.size()) parent_column = parent.columns.at(parent.key[position]).name;
    for (const sdk::Column& column : parent.columns) {
      if (lower(column.name) == lower(parent_column)) parent_column = column.name;
    }
    reference.parent_columns.push_back(parent_column);
  }
  for (sdk::Reference& reference : out) {
    // SQLite's catalogue keeps no names of constraints.
    reference.name = reference.child_table + "(" + joined(reference.child_columns) + ")";
    reference.child_indexed = is_indexed(db, reference.child_table, reference.child_columns);
  }
  return out;
}

}  // namespace purgekit::sqlite
