/// \file sql_connection.hpp
/// The plain-SQL way for every verb. A SQL backend derives from this, gives a dialect, a way to run statements and a
/// description of tables, and overrides what its database can do better.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/sdk/archive.hpp"
#include "purgekit/sdk/archive_table.hpp"
#include "purgekit/sdk/children.hpp"
#include "purgekit/sdk/connection.hpp"
#include "purgekit/sdk/key_range.hpp"
#include "purgekit/sdk/load.hpp"
#include "purgekit/sdk/owned_predicate.hpp"
#include "purgekit/sdk/people.hpp"
#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/restore.hpp"
#include "purgekit/sdk/sampling.hpp"
#include "purgekit/sdk/sink_writer.hpp"
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
    const auto [hint, order] = along_index(purge);
    Sql sql(dialect());
    sql << "SELECT " << (key.empty() ? "1" : column_list(key)) << " FROM " << qualified(dialect(), purge.schema, purge.table) << hint << " WHERE ";
    render_predicate(sql, *purge.predicate, purge.table);
    sql << order << dialect().limit(1);
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

  std::vector<Value> sample_rows(const Purge& purge, std::size_t most) override { return sampled_rows(static_cast<SqlSession&>(*this), known(purge), purge, most); }

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
    std::vector<std::string> statements;
    add_statement(statements, purge.walk == keys_walk ? whole_delete() : delete_statement(true, true));
    add_child_statements(statements);
    return statements;
  }

  Deleted delete_range(const Range& range) override {
    start_chunk(range);
    set_lock_wait(range.lock_wait_ms);
    if (purge_.walk == keys_walk) {
      const std::int64_t deleted = delete_rows(whole_delete(), {});
      return Deleted{deleted, deleted, "", true, 1};
    }
    const Row after = decode_row(range.cursor);
    if (!after.empty() && after.size() != key_.size()) throw Error(PK_CORRUPT, "the cursor in the ledger belongs to another way through the table; remove the slot row and start over");
    if (!range.until.empty()) {
      pass_end_ = decode_row(range.until);
    } else if (after.empty() || pass_end_.empty() || ends_at_cut_) {
      pass_end_ = read_end();
    }
    ends_at_cut_ = !range.until.empty();
    if (pass_end_.empty()) return Deleted{0, 0, range.cursor, true, 1};
    Row until = probe(after, range.max_rows);
    const bool done = until.empty();
    if (done) until = pass_end_;
    const std::int64_t deleted = delete_rows(delete_statement(!after.empty(), true), joined(after, until));
    return Deleted{deleted, done ? std::max(deleted, std::int64_t{0}) : range.max_rows, encode_row(until), done, -1};
  }

  std::int64_t delete_children(std::size_t index) override {
    return goes_first(index) ? children_deleted_.at(index) : delete_child_rows(index, collected_);
  }

  std::vector<ArchiveInfo> archive_find(const Purge& purge) override {
    std::vector<ArchiveInfo> out;
    for (std::size_t i = 0; i < purge.archives.size(); ++i) out.push_back(find_archive(archived_table(purge, i), purge.archives[i]));
    return out;
  }

  void archive_create(const Purge& purge) override {
    for (std::size_t i = 0; i < purge.archives.size(); ++i) {
      const Table& source = archived_table(purge, i);
      const ArchiveTable& target = purge.archives[i];
      if (target.is_mapped) continue;
      if (purge.walk == restore_walk) {
        make_findable(source, target);
      } else if (!exists({target.schema, target.table})) {
        // Without an index: a purge would pay for it with each row, and the few that restore anything make theirs.
        execute(archive_ddl(source, target), {});
      }
    }
  }

  Restored restore_next(const Restore& restore, std::int64_t after) override {
    set_lock_wait(restore.lock_wait_ms);
    const Table& source = known(table_of(restore.schema, restore.table));
    const Table& target = known(table_of(restore.archive.schema, restore.archive.table));
    return RowRestore(dialect(), source, known_shape(source), target, restore).next(static_cast<SqlSession&>(*this), after);
  }

  void archive_make(const Load& load) override {
    Table source = known(table_of(load.schema, load.table));
    std::erase_if(source.columns, [&](const Column& column) {
      return std::none_of(load.columns.begin(), load.columns.end(), [&](const Column& kept) { return kept.name == column.name; });
    });
    execute(archive_ddl(source, load.archive), {});
    execute(create_run_index(dialect(), load.archive), {});
  }

  void archive_load(const Load& load) override {
    if (load.rows > 0) insert_rows(load);
  }

  Measure measure(const std::string& sql, std::uint32_t timeout_ms) override {
    try {
      begin_looking(timeout_ms);
      const auto start = std::chrono::steady_clock::now();
      const Rows rows = query(sql, {});
      const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
      end_looking();
      return {elapsed.count(), rows.empty() || rows[0].empty() ? std::nullopt : as_number(rows[0][0])};
    } catch (...) {
      const std::exception_ptr problem = std::current_exception();
      try {
        end_looking();
      } catch (const Error&) {
        // What went wrong first says more; a session that can't take this is gone.
      }
      std::rethrow_exception(problem);
    }
  }

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
    ledger_is_older_ = out.state == PK_LEDGER_OLDER;
    return out;
  }
  void ledger_create() override {
    if (ledger_is_older_) ledger().upgrade();
    else ledger().create();
  }
  Slot slot_lock(const std::string& key, std::uint32_t wait_ms) override { return ledger().lock(key, wait_ms); }
  void slot_write(const Slot& slot) override { ledger().write(slot); }
  void run_write(const RunRecord& run) override { ledger().write_run(run); }
  std::vector<RunRecord> run_list() override { return ledger().runs(); }
  void note_write(const std::string& kind, const RunRecord& note) override { ledger().write_note(kind, note); }
  void note_delete(const std::string& kind, const std::string& id) override { ledger().delete_note(kind, id); }
  std::vector<RunRecord> note_list(const std::string& kind) override { return ledger().notes(kind); }
  void note_add(const std::string& kind, const RunRecord& note) override { ledger().add_note(kind, note); }
  std::vector<RunRecord> note_page(const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most) override {
    return ledger().page(kind, prefix, after, most);
  }

  SharedSlot slot_share(const std::string& key) override { return ledger().share(key); }

  void begin(const std::string& key, std::int64_t epoch, std::int64_t seq) override {
    begin_transaction();
    if (!key.empty()) ledger().fence(key, epoch, seq);
  }
  void fence(const std::string& key, std::int64_t epoch, std::int64_t seq) override { ledger().fence(key, epoch, seq); }
  void checkpoint(const Slot& slot) override { ledger().checkpoint(slot); }
  void commit() override { commit_transaction(); }
  void rollback() override { rollback_transaction(); }

 protected:
  /// Read the catalogue: exact name first, then without regard to case when unique; PK_NOT_FOUND otherwise.
  virtual Table read_table(const TableName& name) = 0;

  /// Begin a transaction in which nothing can be written and no statement takes longer than this.
  virtual void begin_looking(std::uint32_t /*timeout_ms*/) { unsupported<int>("a query of one's own"); }
  virtual void end_looking() { rollback_transaction(); }

  /// Fill can_create, can_write and grant_hint, where the database can tell without trying.
  virtual void ledger_rights(const TableName&, Ledger&) {}

  /// The same for an archive table.
  virtual void archive_rights(const ArchiveTable&, ArchiveInfo&) {}

  /// Store rows out of a file. Override it where the database takes many rows in a better way.
  virtual void insert_rows(const Load& load) { RowLoad(dialect(), load).run(static_cast<SqlSession&>(*this)); }

  /// Which columns of a table an INSERT must leave out or can't, and what fires on it. A database that does not tell has nothing of it.
  virtual InsertShape insert_shape(const Table&) { return {}; }

  using ArchiveShape = sdk::ArchiveShape;
  virtual ArchiveShape archive_shape(const Table& source) { return plain_archive_shape(source); }

  /// The DELETE of a chunk. `add_range` writes the condition of the walk. Override for databases that need another form.
  virtual void write_delete(Sql& out, const std::function<void(Sql&)>& add_range) {
    out << "DELETE FROM " << qualified(dialect(), purge_.schema, purge_.table) << " WHERE ";
    add_range(out);
    out << " AND ";
    add_predicate(out);
  }

  /// The DELETE of all rows that satisfy the condition.
  Sql whole_delete() {
    Sql sql(dialect());
    write_delete(sql, [](Sql& out) { out << "1 = 1"; });
    return sql;
  }

  /// What makes the database look for a row by the index of `purge.walk`: behind the table's name, and behind the condition.
  virtual std::pair<std::string, std::string> along_index(const Purge&) { return {"", ""}; }

  /// Condition the rows of a chunk must satisfy.
  void add_predicate(Sql& out) const { predicate_.add_to(out, purge_.table); }

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
    children_first_ = false;
    for (std::size_t i = 0; i < purge.dependents.size(); ++i) children_first_ = children_first_ || goes_first(i);
    children_.clear();
    for (const Dependent& d : purge.dependents) children_.emplace_back(dialect(), purge, d);
    archives_.clear();
    for (std::size_t i = 0; i < purge.archives.size(); ++i) add_writer(archived_table(purge, i), purge.archives[i], purge.run_id);
    sinks_.clear();
    for (std::size_t i = 0; purge.sink != nullptr && i <= purge.dependents.size(); ++i) sinks_.emplace_back(dialect(), archived_table(purge, i), *purge.sink, i);
  }

  /// What gives deleted rows of the table (0) or of dependent `index` - 1 to the host, or nullptr when they go nowhere.
  const SinkWriter* sink(std::size_t index) const { return sinks_.empty() ? nullptr : &sinks_.at(index); }

  /// The archive of the table (0) or of dependent `index` - 1, or nullptr when nothing is kept.
  const ArchiveWriter* archive(std::size_t index) const { return archives_.empty() ? nullptr : &archives_.at(index); }

  /// Tell the archives which chunk begins. Call it first when overriding delete_range.
  void start_chunk(const Range& range) {
    children_deleted_.assign(purge_.dependents.size(), 0);
    for (ArchiveWriter& writer : archives_) writer.start_chunk(range.chunk);
  }

  /// A chunk's statement for people, after the one that keeps what it deletes.
  void add_statement(std::vector<std::string>& statements, const Sql& statement, std::size_t index = 0) const {
    if (const SinkWriter* writer = sink(index)) {
      statements.push_back(writer->reading(statement).text());
      if (!dialect().has_returning()) statements.push_back(statement.text());
      return;
    }
    if (const ArchiveWriter* writer = archive(index)) {
      statements.push_back(writer->text(statement));
      if (dialect().has_modifying_ctes()) return;
    }
    statements.push_back(statement.text());
    if (index == 0 && !collect_.empty() && dialect().has_returning()) statements.back() += " RETURNING " + collect_list();
  }

  void add_child_statements(std::vector<std::string>& statements) const {
    for (std::size_t i = 0; i < children_.size(); ++i) add_statement(statements, children_[i].statement(8), i + 1);
  }

  /// Run a rendered DELETE (without RETURNING), keep its rows where asked for, and keep the parents' values for
  /// delete_children. Without RETURNING the rows are read and locked first, and a count that differs is a conflict: the chunk is
  /// to be tried again.
  std::int64_t delete_rows(const Sql& statement, const Row& slots) {
    collected_.clear();
    if (children_first_) return delete_locked(statement, slots);
    if (const SinkWriter* writer = sink(0)) {
      auto [deleted, collected] = writer->move(static_cast<SqlSession&>(*this), statement, slots, collect_);
      collected_ = std::move(collected);
      return deleted;
    }
    if (const ArchiveWriter* writer = archive(0)) {
      auto [deleted, collected] = writer->move(static_cast<SqlSession&>(*this), statement, slots, collect_);
      collected_ = std::move(collected);
      return deleted;
    }
    if (collect_.empty()) return run(statement, slots);
    if (dialect().has_returning()) {
      Sql returning = statement;
      collected_ = fetch(returning << " RETURNING " << collect_list(), slots);
      return static_cast<std::int64_t>(collected_.size());
    }
    collected_ = fetch(lock_statement(statement), slots);
    const std::int64_t deleted = run(statement, slots);
    if (deleted != static_cast<std::int64_t>(collected_.size())) {
      throw Error(PK_SERIALIZATION, "rows changed between locking and deleting them");
    }
    return deleted;
  }

  /// What tells a row of the purge's own table from every other, within a transaction.
  virtual std::vector<KeyColumn> row_address() { return key_columns(known(purge_)); }

  /// Whether rows of a dependent go before their parents.
  bool goes_first(std::size_t index) const { return !purge_.dependents.at(index).unless_referenced; }

  /// Delete the children that go first of the locked rows in `collected_`, theirs before them.
  void delete_children_first() {
    const std::size_t count = purge_.dependents.size();
    std::vector<Rows> parents(count + 1);
    parents[0] = collected_;
    for (std::size_t i = 0; i < count; ++i) {
      const std::vector<std::string> columns = collected_columns(purge_.dependents, static_cast<std::uint32_t>(i) + 1);
      if (!columns.empty()) parents[i + 1] = read_child_rows(i, parents.at(purge_.dependents[i].parent), columns);
    }
    for (std::size_t i = count; i-- > 0;) {
      if (goes_first(i)) children_deleted_.at(i) += delete_child_rows(i, parents.at(purge_.dependents[i].parent));
    }
  }

  /// Lock a dependent's rows of these parents and give `columns` of each.
  virtual Rows read_child_rows(std::size_t index, const Rows& parents, const std::vector<std::string>& columns) {
    return children_.at(index).read(static_cast<SqlSession&>(*this), parents, columns);
  }
  virtual std::int64_t delete_child_rows(std::size_t index, const Rows& parents) {
    return children_.at(index).run(static_cast<SqlSession&>(*this), parents, archive(index + 1), sink(index + 1));
  }

  /// Run a rendered DELETE of table number `index` (0: the purge's own), keeping its rows where asked for; how many went.
  std::int64_t run_keeping(std::size_t index, const Sql& statement, const Row& slots) {
    if (const SinkWriter* writer = sink(index)) return writer->move(static_cast<SqlSession&>(*this), statement, slots).first;
    if (const ArchiveWriter* writer = archive(index)) return writer->move(static_cast<SqlSession&>(*this), statement, slots).first;
    return run(statement, slots);
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

  /// Number `index` of the tables that `archives` belong to.
  const Table& archived_table(const Purge& purge, std::size_t index) {
    if (index == 0) return known(purge);
    const Dependent& d = purge.dependents.at(index - 1);
    return known(table_of(d.schema, d.table));
  }

  const InsertShape& known_shape(const Table& table) {
    auto shape = insert_shapes_.find({table.schema, table.name});
    if (shape == insert_shapes_.end()) shape = insert_shapes_.emplace(std::pair(table.schema, table.name), insert_shape(table)).first;
    return shape->second;
  }

  void add_writer(const Table& source, const ArchiveTable& target, const std::string& run_id) {
    if (!target.is_mapped) {
      archives_.emplace_back(dialect(), source, target, run_id);
      return;
    }
    const Table& found = known(table_of(target.schema, target.table));
    RowMapping mapping = Mapper(dialect(), source, found, known_shape(found), target).map();
    if (!mapping.problem.empty()) throw Error(PK_SCHEMA_CHANGED, mapping.problem + "; nothing was changed");
    archives_.emplace_back(dialect(), source, target, run_id, std::move(mapping));
  }

  static Purge table_of(const std::string& schema, const std::string& table) { return Purge{schema, table, nullptr, "", {}, {}, ""}; }

  /// Indexes by which a restore finds a run's chunks, and a hold the rows that were restored.
  void make_findable(const Table& source, const ArchiveTable& target) {
    const Table archive = read_table(TableName{target.schema, target.table, true, true});
    for (const std::string& statement : missing_indexes(dialect(), source, archive, target)) {
      try {
        execute(statement, {});
      } catch (Error& e) {
        throw e.context("archive " + target.table + " would be searched through faster after " + statement);
      }
    }
  }

  std::string archive_ddl(const Table& source, const ArchiveTable& target) { return create_archive(dialect(), source, target, archive_shape(source)); }

  ArchiveInfo find_archive(const Table& source, const ArchiveTable& target) {
    ArchiveInfo out;
    const std::string name = (target.schema.empty() ? "" : target.schema + ".") + target.table;
    const auto unfit = [&](const std::string& problem) {
      out.state = PK_ARCHIVE_UNFIT;
      out.problem = problem + "; nothing was changed";
      return out;
    };
    if (dialect().max_name_bytes() > 0 && target.table.size() > dialect().max_name_bytes()) {
      return unfit("the name of archive table " + name + " is longer than " + std::to_string(dialect().max_name_bytes()) + " bytes: name another with table:NAME");
    }
    if (!target.is_mapped && source.find(archive_run_column) != nullptr) return unfit("table " + source.name + " is an archive itself; what is purged from it is not archived again");
    std::optional<Table> found;
    try {
      found = read_table(TableName{target.schema, target.table, true, true});
    } catch (const Error& e) {
      if (e.code() != PK_NOT_FOUND) throw;
    }
    if (!found && target.is_mapped) return unfit("table " + name + ", which rows of table " + source.name + " are to be moved into, is not there: make it as its product does, or name another");
    if (!found) {
      out.ddl = archive_ddl(source, target);
      archive_rights(target, out);
      return out;
    }
    out.state = PK_ARCHIVE_PRESENT;
    if (found->kind != PK_TABLE_BASE) return unfit("archive table " + name + " is not an ordinary table");
    if (found->schema == source.schema && found->name == source.name) return unfit("table " + name + " can't be its own archive");
    if (!found->transactional) return unfit("archive table " + name + " is stored by " + found->storage + ", which can't roll back");
    if (target.is_mapped) {
      RowMapping mapping = Mapper(dialect(), source, *found, insert_shape(*found), target).map();
      if (!mapping.problem.empty()) return unfit(mapping.problem);
      out.lost = std::move(mapping.lost);
      ArchiveTable whole = target;
      whole.columns.clear();
      for (const MappedColumn& column : mapping.columns) whole.columns.push_back({column.target.name, column.from});
      archive_rights(whole, out);
      return out;
    }
    if (const std::string problem = archive_misfit(source, *found, name); !problem.empty()) return unfit(problem);
    archive_rights(target, out);
    return out;
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
  void forget_tables() {
    tables_.clear();
    insert_shapes_.clear();
  }

  std::vector<KeyColumn> key_columns(const Table& table) const {
    std::vector<KeyColumn> key;
    for (const std::uint32_t position : table.key) {
      const Column& column = table.columns.at(position);
      key.push_back({dialect().quote(column.name), column.kind});
    }
    return key;
  }

  SqlLedger& ledger() {
    if (!ledger_) throw Error(PK_INVALID_ARGUMENT, "the ledger has not been looked for on this connection");
    return *ledger_;
  }

  Purge purge_;                       ///< without its predicate
  OwnedPredicate predicate_;
  std::vector<std::string> collect_;  ///< parent columns that dependents need
  Rows collected_;                    ///< their values for the rows deleted in the open transaction
  std::vector<ChildDelete> children_;
  bool children_first_ = false;  ///< a dependent goes before its parents
  std::vector<std::int64_t> children_deleted_;  ///< in the open chunk, of each dependent that goes first
  std::vector<ArchiveWriter> archives_;  ///< of the table and its dependents, or none
  std::vector<SinkWriter> sinks_;        ///< likewise

 private:
  // Rows first locked, then rid of their children, then deleted by their address: the condition may look at those children.
  std::int64_t delete_locked(const Sql& statement, const Row& slots) {
    const std::vector<KeyColumn> address = row_address();
    if (address.empty()) throw Error(PK_NOT_SUPPORTED, "table " + purge_.table + " has no key to find its rows by once their dependents are gone; add one");
    constexpr std::string_view prefix = "DELETE FROM ";
    if (statement.text().rfind(prefix, 0) != 0) throw Error(PK_INTERNAL, "a statement to delete by does not begin with DELETE FROM");
    const std::string columns = collect_list() + ", " + column_list(address);
    collected_ = fetch(statement.with_text("SELECT " + columns + " FROM " + statement.text().substr(prefix.size()) + dialect().for_update()), slots);
    Rows addresses;
    addresses.reserve(collected_.size());
    for (Row& row : collected_) {
      const auto behind = row.begin() + static_cast<std::ptrdiff_t>(collect_.size());
      addresses.emplace_back(behind, row.end());
      row.erase(behind, row.end());
    }
    delete_children_first();
    std::int64_t deleted = 0;
    constexpr std::size_t most = 256;
    for (std::size_t start = 0; start < addresses.size(); start += most) {
      const std::size_t rows = std::min(most, addresses.size() - start);
      Row values;
      for (std::size_t i = 0; i < rows; ++i) values.insert(values.end(), addresses[start + i].begin(), addresses[start + i].end());
      deleted += run_keeping(0, delete_by_address(address, rows), values);
    }
    if (deleted != static_cast<std::int64_t>(addresses.size())) {
      throw Error(PK_SERIALIZATION, "table " + purge_.table + ": rows that were locked are no longer there; the chunk is rolled back and can be tried again");
    }
    return deleted;
  }

  Sql delete_by_address(const std::vector<KeyColumn>& address, std::size_t rows) {
    Sql sql(dialect());
    sql << "DELETE FROM " << qualified(dialect(), purge_.schema, purge_.table) << " WHERE ";
    add_any_of(sql, address, rows);
    return sql;
  }

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
  std::map<std::pair<std::string, std::string>, InsertShape> insert_shapes_;
  std::optional<SqlLedger> ledger_;
  bool ledger_is_older_ = false;
  std::vector<KeyColumn> key_;
  Row pass_end_;
  bool ends_at_cut_ = false;
};

}  // namespace purgekit::sdk
