// Child rows by arrays of their parents' values: one statement, however many parents.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Row;
using sdk::Value;

namespace {

// An element of an array literal: quoted always, so that NULL, braces and commas are text.
void add_element(std::string& array, const std::string& text) {
  if (array.size() > 1) array += ',';
  array += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') array += '\\';
    array += c;
  }
  array += '"';
}

}  // namespace

std::vector<std::string> PgConnection::array_types(const sdk::Dependent& dependent) {
  const sdk::Table& parent = archived_table(purge_, dependent.parent);
  std::vector<std::string> types;
  for (const std::string& name : dependent.parent_columns) {
    const sdk::Column* column = parent.find(name);
    if (column == nullptr) throw Error(PK_NOT_FOUND, "there is no column " + name + " in table " + parent.name + ", which a dependent refers to");
    types.push_back(column->type_name + "[]");
  }
  return types;
}

sdk::Sql PgConnection::dependent_delete(const sdk::Dependent& dependent, const std::vector<std::string>& types) const {
  const auto column = [&](std::size_t i) { return dialect_.quote(dependent.table) + "." + dialect_.quote(dependent.columns[i]); };
  sdk::Sql sql(dialect_);
  sql << "DELETE FROM " << sdk::qualified(dialect_, dependent.schema, dependent.table);
  if (types.size() == 1) {
    sql << " WHERE " << column(0) << " = ANY(";
    sql.slot(0) << "::" << types[0] << ")";
  } else {
    std::string names;
    std::string equal;
    sql << " USING ROWS FROM (";
    for (std::size_t i = 0; i < types.size(); ++i) {
      sql << (i > 0 ? ", " : "") << "pg_catalog.unnest(";
      sql.slot(i) << "::" << types[i] << ")";
      const std::string name = "c" + std::to_string(i + 1);
      names += (i > 0 ? ", " : "") + name;
      equal += (i > 0 ? " AND " : "") + column(i) + " = pk_gone." + name;
    }
    sql << ") AS pk_gone(" << names << ") WHERE " << equal;
  }
  if (dependent.unless_referenced) {
    sql << " AND NOT EXISTS (SELECT 1 FROM " << sdk::qualified(dialect_, purge_.schema, purge_.table) << " AS pk_still WHERE ";
    for (std::size_t i = 0; i < types.size(); ++i) {
      sql << (i > 0 ? " AND " : "") << "pk_still." << dialect_.quote(dependent.parent_columns[i]) << " = " << column(i);
    }
    sql << ")";
  }
  return sql;
}

// One array for each column, or nothing when no parent has values that a child could have.
std::vector<Value> PgConnection::parent_arrays(const sdk::Dependent& dependent, const sdk::Rows& parents) {
  const std::vector<std::string> collected = sdk::collected_columns(purge_.dependents, dependent.parent);
  std::vector<std::size_t> positions;
  for (const std::string& name : dependent.parent_columns) {
    positions.push_back(static_cast<std::size_t>(std::find(collected.begin(), collected.end(), name) - collected.begin()));
  }
  std::set<std::vector<std::string>> tuples;
  for (const Row& parent : parents) {
    std::vector<std::string> tuple;
    for (const std::size_t position : positions) {
      const Param text = to_param(parent.at(position));
      if (!text) break;
      tuple.push_back(*text);
    }
    if (tuple.size() == positions.size()) tuples.insert(std::move(tuple));
  }
  std::vector<Value> arrays;
  if (tuples.empty()) return arrays;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    std::string array = "{";
    for (const auto& tuple : tuples) add_element(array, tuple[i]);
    arrays.push_back(Value::string(array + "}"));
  }
  return arrays;
}

// For the rest of the transaction. To find the children of some thousand parents, the planner would read a table of some
// hundred thousand from one end to the other, in each chunk: cheap by its cost model, dear when many chunks do it.
void PgConnection::use_indexes() { execute("SET LOCAL enable_seqscan = off", {}); }

std::int64_t PgConnection::delete_child_rows(std::size_t index, const sdk::Rows& parents) {
  const sdk::Dependent& dependent = purge_.dependents.at(index);
  const std::vector<Value> arrays = parent_arrays(dependent, parents);
  if (arrays.empty()) return 0;
  use_indexes();
  return run_keeping(index + 1, dependent_delete(dependent, array_types(dependent)), arrays);
}

sdk::Rows PgConnection::read_child_rows(std::size_t index, const sdk::Rows& parents, const std::vector<std::string>& columns) {
  const sdk::Dependent& dependent = purge_.dependents.at(index);
  const std::vector<Value> arrays = parent_arrays(dependent, parents);
  if (arrays.empty()) return {};
  use_indexes();
  std::string list;
  std::string names;
  std::string equal;
  const std::vector<std::string> types = array_types(dependent);
  for (const std::string& column : columns) list += (list.empty() ? "" : ", ") + std::string("pk_child.") + dialect_.quote(column);
  sdk::Sql sql(dialect_);
  sql << "SELECT " << list << " FROM " << sdk::qualified(dialect_, dependent.schema, dependent.table) << " AS pk_child, ROWS FROM (";
  for (std::size_t i = 0; i < types.size(); ++i) {
    sql << (i > 0 ? ", " : "") << "pg_catalog.unnest(";
    sql.slot(i) << "::" << types[i] << ")";
    const std::string name = "c" + std::to_string(i + 1);
    names += (i > 0 ? ", " : "") + name;
    equal += (i > 0 ? " AND pk_child." : "pk_child.") + dialect_.quote(dependent.columns[i]) + " = pk_gone." + name;
  }
  sql << ") AS pk_gone(" << names << ") WHERE " << equal << " FOR UPDATE OF pk_child";
  return fetch(sql, arrays);
}

}  // namespace purgekit::postgresql
