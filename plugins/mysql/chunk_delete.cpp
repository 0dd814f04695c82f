#include "chunk_delete.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Sql;

bool holds_select(std::string_view sql) {
  constexpr std::string_view word = "select";
  return std::search(sql.begin(), sql.end(), word.begin(), word.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         }) != sql.end();
}

bool reads_itself(const DeleteShape& shape) {
  if (sdk::reads_table(*shape.predicate, shape.table->schema, shape.table->name)) return true;
  for (std::uint32_t i = 0; i < shape.predicate->node_count; ++i) {
    if (sdk::node_at(*shape.predicate, i).kind == PK_NODE_KEEP_LATEST) return true;
  }
  return false;
}

void add_where(const DeleteShape& shape, Sql& out, const AddSql& add_range, const AddSql& add_tail) {
  out << " WHERE ";
  if (add_range) {
    add_range(out);
    out << " AND ";
  }
  sdk::render_predicate(out, *shape.predicate, shape.table->name);
  if (add_tail) add_tail(out);
}

std::string column_names(const DeleteShape& shape, const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + shape.dialect->quote(name);
  return out;
}

std::vector<std::string> key_names(const sdk::Table& table) {
  std::vector<std::string> names;
  for (const std::uint32_t position : table.key) names.push_back(table.columns[position].name);
  return names;
}

// A child is deleted by the values of its parent, which travel as text: 0.1 would be compared as a double.
void refuse_inexact(const DeleteShape& shape) {
  for (const std::string& name : shape.collect) {
    const sdk::Column* column = shape.table->find(name);
    if (column == nullptr || (column->kind != PK_COLUMN_DECIMAL && column->kind != PK_COLUMN_REAL)) continue;
    throw Error(PK_NOT_SUPPORTED, "table " + shape.table->name + ": dependents can't be told apart exactly by " + name + " (" + column->type_name +
                                      "); nothing was changed");
  }
}

}  // namespace

bool reads_other_rows(const pk_predicate& predicate) {
  if (sdk::has_subquery(predicate)) return true;
  for (std::uint32_t i = 0; i < predicate.node_count; ++i) {
    const pk_node& node = sdk::node_at(predicate, i);
    if (node.kind == PK_NODE_SQL && holds_select(sdk::to_view(node.sql))) return true;
  }
  return false;
}

// A DELETE share-locks every row its subqueries find, until the transaction ends, and may not read its own table at all (error
// 1093). A SELECT … FOR UPDATE locks the rows it returns and nothing else: their own conditions hold on the latest version,
// those on other rows as of this statement's snapshot.
ChunkDelete chunk_delete(const DeleteShape& shape, const AddSql& add_range, const AddSql& add_tail) {
  const bool has_key = key_index(*shape.table) != nullptr;
  const bool others = reads_other_rows(*shape.predicate);
  // Two statements over the same range take the same rows unless a limit or other rows decide which.
  const bool keeps = shape.archives || (shape.sink != nullptr && !shape.dialect->has_returning());
  const bool archives_by_keys = keeps && (others || add_tail);
  const bool needs_keys = archives_by_keys || (!shape.collect.empty() && (shape.children_first || !shape.dialect->has_returning()));
  if (!has_key && (needs_keys || reads_itself(shape))) {
    throw Error(PK_NOT_SUPPORTED, "table " + shape.table->name + " has no primary key and no unique key over whole NOT NULL columns, which " +
                                      (archives_by_keys ? "archiving its rows" : needs_keys ? "deleting its dependents with it" : "comparing its rows with each other") +
                                      " needs; nothing was changed: add one");
  }
  refuse_inexact(shape);
  const std::string target = sdk::qualified(*shape.dialect, shape.table->schema, shape.table->name);
  ChunkDelete out{Sql(*shape.dialect), needs_keys || (has_key && others)};
  if (out.by_keys) {
    std::vector<std::string> columns = shape.collect;
    const std::vector<std::string> key = key_names(*shape.table);
    columns.insert(columns.end(), key.begin(), key.end());
    out.sql << "SELECT ";
    if (shape.sink != nullptr) out.sql << shape.sink->selected() << ", ";
    out.sql << column_names(shape, columns) << " FROM " << target;
    add_where(shape, out.sql, add_range, add_tail);
    out.sql << " FOR UPDATE";
  } else {
    out.sql << "DELETE FROM " << target;
    add_where(shape, out.sql, add_range, add_tail);
  }
  return out;
}

const sdk::Index* key_index(const sdk::Table& table) {
  const auto found = std::find_if(table.indexes.begin(), table.indexes.end(),
                                  [&](const sdk::Index& i) { return i.unique && !i.partial && !i.columns.empty() && i.columns == table.key; });
  return found == table.indexes.end() ? nullptr : &*found;
}

// FORCE INDEX, which only the multi-table form takes: a scan would wait for locks of rows that are none of its business.
KeyDelete::KeyDelete(const sdk::Dialect& dialect, const sdk::Table& table) : dialect_(dialect) {
  const sdk::Index* index = key_index(table);
  if (index == nullptr) return;
  const std::string target = sdk::qualified(dialect, table.schema, table.name);
  target_ = target;
  from_ = " FROM " + target + " FORCE INDEX (" + dialect.quote(index->name) + ") WHERE ";
  for (const std::uint32_t position : table.key) {
    columns_.push_back(dialect.quote(table.columns[position].name));
    kinds_.push_back(table.columns[position].kind);
  }
}

Sql KeyDelete::statement(std::size_t rows) const {
  Sql sql(dialect_);
  sql << "DELETE " << target_;
  add_rows(sql, rows);
  return sql;
}

Sql KeyDelete::insert(const sdk::ArchiveWriter& archive, std::size_t rows) const {
  Sql sql(dialect_);
  archive.add_head(sql);
  add_rows(sql, rows);
  return sql;
}

void KeyDelete::add_rows(Sql& sql, std::size_t rows) const {
  sql << from_;
  const std::size_t width = columns_.size();
  for (std::size_t row = 0; row < rows; ++row) {
    sql << (row > 0 ? " OR (" : "(");
    for (std::size_t i = 0; i < width; ++i) {
      sql << (i > 0 ? " AND " : "") << columns_[i] << " = ";
      sql.slot(row * width + i, kinds_[i]);
    }
    sql << ")";
  }
}

std::int64_t KeyDelete::run(sdk::SqlSession& session, const sdk::Rows& keys, const sdk::ArchiveWriter* archive) const {
  std::int64_t deleted = 0;
  for (std::size_t start = 0; start < keys.size();) {
    // Few statement sizes, so that they stay prepared; the last one repeats its final row.
    const std::size_t left = keys.size() - start;
    const std::size_t size = left > 64 ? 256 : left > 8 ? 64 : left > 1 ? 8 : 1;
    sdk::Row slots;
    for (std::size_t i = 0; i < size; ++i) {
      const sdk::Row& key = keys[std::min(start + i, keys.size() - 1)];
      std::copy(key.begin(), key.end(), std::back_inserter(slots));
    }
    const std::int64_t kept = archive == nullptr ? 0 : archive->keep(session, insert(*archive, size), slots);
    const std::int64_t gone = session.run(statement(size), slots);
    if (archive != nullptr) archive->check(kept, gone);
    deleted += gone;
    start += size;
  }
  return deleted;
}

}  // namespace purgekit::mysql
