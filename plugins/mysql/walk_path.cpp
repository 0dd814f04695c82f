#include "walk_path.hpp"

#include <algorithm>

#include "catalogue.hpp"
#include "chunk_delete.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;

constexpr const char* key_id = "key";
constexpr const char* scan_id = "scan";

void add_column(const MysqlDialect& dialect, const sdk::Table& table, std::uint32_t position, WalkPath& path) {
  const sdk::Column& column = table.columns[position];
  path.positions.push_back(position);
  path.columns.push_back({dialect.quote(column.name), column.kind});
}

bool contains(const std::vector<std::uint32_t>& list, std::uint32_t position) { return std::find(list.begin(), list.end(), position) != list.end(); }

bool covers_key(const sdk::Table& table, const WalkPath& path) {
  return !table.key.empty() && std::all_of(table.key.begin(), table.key.end(), [&](std::uint32_t c) { return contains(path.positions, c); });
}

// The leading columns that can be walked as a range: ENUM and SET sort by number and compare by name, and behind a NULL no
// further column can be compared.
void add_leading(const MysqlDialect& dialect, const sdk::Table& table, const std::vector<std::uint32_t>& columns, WalkPath& path, bool& complete) {
  for (const std::uint32_t position : columns) {
    if (contains(path.positions, position)) continue;
    const bool usable = position != sdk::Index::expression && is_walkable(table.columns[position]) && (path.columns.empty() || !table.columns[position].nullable);
    if (!usable) {
      complete = false;
      return;
    }
    add_column(dialect, table, position, path);
  }
}

std::optional<WalkPath> key_path(const MysqlDialect& dialect, const sdk::Table& table) {
  const sdk::Index* index = key_index(table);
  if (index == nullptr) return std::nullopt;
  WalkPath path{key_id, "key-range", index->name, {}, {}, false, std::nullopt};
  bool complete = true;
  add_leading(dialect, table, index->columns, path, complete);
  if (path.columns.empty()) return std::nullopt;
  path.unique = complete;
  return path;
}

bool bounds(const pk_node& node) {
  if (node.kind == PK_NODE_TIME) return (node.flags & PK_PURGE_NULL) == 0;
  return node.kind == PK_NODE_COMPARE && node.op != PK_NE;
}

// A condition at the top of the tree that no row with a NULL in `column` satisfies.
std::optional<std::uint32_t> guard_for(const pk_predicate& predicate, const std::string& column) {
  const auto fits = [&](std::uint32_t index) {
    const pk_node& node = sdk::node_at(predicate, index);
    return bounds(node) && sdk::to_view(node.column) == column;
  };
  if (fits(predicate.root)) return predicate.root;
  const pk_node& root = sdk::node_at(predicate, predicate.root);
  if (root.kind != PK_NODE_AND) return std::nullopt;
  for (std::uint32_t i = 0; i < root.child_count; ++i) {
    if (fits(root.first_child + i)) return root.first_child + i;
  }
  return std::nullopt;
}

std::optional<WalkPath> index_path(const MysqlDialect& dialect, const sdk::Table& table, const sdk::Index& index) {
  if (index.partial || index.columns.empty() || index.name == "PRIMARY") return std::nullopt;
  WalkPath path{index_prefix + index.name, "index-range", index.name, {}, {}, false, std::nullopt};
  bool complete = true;
  add_leading(dialect, table, index.columns, path, complete);
  if (path.columns.empty()) return std::nullopt;
  // InnoDB keeps the primary key behind the columns of each secondary index, in this order.
  const sdk::Index* primary = key_index(table);
  if (complete && primary != nullptr && primary->name == "PRIMARY" && table.storage == "InnoDB") add_leading(dialect, table, primary->columns, path, complete);
  path.unique = covers_key(table, path);
  return path;
}

}  // namespace

std::vector<WalkPath> walk_paths(const MysqlDialect& dialect, const sdk::Table& table, const pk_predicate& predicate) {
  std::vector<WalkPath> paths;
  if (auto path = key_path(dialect, table)) paths.push_back(std::move(*path));
  for (const sdk::Index& index : table.indexes) {
    auto path = index_path(dialect, table, index);
    if (!path || (!paths.empty() && paths[0].index == index.name)) continue;
    path->guard = guard_for(predicate, table.columns[path->positions[0]].name);
    if (path->guard) paths.push_back(std::move(*path));
  }
  if (paths.empty()) paths.push_back(WalkPath{scan_id, "scan", "", {}, {}, false, std::nullopt});
  return paths;
}

WalkPath path_of(const MysqlDialect& dialect, const sdk::Table& table, const pk_predicate& predicate, const std::string& id) {
  std::vector<WalkPath> paths = walk_paths(dialect, table, predicate);
  for (WalkPath& path : paths) {
    if (id.empty() || path.id == id) return std::move(path);
  }
  if (id == scan_id) return WalkPath{scan_id, "scan", "", {}, {}, false, std::nullopt};
  for (const sdk::Index& index : table.indexes) {
    auto path = index_path(dialect, table, index);
    if (path && path->id == id) return std::move(*path);
  }
  throw Error(PK_SCHEMA_CHANGED, "table " + table.name + " no longer offers the walk " + id + "; nothing was changed: plan again");
}

}  // namespace purgekit::mysql
