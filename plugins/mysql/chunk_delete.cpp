#include "chunk_delete.hpp"

#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Sql;

bool reads_itself(const DeleteShape& shape, const pk_node& node) {
  if (node.kind == PK_NODE_KEEP_LATEST) return true;
  if (node.kind != PK_NODE_EXISTS) return false;
  if (sdk::to_view(node.other_table) == shape.table->name && sdk::to_view(node.other_schema) == shape.table->schema) return true;
  // Conditions inside the subquery may hold further ones.
  std::vector<std::uint32_t> open;
  if (node.child_count > 0) open.push_back(node.first_child);
  while (!open.empty()) {
    const pk_node& inner = sdk::node_at(*shape.predicate, open.back());
    open.pop_back();
    if (inner.kind == PK_NODE_EXISTS || inner.kind == PK_NODE_KEEP_LATEST) {
      if (reads_itself(shape, inner)) return true;
    } else if (inner.kind == PK_NODE_AND || inner.kind == PK_NODE_OR) {
      for (std::uint32_t i = 0; i < inner.child_count; ++i) open.push_back(inner.first_child + i);
    }
  }
  return false;
}

// The conditions on the row itself: everything that reads the table again counts as met. In a tree without NOT that never
// makes a row match less.
std::vector<pk_node> own_nodes(const DeleteShape& shape) {
  std::vector<pk_node> nodes;
  for (std::uint32_t i = 0; i < shape.predicate->node_count; ++i) {
    pk_node node = sdk::node_at(*shape.predicate, i);
    if (reads_itself(shape, node)) {
      node = pk_node{};
      node.kind = PK_NODE_TRUE;
    }
    nodes.push_back(node);
  }
  return nodes;
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

std::string column_names(const DeleteShape& shape, const std::vector<std::string>& names, const std::string& prefix) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + prefix + shape.dialect->quote(name);
  return out;
}

std::vector<std::string> key_names(const DeleteShape& shape) {
  std::vector<std::string> names;
  for (const std::uint32_t position : shape.table->key) names.push_back(shape.table->columns[position].name);
  return names;
}

// table JOIN (keys that matched in the statement's snapshot) WHERE the row's own conditions, on its latest version under lock.
// A subquery on the target itself is refused by MySQL (error 1093), but not inside a derived table.
void add_join_by_keys(const DeleteShape& shape, Sql& out, const AddSql& add_range, const AddSql& add_tail) {
  const std::string target = sdk::qualified(*shape.dialect, shape.table->schema, shape.table->name);
  const std::string mine = shape.dialect->quote(shape.table->name) + ".";
  const std::vector<std::string> key = key_names(shape);
  out << target << " JOIN (SELECT ";
  for (std::size_t i = 0; i < key.size(); ++i) out << (i > 0 ? ", " : "") << mine + shape.dialect->quote(key[i]) << " AS pk_k" << std::to_string(i);
  out << " FROM " << target;
  add_where(shape, out, add_range, add_tail);
  out << ") AS pk_keys ON ";
  for (std::size_t i = 0; i < key.size(); ++i) {
    out << (i > 0 ? " AND " : "") << mine + shape.dialect->quote(key[i]) << " = pk_keys.pk_k" << std::to_string(i);
  }
  out << " WHERE ";
  const std::vector<pk_node> nodes = own_nodes(shape);
  pk_predicate own = *shape.predicate;
  own.node_size = sizeof(pk_node);
  own.nodes = nodes.data();
  sdk::Renderer(out, own, shape.dialect->quote(shape.table->name), true).render();
}

void refuse_inexact_keys(const DeleteShape& shape) {
  const auto check = [&](const std::string& name) {
    const sdk::Column* column = shape.table->find(name);
    if (column != nullptr && (column->kind == PK_COLUMN_DECIMAL || column->kind == PK_COLUMN_REAL)) {
      throw Error(PK_NOT_SUPPORTED, "table " + shape.table->name + ": rows can't be told apart exactly by " + name + " (" + column->type_name +
                                        "), which dependents or keep_latest need; nothing was changed");
    }
  };
  for (const std::string& name : shape.collect) check(name);
  for (const std::string& name : key_names(shape)) check(name);
}

}  // namespace

ChunkDelete chunk_delete(const DeleteShape& shape, const AddSql& add_range, const AddSql& add_tail) {
  const std::string target = sdk::qualified(*shape.dialect, shape.table->schema, shape.table->name);
  bool self = false;
  for (std::uint32_t i = 0; i < shape.predicate->node_count; ++i) self = self || reads_itself(shape, sdk::node_at(*shape.predicate, i));
  if (self && shape.table->key.empty()) {
    throw Error(PK_NOT_SUPPORTED, "table " + shape.table->name +
                                      " has no primary key and no unique key over NOT NULL columns, which a rule that compares its rows with "
                                      "each other needs; nothing was changed: add one");
  }
  if (!shape.collect.empty()) refuse_inexact_keys(shape);

  ChunkDelete out{Sql(*shape.dialect), !shape.collect.empty() && (self || !shape.dialect->has_returning())};
  const std::string mine = shape.dialect->quote(shape.table->name) + ".";
  if (out.by_keys) {
    if (shape.table->key.empty()) {
      throw Error(PK_NOT_SUPPORTED, "table " + shape.table->name + " has no key to delete its rows together with dependents; nothing was changed: add a primary key");
    }
    out.sql << "SELECT " << column_names(shape, shape.collect, mine) << ", " << column_names(shape, key_names(shape), mine) << " FROM ";
    if (self) {
      add_join_by_keys(shape, out.sql, add_range, add_tail);
    } else {
      out.sql << target;
      add_where(shape, out.sql, add_range, add_tail);
    }
    out.sql << " FOR UPDATE";
  } else if (self) {
    out.sql << "DELETE " << target << " FROM ";
    add_join_by_keys(shape, out.sql, add_range, add_tail);
  } else {
    out.sql << "DELETE FROM " << target;
    add_where(shape, out.sql, add_range, add_tail);
    if (!shape.collect.empty()) out.sql << " RETURNING " << column_names(shape, shape.collect, "");
  }
  return out;
}

}  // namespace purgekit::mysql
