// Which walks a table offers, and what each would cost.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "bounds.hpp"
#include "catalogue.hpp"
#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Rows;
using sdk::Sql;
using sdk::Value;

namespace {

constexpr int incremental_sort_since = 130000;
// A row fetched by an index from a page of its own, as against a page read in order. Lower than random_page_cost: the
// deletes dirty the page in either case.
constexpr double scattered_page_cost = 1.5;
// Measured: finding each chunk's end and going by the index doubles the work even on a heap in the index's order.
constexpr double ordered_cost = 2;
constexpr double usual_chunk_rows = 1000;

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, share < 0.1 ? "%.1f %%" : "%.0f %%", share * 100);
  return text;
}

}  // namespace

std::optional<Sql> PgConnection::bound_of(const pk_predicate& predicate, const std::string& column) const {
  for (const pk_node* node : required_times(predicate)) {
    if (sdk::to_view(node->column) != column) continue;
    Sql bound(dialect_);
    dialect_.time_before(bound, dialect_.quote(column), *node, false);
    return bound;
  }
  return std::nullopt;
}

// In the order of the index, or a plan from stale statistics might read the whole table for one row.
std::pair<std::string, std::string> PgConnection::along_index(const sdk::Purge& purge) {
  if (purge.walk.rfind(index_prefix, 0) != 0) return {"", ""};
  const std::string name = purge.walk.substr(index_prefix.size());
  const sdk::Table& table = known(purge);
  const auto index = std::find_if(table.indexes.begin(), table.indexes.end(), [&](const auto& i) { return i.name == name; });
  if (index == table.indexes.end()) throw Error(PK_SCHEMA_CHANGED, "index " + name + " of table " + table.name + " is gone; plan again");
  return {"", " ORDER BY " + dialect_.quote(table.columns.at(index->columns.at(0)).name)};
}

std::vector<sdk::Walk> PgConnection::propose(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  const sdk::Table& table = known(purge);
  if (table.kind == PK_TABLE_FOREIGN) {
    throw Error(PK_NOT_SUPPORTED, "table " + table.name + " is a foreign table; purge it on the server that stores it");
  }
  const std::vector<Leaf> leaves = read_leaves(static_cast<SqlSession&>(*this), table_oid(purge), line_.server_version());
  const bool foreign = std::any_of(leaves.begin(), leaves.end(), [](const Leaf& leaf) { return leaf.relkind == 'f'; });
  if (foreign) throw Error(PK_NOT_SUPPORTED, "a partition of table " + table.name + " is a foreign table; purge the others under their own names");
  const bool heap = std::all_of(leaves.begin(), leaves.end(), [](const Leaf& leaf) { return leaf.is_heap(); });
  const bool children_first = std::any_of(purge.dependents.begin(), purge.dependents.end(), [](const auto& d) { return !d.unless_referenced; });
  std::vector<sdk::Walk> walks;
  if (heap) {
    walks.push_back({tid_walk, "tid-range", "", 1, "the heap is read once in its physical order, however it is sorted"});
    std::int64_t pages = 0;
    for (const Leaf& leaf : leaves) pages += leaf.pages;
    const double rows = static_cast<double>(std::max<std::int64_t>(rows_total > 0 ? rows_total : table.rows_estimate, 1));
    const double rows_per_page = std::max(1.0, rows / static_cast<double>(std::max<std::int64_t>(pages, 1)));
    std::set<std::string> seen;
    // Children of old-style inheritance need not have their parent's indexes; partitions do.
    const bool one_index = table.partition_count == 0 || leaves.empty() || leaves.front().oid != table_oid(purge);
    for (const sdk::Index& index : table.indexes) {
      if (!one_index || line_.server_version() < incremental_sort_since || index.partial || index.columns.empty()) continue;
      if (index.columns[0] == sdk::Index::expression) continue;
      const sdk::Column& column = table.columns.at(index.columns[0]);
      const std::optional<Sql> bound = bound_of(*purge.predicate, column.name);
      if (!bound || !seen.insert(column.name).second) continue;
      const std::string select = "SELECT 1 FROM " + sdk::qualified(dialect_, table.schema, table.name) + " WHERE " + bound->text();
      const double share = std::clamp(static_cast<double>(std::max(planned_rows(bound->with_text(select)), rows_matching)) / rows, 0.0, 1.0);
      const Rows stats = query(
          "SELECT COALESCE(correlation, 0)::float8, n_distinct::float8 FROM pg_catalog.pg_stats"
          " WHERE schemaname = $1::text AND tablename = $2::text AND attname = $3::text ORDER BY inherited DESC LIMIT 1",
          {Value::string(table.schema), Value::string(table.name), Value::string(column.name)});
      const double correlation = stats.empty() ? 0 : stats[0].at(0).f64;
      const double distinct = stats.empty() || stats[0].at(1).f64 == 0 ? rows : stats[0][1].f64 < 0 ? -stats[0][1].f64 * rows : stats[0][1].f64;
      // The end of a chunk is found among the rows of its last value, so many equal values are read again and again.
      const double equal = 1 + rows / std::max(distinct, 1.0) / usual_chunk_rows;
      const double ordered = correlation * correlation;
      // Each row of a scattered heap lies on a page of its own; an ordered one is read page by page.
      const double cost = equal * share * (ordered_cost * ordered + scattered_page_cost * rows_per_page * (1 - ordered));
      const std::string reason = "about " + percent(share) + " of the rows lie before the cutoff in this index, and the heap is " +
                                 (ordered > 0.8 ? "sorted" : ordered < 0.2 ? "not sorted" : "partly sorted") + " by it";
      walks.push_back({std::string(index_prefix) + index.name, "index-range", index.name, cost, reason});
    }
  }
  if (!table.key.empty() && !children_first) {
    walks.push_back({"key", "key-range", "", heap ? 3.0 : 1.0, "ranges of the primary key, each visited once"});
  }
  if (walks.empty()) {
    throw Error(PK_NOT_SUPPORTED, "table " + table.name + " is not stored in a heap of this server and has no key that could be walked");
  }
  std::stable_sort(walks.begin(), walks.end(), [](const sdk::Walk& a, const sdk::Walk& b) { return a.cost < b.cost; });
  return walks;
}

}  // namespace purgekit::postgresql
