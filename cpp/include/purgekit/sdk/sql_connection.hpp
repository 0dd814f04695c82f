/// \file sql_connection.hpp
/// The plain-SQL way for every verb. A SQL backend derives from this, gives a dialect, a way to run statements and a
/// description of tables, and overrides what its database can do better.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/sdk/children.hpp"
#include "purgekit/sdk/connection.hpp"
#include "purgekit/sdk/key_range.hpp"
#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sql_ledger.hpp"
#include "purgekit/sdk/sql_session.hpp"

namespace purgekit::sdk {

class SqlConnection : public Connection, protected SqlSession {
 public:
  /// Reads the catalogue through read_table and remembers the answer for the verbs below.
  Table describe(const TableName& name) final {
    Table table = read_table(name);
    tables_[{table.schema, table.name}] = table;
    return table;
  }

  std::int64_t count(const Purge& purge) override {
    Sql sql(dialect());
    sql << "SELECT COUNT(*) FROM " << qualified(dialect(), purge.schema, purge.table) << " WHERE ";
    render_predicate(sql, *purge.predicate, purge.table);
    return fetch(sql).at(0).at(0).i64;
  }

  std::string sample_key(const Purge& purge) override {
    const std::vector<KeyColumn> key = key_columns(known(purge));
    Sql sql(dialect());
    sql << "SELECT " << (key.empty() ? "1" : column_list(key)) << " FROM " << qualified(dialect(), purge.schema, purge.table) << " WHERE ";
    render_predicate(sql, *purge.predicate, purge.table);
    sql << dialect().limit(1);
    const Rows rows = fetch(sql);
    return rows.empty() || key.empty() ? "" : people_key(known(purge), rows[0]);
  }

  /// The newest value through an index that leads with the column, and the first rows the table gives.
  std::vector<Value> sample_column(const Purge& purge, const std::string& column) override {
    const Table& table = known(purge);
    const Column* described = table.find(column);
    if (described == nullptr) throw Error(PK_NOT_FOUND, "no column " + column + " in " + table.name);
    const std::string from = " FROM " + qualified(dialect(), purge.schema, purge.table) + " WHERE " + dialect().quote(column) + " IS NOT NULL";
    std::vector<Value> out;
    const auto add = [&](const std::string& tail) {
      Sql sql(dialect());
      sql << "SELECT " << dialect().quote(column) << from << tail;
      for (Row& row : fetch(sql)) {
        if (auto value = as_sample(std::move(row.at(0)), *described)) out.push_back(std::move(*value));
      }
    };
    for (const Index& index : table.indexes) {
      if (!index.partial && !index.columns.empty() && index.columns[0] < table.columns.size() && table.columns[index.columns[0]].name == column) {
        add(" ORDER BY " + dialect().quote(column) + " DESC" + dialect().limit(1));
        break;
      }
    }
    add(dialect().limit(500));
    return out;
  }

  std::vector<Walk> propose(const Purge& purge, std::int64_t, std::int64_t) override {
    const Table& table = known(purge);
    if (table.key.empty()) {
      throw Error(PK_NOT_SUPPORTED, "table " + table.name + " has no primary key and no unique key over NOT NULL columns to walk along; add one");
    }
    return {Walk{"key", "key-range", "", 1, "ranges of the primary key, each visited once"}};
  }

  std::vector<std::string> prepare(const Purge& purge) override {
    prepare_common(purge);
    key_ = key_columns(known(purge));
    pass_end_.clear();
    std::vector<std::string> statements{delete_statement(true, true).text()};
    for (const ChildDelete& child : children_) statements.push_back(child.statement(8).text());
    return statements;
  }

  Deleted delete_range(const Range& range) override {
    set_lock_wait(range.lock_wait_ms);
    const Row after = decode_row(range.cursor);
    if (after.empty() || pass_end_.empty()) {
      pass_end_ = read_end();
      if (pass_end_.empty()) return Deleted{0, 0, range.cursor, true, 1};
    }
    Row until = probe(after, range.max_rows);
    const bool done = until.empty();
    if (done) until = pass_end_;
    const std::int64_t deleted = delete_rows(delete_statement(!after.empty(), true), joined(after, until));
    return Deleted{deleted, done ? std::max(deleted, std::int64_t{0}) : range.max_rows, encode_row(until), done, -1};
  }

  std::int64_t delete_children(std::size_t index) override { return children_.at(index).run(static_cast<SqlSession&>(*this), collected_); }

  Ledger ledger_find(const TableName& name) override {
    ledger_.emplace(static_cast<SqlSession&>(*this), name);
    Ledger out;
    out.ddl = ledger_->ddl();
    try {
      out.state = ledger_->state();
    } catch (const Error& e) {
      if (e.code() != PK_NOT_FOUND && e.code() != PK_INVALID_ARGUMENT) throw;
      // The statement fails alike for a table that is absent and for one that has other columns.
      out.state = exists(name) ? PK_LEDGER_FOREIGN : PK_LEDGER_ABSENT;
    }
    ledger_rights(name, out);
    return out;
  }
  void ledger_create() override { ledger().create(); }
  Slot slot_lock(const std::string& key, std::uint32_t wait_ms) override { return ledger().lock(key, wait_ms); }
  void slot_write(const Slot& slot) override { ledger().write(slot); }
  void run_write(const RunRecord& run) override { ledger().write_run(run); }
  std::vector<RunRecord> run_list() override { return ledger().runs(); }

  void begin(const std::string& key, std::int64_t epoch, std::int64_t seq) override {
    begin_transaction();
    if (!key.empty()) ledger().fence(key, epoch, seq);
  }
  void checkpoint(const Slot& slot) override { ledger().checkpoint(slot); }
  void commit() override { commit_transaction(); }
  void rollback() override { rollback_transaction(); }

 protected:
  /// Read the catalogue: exact name first, then without regard to case when unique; PK_NOT_FOUND otherwise.
  virtual Table read_table(const TableName& name) = 0;

  /// Fill can_create, can_write and grant_hint, where the database can tell without trying.
  virtual void ledger_rights(const TableName&, Ledger&) {}

  /// The DELETE of a chunk. `add_range` writes the condition of the walk. Override for databases that need another form.
  virtual void write_delete(Sql& out, const std::function<void(Sql&)>& add_range) {
    out << "DELETE FROM " << qualified(dialect(), purge_.schema, purge_.table) << " WHERE ";
    add_range(out);
    out << " AND ";
    add_predicate(out);
    add_returning(out);
  }

  /// Condition the rows of a chunk must satisfy.
  void add_predicate(Sql& out) const { predicate_.add_to(out, purge_.table); }

  /// RETURNING of the columns that dependents need, where there are any.
  void add_returning(Sql& out) const {
    if (collect_.empty() || !dialect().has_returning()) return;
    out << " RETURNING " << collect_list();
  }

  std::string collect_list() const {
    std::string list;
    for (const std::string& column : collect_) list += (list.empty() ? "" : ", ") + dialect().quote(column);
    return list;
  }

  /// Keep what later verbs need of a purge. Call it first when overriding prepare.
  void prepare_common(const Purge& purge) {
    known(purge);
    predicate_ = OwnedPredicate(*purge.predicate);
    purge_ = purge;
    purge_.predicate = nullptr;
    collect_ = collected_columns(purge.dependents);
    children_.clear();
    for (const Dependent& d : purge.dependents) children_.emplace_back(dialect(), purge, d);
  }

  /// Run a rendered DELETE and keep the parents' values for delete_children. Without RETURNING the rows are read and locked
  /// first, and a count that differs is a conflict: the chunk is to be tried again.
  std::int64_t delete_rows(const Sql& statement, const Row& slots) {
    collected_.clear();
    if (collect_.empty()) return run(statement, slots);
    if (dialect().has_returning()) {
      collected_ = fetch(statement, slots);
      return static_cast<std::int64_t>(collected_.size());
    }
    collected_ = fetch(lock_statement(statement), slots);
    const std::int64_t deleted = run(statement, slots);
    if (deleted != static_cast<std::int64_t>(collected_.size())) {
      throw Error(PK_SERIALIZATION, "rows changed between locking and deleting them");
    }
    return deleted;
  }

  /// SELECT … FOR UPDATE over the same rows as a DELETE made by write_delete.
  virtual Sql lock_statement(const Sql& statement) const {
    const std::string prefix = "DELETE FROM ";
    if (statement.text().rfind(prefix, 0) != 0) throw Error(PK_INTERNAL, "this backend must override lock_statement");
    return statement.with_text("SELECT " + collect_list() + " FROM " + statement.text().substr(prefix.size()) + dialect().for_update());
  }

  /// The table as described on this connection; described now if it was not.
  const Table& known(const Purge& purge) {
    auto found = tables_.find({purge.schema, purge.table});
    if (found == tables_.end()) {
      describe(TableName{purge.schema, purge.table, true, true});
      found = tables_.find({purge.schema, purge.table});
      if (found == tables_.end()) throw Error(PK_SCHEMA_CHANGED, "table " + purge.table + " is no longer there");
    }
    return found->second;
  }

  bool exists(const TableName& name) {
    try {
      read_table(TableName{name.schema, name.name, true, true});
      return true;
    } catch (const Error& e) {
      if (e.code() != PK_NOT_FOUND) throw;
      return false;
    }
  }

  /// After a reconnect nothing is known any more.
  void forget_tables() { tables_.clear(); }

  std::vector<KeyColumn> key_columns(const Table& table) const {
    std::vector<KeyColumn> key;
    for (const std::uint32_t position : table.key) {
      const Column& column = table.columns.at(position);
      key.push_back({dialect().quote(column.name), column.kind});
    }
    return key;
  }

  /// "ID=5, TYPE=x" for people.
  static std::string people_key(const Table& table, const Row& row) {
    std::string out;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const Value& v = row[i];
      out += (out.empty() ? "" : ", ") + table.columns.at(table.key.at(i)).name + "=";
      switch (v.kind) {
        case PK_VALUE_NULL: out += "NULL"; break;
        case PK_VALUE_REAL: out += std::to_string(v.f64); break;
        case PK_VALUE_UINT: out += std::to_string(static_cast<std::uint64_t>(v.i64)); break;
        case PK_VALUE_DECIMAL:
        case PK_VALUE_TEXT: out += v.text; break;
        case PK_VALUE_BYTES: out += encode_row({v}).substr(1); break;
        case PK_VALUE_INSTANT:
        case PK_VALUE_WALL: out += format_time(v.i64, 6); break;
        case PK_VALUE_INT:
        case PK_VALUE_BOOL: out += std::to_string(v.i64); break;
      }
    }
    return out;
  }

  /// A column value as a sample: numbers as they are, times as INSTANT or WALL, nothing when unreadable.
  static std::optional<Value> as_sample(Value value, const Column& column) {
    if (value.kind != PK_VALUE_TEXT) return value;
    const bool time_like = column.kind == PK_COLUMN_DATE || column.kind == PK_COLUMN_TIMESTAMP || column.kind == PK_COLUMN_TIMESTAMP_ZONED ||
                           column.kind == PK_COLUMN_TEXT || column.kind == PK_COLUMN_ANY;
    if (!time_like) return value;
    const auto parsed = parse_iso_time(value.text);
    if (!parsed) return std::nullopt;
    const bool instant = parsed->zoned || column.kind == PK_COLUMN_TIMESTAMP_ZONED;
    return instant ? Value::instant(parsed->ns) : Value::wall(parsed->ns);
  }

  SqlLedger& ledger() {
    if (!ledger_) throw Error(PK_INVALID_ARGUMENT, "the ledger has not been looked for on this connection");
    return *ledger_;
  }

  static Row joined(const Row& a, const Row& b) {
    Row out = a;
    out.insert(out.end(), b.begin(), b.end());
    return out;
  }

  /// A copy of the caller's predicate, because prepare outlives the call that brought it.
  class OwnedPredicate {
   public:
    OwnedPredicate() = default;
    explicit OwnedPredicate(const pk_predicate& p);
    void add_to(Sql& out, std::string_view table) const;
    bool reads(std::string_view schema, std::string_view table) const;

   private:
    pk_text own(pk_text text) {
      texts_->push_back(std::make_unique<std::string>(to_string(text)));
      return to_text(*texts_->back());
    }
    pk_predicate view() const;

    std::shared_ptr<std::vector<std::unique_ptr<std::string>>> texts_;
    std::vector<pk_node> nodes_;
    std::vector<pk_value> values_;
    std::vector<pk_join> joins_;
    std::vector<pk_text> names_;
    std::vector<pk_zone_step> steps_;
    std::uint32_t root_ = 0;
  };

  Purge purge_;                       ///< without its predicate
  OwnedPredicate predicate_;
  std::vector<std::string> collect_;  ///< parent columns that dependents need
  Rows collected_;                    ///< their values for the rows deleted in the open transaction
  std::vector<ChildDelete> children_;

 private:
  Row read_end() {
    Sql sql(dialect());
    sql << "SELECT " << column_list(key_) << " FROM " << qualified(dialect(), purge_.schema, purge_.table) << " ORDER BY " << order_by(key_, true)
        << dialect().limit(1);
    Rows rows = fetch(sql);
    return rows.empty() ? Row{} : std::move(rows[0]);
  }

  // Key of the last row of the chunk, or nothing when the pass ends before.
  Row probe(const Row& after, std::int64_t rows_wanted) {
    Sql sql(dialect());
    sql << "SELECT " << column_list(key_) << " FROM " << qualified(dialect(), purge_.schema, purge_.table) << " WHERE ";
    if (!after.empty()) {
      add_bound(sql, key_, ">", 0);
      sql << " AND ";
    }
    add_bound(sql, key_, "<=", after.size());
    sql << " ORDER BY " << order_by(key_) << dialect().limit(1, std::max<std::int64_t>(rows_wanted, 1) - 1);
    Rows rows = fetch(sql, joined(after, pass_end_));
    return rows.empty() ? Row{} : std::move(rows[0]);
  }

  Sql delete_statement(bool has_lower, bool has_upper) {
    Sql sql(dialect());
    write_delete(sql, [&](Sql& out) {
      if (has_lower) add_bound(out, key_, ">", 0);
      if (has_lower && has_upper) out << " AND ";
      if (has_upper) add_bound(out, key_, "<=", has_lower ? key_.size() : 0);
    });
    return sql;
  }

  std::map<std::pair<std::string, std::string>, Table> tables_;
  std::optional<SqlLedger> ledger_;
  std::vector<KeyColumn> key_;
  Row pass_end_;
};

inline SqlConnection::OwnedPredicate::OwnedPredicate(const pk_predicate& p)
    : texts_(std::make_shared<std::vector<std::unique_ptr<std::string>>>()), root_(p.root) {
  for (std::uint32_t i = 0; i < p.node_count; ++i) {
    pk_node n = node_at(p, i);
    n.column = own(n.column);
    n.lifetime_column = own(n.lifetime_column);
    n.other_schema = own(n.other_schema);
    n.other_table = own(n.other_table);
    n.sql = own(n.sql);
    nodes_.push_back(n);
  }
  for (std::size_t i = 0; i < p.value_count; ++i) {
    pk_value v = p.values[i];
    v.text = own(v.text);
    values_.push_back(v);
  }
  for (std::size_t i = 0; i < p.join_count; ++i) {
    pk_join j = p.joins[i];
    j.other_column = own(j.other_column);
    j.this_column = own(j.this_column);
    joins_.push_back(j);
  }
  for (std::size_t i = 0; i < p.name_count; ++i) names_.push_back(own(p.names[i]));
  steps_.assign(p.zone_steps, p.zone_steps + p.zone_step_count);
}

inline pk_predicate SqlConnection::OwnedPredicate::view() const {
  return pk_predicate{sizeof(pk_node), nodes_.data(),  nodes_.size(), root_,          0,
                      values_.data(),  values_.size(), joins_.data(), joins_.size(),  names_.data(),
                      names_.size(),   steps_.data(),  steps_.size()};
}

inline void SqlConnection::OwnedPredicate::add_to(Sql& out, std::string_view table) const { render_predicate(out, view(), table); }

inline bool SqlConnection::OwnedPredicate::reads(std::string_view schema, std::string_view table) const {
  return reads_table(view(), schema, table);
}

}  // namespace purgekit::sdk
