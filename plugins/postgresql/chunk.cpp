// A chunk: what is rendered once for it, and how a range of one leaf is removed.
#include <algorithm>
#include <utility>

#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Row;
using sdk::Rows;
using sdk::Sql;
using sdk::Value;

namespace {

// A policy's own SQL may hold subqueries too.
bool is_plain(const pk_predicate& predicate) {
  for (std::uint32_t i = 0; i < predicate.node_count; ++i) {
    if (sdk::node_at(predicate, i).kind == PK_NODE_SQL) return false;
  }
  return !sdk::has_subquery(predicate);
}

// Row addresses hold a comma, so each is quoted in the array.
std::string addresses_of(const Rows& locked) {
  std::string out = "{";
  for (const Row& row : locked) out += (out.size() > 1 ? ",\"" : "\"") + row.at(0).text + "\"";
  return out + "}";
}

}  // namespace

std::vector<std::string> PgConnection::prepare(const sdk::Purge& purge) {
  walk_.reset();
  care_ = {};
  if (purge.walk == "key" || purge.walk == sdk::keys_walk) return SqlConnection::prepare(purge);
  prepare_common(purge);
  const sdk::Table& table = known(purge);
  const std::int64_t oid = table_oid(purge);
  auto& session = static_cast<SqlSession&>(*this);
  if (purge.walk.rfind("move:", 0) == 0) {
    walk_ = make_move(purge);
    return walk_->statements();
  }
  const bool index_walk = purge.walk.rfind(index_prefix, 0) == 0;
  looks_elsewhere_ = !is_plain(*purge.predicate);
  unwrapped_ = index_walk || looks_elsewhere_;
  if (index_walk) {
    const std::string name = purge.walk.substr(index_prefix.size());
    const auto index = std::find_if(table.indexes.begin(), table.indexes.end(), [&](const auto& i) { return i.name == name; });
    if (index == table.indexes.end()) throw Error(PK_SCHEMA_CHANGED, "index " + name + " of table " + table.name + " is gone; plan again");
    const sdk::Column& column = table.columns.at(index->columns.at(0));
    Sql every(dialect_);
    every << dialect_.quote(column.name) << " IS NOT NULL";
    walk_ = make_index_walk(session, *this, dialect_, oid, dialect_.quote(column.name), column.type_name,
                            bound_of(*purge.predicate, column.name).value_or(every));
  } else {
    walk_ = make_tid_walk(session, *this, dialect_, oid);
  }
  if (children_first_) require_lock_right(purge);
  for (std::size_t i = 0; i < purge.dependents.size(); ++i) {
    const sdk::Dependent& d = purge.dependents[i];
    if (!sdk::collected_columns(purge.dependents, static_cast<std::uint32_t>(i) + 1).empty()) require_lock_right(table_of(d.schema, d.table));
  }
  std::vector<std::string> statements = walk_->statements();
  if (children_first_) add_statement(statements, removal_by_address(read_leaves(session, oid, line_.server_version()).front()));
  for (std::size_t i = 0; i < purge_.dependents.size(); ++i) {
    add_statement(statements, dependent_delete(purge_.dependents[i], array_types(purge_.dependents[i])), i + 1);
  }
  return statements;
}

void PgConnection::require_lock_right(const sdk::Purge& table) {
  for (const Leaf& leaf : read_leaves(static_cast<SqlSession&>(*this), table_oid(table), line_.server_version())) {
    if (leaf.may_update) continue;
    const std::string leaf_name = sdk::qualified(dialect_, leaf.schema, leaf.name);
    throw Error(PK_PRIVILEGE, "rows of " + leaf_name + " must be locked before their dependents go, and PostgreSQL asks for UPDATE to do that: GRANT UPDATE ON " +
                                  leaf_name + " TO " + user_);
  }
}

std::string PgConnection::target(const Leaf& leaf) const {
  return "ONLY " + sdk::qualified(dialect_, leaf.schema, leaf.name) + " AS " + dialect_.quote(purge_.table);
}

Sql PgConnection::removal(const Leaf& leaf, const WriteRange& range) const {
  Sql sql(dialect_);
  if (children_first_) {
    sql << "SELECT ctid::text, " << collect_list() << " FROM " << target(leaf) << " WHERE ";
  } else {
    sql << "DELETE FROM " << target(leaf) << " WHERE ";
  }
  range(sql);
  sql << " AND ";
  if (unwrapped_) {
    add_predicate(sql);
  } else {
    // CASE hides the predicate from the planner, which is to walk the range and nothing else. With outdated statistics it
    // would scan an index of the predicate from one end to the other for each chunk, and to estimate "time > 0" it would
    // read over all entries deleted so far, each time. Subqueries are left alone: they are planned better as joins.
    sql << "CASE WHEN ";
    add_predicate(sql);
    sql << " THEN true ELSE false END";
  }
  if (children_first_) sql << dialect_.for_update();
  return sql;
}

std::string PgConnection::remove_text(const Leaf& leaf, const WriteRange& range) const {
  const Sql sql = removal(leaf, range);
  if (children_first_) return sql.text();
  if (can_copy_first(leaf)) return archive(0)->insert(sql).text() + "; " + sql.text();
  std::vector<std::string> statements;
  add_statement(statements, sql);
  return statements.back();
}

// The rows are locked when they are copied, so as many as were copied are the same ones; unless a trigger keeps some, or others than they
// decide. PostgreSQL asks for UPDATE to lock rows.
bool PgConnection::can_copy_first(const Leaf& leaf) const {
  return archive(0) != nullptr && collect_.empty() && !looks_elsewhere_ && leaf.may_update && !leaf.has_delete_triggers;
}

RangeRemover::Removed PgConnection::remove(const Leaf& leaf, const WriteRange& range, std::int64_t max_rows) {
  const Sql sql = removal(leaf, range);
  if (!children_first_) {
    if (const sdk::SinkWriter* writer = sink(0)) return remove_to_sink(*writer, sql, max_rows);
    const std::int64_t rows = can_copy_first(leaf) ? archive(0)->copy_and_delete(static_cast<SqlSession&>(*this), sql, max_rows) : delete_rows(sql, {});
    if (rows <= max_rows) return {rows, false};
    collected_.clear();
    line_.undo_range();
    return {rows, true};
  }
  Rows locked = fetch(sql);
  const auto rows = static_cast<std::int64_t>(locked.size());
  if (rows > max_rows) {
    collected_.clear();
    children_deleted_.assign(purge_.dependents.size(), 0);
    line_.undo_range();
    return {rows, true};
  }
  return {remove_with_children(leaf, locked), false};
}

Sql PgConnection::removal_by_address(const Leaf& leaf) const {
  Sql sql(dialect_);
  sql << "DELETE FROM " << target(leaf) << " WHERE ctid = ANY(";
  sql.slot(0) << "::tid[])";
  return sql;
}

// The locked rows can't change any more, so they go by their address: children first, because a foreign key without
// cascade forbids the other order and one with cascade would delete them uncounted.
std::int64_t PgConnection::remove_with_children(const Leaf& leaf, const Rows& locked) {
  collected_.clear();
  for (const Row& row : locked) collected_.emplace_back(row.begin() + 1, row.end());
  if (locked.empty()) return 0;
  delete_children_first();
  const sdk::Row addresses{Value::string(addresses_of(locked))};
  const Sql sql = removal_by_address(leaf);
  const std::int64_t deleted = run_keeping(0, sql, addresses);
  if (deleted != static_cast<std::int64_t>(locked.size())) {
    throw Error(PK_TRIGGER, "a trigger of " + purge_.table + " kept a row whose dependents were to go with it; the chunk was rolled back");
  }
  return deleted;
}

sdk::Deleted PgConnection::delete_range(const sdk::Range& range) {
  const Line::Call call(line_);
  try {
    return next_range(range);
  } catch (Error& e) {
    if (e.code() == PK_CANCELLED) throw;
    if (e.code() != PK_NOT_FOUND) throw e.context("deleting from " + purge_.table);
    Error changed(PK_SCHEMA_CHANGED, "table " + purge_.table + " is no longer what was planned for: " + e.message() + "; what was committed is recorded, plan again");
    throw changed.sqlstate(e.sqlstate());
  }
}

sdk::Deleted PgConnection::next_range(const sdk::Range& range) {
  if (!walk_) return SqlConnection::delete_range(range);
  start_chunk(range);
  line_.start_range(range.lock_wait_ms);
  return walk_->next(range);
}

}  // namespace purgekit::postgresql
