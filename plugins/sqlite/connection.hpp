/// \file connection.hpp
/// The SQLite backend's connection: the SDK's plain-SQL way, with walks along the rowid and along an index.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bounds.hpp"
#include "catalogue.hpp"
#include "chunk_budget.hpp"
#include "database.hpp"
#include "dialect.hpp"
#include "purgekit/sdk/sql_connection.hpp"
#include "run_lock.hpp"
#include "stroke.hpp"

namespace purgekit::sqlite {

/// What the id of a walk along an index begins with; its name follows.
constexpr const char* index_prefix = "index:";

class SqliteConnection final : public sdk::SqlConnection {
 public:
  // connection.cpp
  void connect(const sdk::ConnectParams& params) override;
  void cancel() noexcept override { db_.cancel(); }
  sdk::Server inspect() override;
  std::vector<std::string> tables(const sdk::TableName&) override { return table_names(db_); }
  void lock_run(const std::string& key) override;
  void unlock_run(const std::string& key) override { run_locks_.release(key); }
  sdk::Ledger ledger_find(const sdk::TableName& name) override;
  void ledger_create() override;
  sdk::Slot slot_lock(const std::string& key, std::uint32_t wait_ms) override;
  void run_write(const sdk::RunRecord& run) override;
  double replica_lag() override { return -1; }

  // sampling.cpp
  std::vector<sdk::Value> sample_rows(const sdk::Purge& purge, std::size_t most) override;

  // pressure.cpp
  std::vector<sdk::Signal> pressure() override;

  // archive.cpp
  std::vector<sdk::ArchiveInfo> archive_find(const sdk::Purge& purge) override;
  void archive_create(const sdk::Purge& purge) override;

  // restore.cpp
  sdk::Restored restore_next(const sdk::Restore& restore, std::int64_t after) override;
  void archive_make(const sdk::Load& load) override;
  void archive_load(const sdk::Load& load) override;

  // care.cpp
  sdk::Space space(const sdk::Purge& purge) override;
  bool reclaim(const sdk::Purge& purge, pk_care care) override;

  // sampling.cpp
  std::int64_t count(const sdk::Purge& purge) override;
  std::int64_t estimate(const sdk::Purge& purge) override;
  std::string sample_key(const sdk::Purge& purge) override;
  std::vector<sdk::Value> sample_column(const sdk::Purge& purge, const std::string& column) override;

  // propose.cpp
  std::vector<sdk::Walk> propose(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) override;

  // moves.cpp
  std::vector<sdk::Move> moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) override;

  // walk.cpp
  std::vector<std::string> prepare(const sdk::Purge& purge) override;
  void begin(const std::string& key, std::int64_t epoch, std::int64_t seq) override;
  sdk::Deleted delete_range(const sdk::Range& range) override;
  std::int64_t delete_children(std::size_t index) override;
  sdk::SharedSlot slot_share(const std::string& key) override;
  void note_add(const std::string& kind, const sdk::RunRecord& note) override;
  void checkpoint(const sdk::Slot& slot) override;
  void commit() override;
  void rollback() override;

 protected:
  std::vector<sdk::KeyColumn> row_address() override;
  const sdk::Dialect& dialect() const override { return dialect_; }
  std::int64_t execute(const std::string& text, const std::vector<sdk::Value>& params) override { return db_.execute(text, params); }
  sdk::Rows query(const std::string& text, const std::vector<sdk::Value>& params) override { return db_.query(text, params); }
  void stream(const std::string& text, const std::vector<sdk::Value>& params, const std::function<void(sdk::Row)>& visit) override {
    db_.for_each(text, params, [&](const sdk::Row& row) {
      visit(row);
      return true;
    });
  }
  void begin_transaction() override { db_.begin_immediate(); }
  void commit_transaction() override { db_.commit(); }
  void rollback_transaction() override { db_.rollback(); }
  void set_lock_wait(std::uint32_t wait_ms) override { db_.set_lock_wait(wait_ms); }
  void begin_looking(std::uint32_t timeout_ms) override;
  void end_looking() override;

  sdk::Table read_table(const sdk::TableName& name) override;
  void ledger_rights(const sdk::TableName& name, sdk::Ledger& out) override;
  void archive_rights(const sdk::ArchiveTable& target, sdk::ArchiveInfo& out) override;
  ArchiveShape archive_shape(const sdk::Table& source) override;
  sdk::InsertShape insert_shape(const sdk::Table& table) override;
  void write_delete(sdk::Sql& out, const std::function<void(sdk::Sql&)>& add_range) override;
  std::pair<std::string, std::string> along_index(const sdk::Purge& purge) override;

 private:
  enum class Way { key, rowid, index };
  struct IndexWalk {
    std::string index;
    std::string column;  // quoted
    std::uint32_t column_kind = PK_COLUMN_OTHER;
    std::optional<Bound> bound;
  };
  struct Rowids {
    std::int64_t low = 0;
    std::int64_t high = 0;
  };

  const Described& described(const sdk::Purge& purge);
  std::string table_sql(const sdk::Purge& purge) const { return sdk::qualified(dialect_, purge.schema, purge.table); }
  std::optional<Rowids> rowid_limits(const std::string& table, const std::string& rowid);

  // care.cpp
  void refresh_statistics(const sdk::Purge& purge);
  bool give_pages_back();
  void truncate_log();

  // propose.cpp
  std::optional<sdk::Walk> index_proposal(const sdk::Purge& purge, const sdk::Index& index, const Bound& bound, std::int64_t rows_total);

  // moves.cpp
  bool copies_for(const sdk::Table& table) { return !wiping_asked_ && prefers_copy(db_, table); }
  std::vector<std::string> prepare_stroke(const sdk::Purge& purge);
  sdk::Deleted make_stroke(const sdk::Range& range);
  void begin_stroke(const std::string& key, std::int64_t epoch, std::int64_t seq);
  void end_stroke(bool committed);

  // walk.cpp
  sdk::Deleted delete_next(const sdk::Range& range);
  sdk::Deleted delete_by_rowid(const sdk::Range& range);
  sdk::Deleted delete_rowids(const Rowids& left, std::int64_t wanted, std::int64_t& next);
  sdk::Deleted delete_by_index(const sdk::Range& range);
  sdk::Sql index_edge(bool last) const;
  sdk::Sql rowid_delete();
  sdk::Sql index_delete(bool includes_start);
  sdk::Error explained(const sdk::Error& error) const;

  SqliteDialect dialect_;
  Database db_;
  RunLocks run_locks_;
  std::uint32_t lock_wait_ms_ = 1'000;
  std::uint32_t statement_timeout_ms_ = 0;
  bool wiping_asked_ = false;  // by the URL: what is cut off a file is not wiped
  std::map<std::string, Described> described_;  // by exact name

  // The purge that was prepared.
  Way way_ = Way::key;
  std::string rowid_;
  std::string hint_;  // keeps the planner on the way that was chosen
  IndexWalk index_walk_;
  std::vector<std::string> foreign_keys_;  // that can refuse a delete
  std::vector<std::string> triggers_;
  std::optional<ChunkBudget> budget_;  // in WAL mode
  std::optional<Stroke> stroke_;       // in place of a walk
  bool in_stroke_ = false;             // the transaction that is open is its own
  std::function<void(sdk::SqlLedger&)> fence_stroke_;
  sdk::TableName ledger_name_;
  sdk::Deleted open_chunk_{};          // what the open transaction did
};

}  // namespace purgekit::sqlite
