/// \file stroke.hpp
/// A table purged by one transaction that does not go row by row.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalogue.hpp"
#include "database.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/sql_ledger.hpp"
#include "purgekit/sdk/table.hpp"
#include "side_copy.hpp"

namespace purgekit::sqlite {

constexpr const char* swap_walk = "move:swap";
constexpr const char* truncate_walk = "move:truncate";

/// Why a stroke would not leave the table as it was, with the way out; empty: it would.
std::string stroke_problem(Database& db, const std::string& table);

/// What it writes depends on what else is in the file.
enum class StrokeWay {
  refill,  ///< what stays is set aside, the table emptied, and what stays written back
  copy,    ///< everything that stays is copied, and the copy takes the file's place: see SideCopy
  empty    ///< nothing stays
};

/// Whether copying all that stays costs less than emptying and refilling the table.
bool prefers_copy(Database& db, const sdk::Table& table);

/// Serial, on one connection. The write lock is held from the beginning of the transaction to its end.
class Stroke {
 public:
  /// \param add_predicate writes the condition of the rows that go
  Stroke(Database& db, const sdk::Dialect& dialect, const std::string& table, StrokeWay way, const std::function<void(sdk::Sql&)>& add_predicate);

  /// The transaction is the copy's, not the connection's.
  bool copies() const { return way_ == StrokeWay::copy; }
  /// From the next transaction on.
  void refill_instead() { way_ = StrokeWay::refill; }
  void begin_copy(std::uint32_t lock_wait_ms) { side_.emplace(db_, dialect_, lock_wait_ms); }
  /// Where the copy's ledger is, once it is made.
  sdk::SqlLedger& copied_ledger() { return *ledger_; }
  void commit_copy();

  /// For people; the first is complete in itself.
  std::vector<std::string> statements() const;
  /// Before the transaction begins: rows come back as they are, and what they refer to is not asked again.
  void prepare_connection();
  /// The transaction has begun.
  void begun() { begun_ = Database::Clock::now(); }
  /// In the transaction. `fence` moves the slot on in a ledger that is part of a copy.
  /// \throws sdk::Error PK_STATEMENT_TIMEOUT when it holds the lock for longer than `window_ms` (0: no limit).
  sdk::Deleted make(std::uint32_t window_ms, std::uint32_t statement_timeout_ms, const sdk::TableName& ledger, const std::function<void(sdk::SqlLedger&)>& fence);
  /// The transaction has ended.
  void restore_connection();

 private:
  std::int64_t timed(const std::function<std::int64_t()>& work);
  std::int64_t left_ms() const;
  void check_unchanged() const;
  std::string in_copy() const;
  void verify_empty();
  std::int64_t set_aside();
  sdk::Deleted refill();
  sdk::Deleted copy(const sdk::TableName& ledger, const std::function<void(sdk::SqlLedger&)>& fence);

  /// Statements for the ledger in the copy.
  class Beside final : public sdk::SqlSession {
   public:
    Beside(Database& db, const sdk::Dialect& dialect) : db_(db), dialect_(dialect) {}
    const sdk::Dialect& dialect() const override { return dialect_; }
    std::int64_t execute(const std::string& text, const std::vector<sdk::Value>& params) override { return db_.execute(text, params); }
    sdk::Rows query(const std::string& text, const std::vector<sdk::Value>& params) override { return db_.query(text, params); }
    void begin_transaction() override {}
    void commit_transaction() override {}
    void rollback_transaction() override {}
    void set_lock_wait(std::uint32_t) override {}

   private:
    Database& db_;
    const sdk::Dialect& dialect_;
  };

  Database& db_;
  const sdk::Dialect& dialect_;
  std::string name_;
  std::string table_;  // quoted
  std::string definition_;
  StrokeWay way_;
  std::size_t column_count_ = 0;
  std::string columns_;  // see stored_columns
  sdk::Sql kept_;  // SELECT of what stays
  Database::Clock::time_point begun_{};
  std::uint32_t window_ms_ = 0;
  std::uint32_t statement_timeout_ms_ = 0;
  bool relaxed_ = false;
  std::optional<SideCopy> side_;
  std::optional<Beside> beside_;
  std::optional<sdk::SqlLedger> ledger_;
};

}  // namespace purgekit::sqlite
