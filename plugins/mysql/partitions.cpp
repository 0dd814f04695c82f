#include "partitions.hpp"

#include <algorithm>
#include <iterator>
#include <sstream>

#include "dialect.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Sql;
using sdk::Value;

// A time that every matching row lies before, of a column that the partitions are made by.
const pk_node* bound_on(const pk_predicate& predicate, const std::string& expression) {
  const auto serves = [&](const pk_node& n) {
    return n.kind == PK_NODE_TIME && (n.flags & (PK_NEGATED | PK_PURGE_NULL)) == 0 && n.lifetime_column.size == 0 &&
           expression.find("`" + sdk::to_string(n.column) + "`") != std::string::npos;
  };
  const pk_node& root = sdk::node_at(predicate, predicate.root);
  if (serves(root)) return &root;
  if (root.kind != PK_NODE_AND) return nullptr;
  for (std::uint32_t i = 0; i < root.child_count; ++i) {
    const pk_node& child = sdk::node_at(predicate, root.first_child + i);
    if (serves(child)) return &child;
  }
  return nullptr;
}

}  // namespace

std::vector<Partition> read_partitions(Line& line, const std::string& schema, const std::string& table) {
  const sdk::Rows rows = line.query(
      "SELECT PARTITION_NAME, MAX(PARTITION_METHOD), MAX(PARTITION_EXPRESSION), MAX(SUBPARTITION_NAME IS NOT NULL), CAST(SUM(TABLE_ROWS) AS SIGNED) "
      "FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND PARTITION_NAME IS NOT NULL "
      "GROUP BY PARTITION_NAME, PARTITION_ORDINAL_POSITION ORDER BY PARTITION_ORDINAL_POSITION",
      {Value::string(schema), Value::string(table)});
  std::vector<Partition> out;
  for (const sdk::Row& row : rows) {
    std::string expression = row.at(2).text;
    // MySQL leaves the quotes of a bare column out.
    if (expression.find('`') == std::string::npos) expression = "`" + expression + "`";
    out.push_back({row.at(0).text, row.at(1).text, expression, row.at(3).i64 != 0, row.at(4).i64});
  }
  return out;
}

std::vector<Partition> purgeable_partitions(Line& line, const sdk::Table& table, const pk_predicate& predicate, const std::vector<Partition>& partitions) {
  if (partitions.empty()) return {};
  const pk_node* bound = bound_on(predicate, partitions.front().expression);
  if (bound == nullptr) return partitions;
  pk_node staying = *bound;
  staying.flags |= PK_NEGATED;
  pk_predicate condition = predicate;
  condition.nodes = &staying;
  condition.node_size = sizeof staying;
  condition.node_count = 1;
  condition.root = 0;
  const MysqlDialect dialect;
  Sql sql(dialect);
  const bool own_word = line.is_mariadb() || line.version() < 50700;
  sql << (own_word ? "EXPLAIN PARTITIONS " : "EXPLAIN ") << "SELECT 1 FROM " << sdk::qualified(dialect, table.schema, table.name) << " WHERE ";
  sdk::render_predicate(sql, condition, table.name);
  const sdk::Rows plan = line.query(sql.text(), sql.params());
  std::vector<std::string> kept;
  std::istringstream names(plan.empty() ? "" : plan[0].at(3).text);
  for (std::string name; std::getline(names, name, ',');) kept.push_back(name);
  std::vector<Partition> out;
  std::copy_if(partitions.begin(), partitions.end(), std::back_inserter(out), [&](const Partition& p) { return std::find(kept.begin(), kept.end(), p.name) == kept.end(); });
  return out;
}

}  // namespace purgekit::mysql
