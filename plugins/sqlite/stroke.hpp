/// \file stroke.hpp
/// A table purged by one transaction that does not go row by row: what stays is set aside, the table emptied, and what stays written back.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "catalogue.hpp"
#include "database.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sqlite {

constexpr const char* swap_walk = "move:swap";
constexpr const char* truncate_walk = "move:truncate";

/// Why a stroke would not leave the table as it was, with the way out; empty: it would.
std::string stroke_problem(Database& db, const std::string& table);

/// Serial, on one connection. The write lock is held from `begin` to the end of the transaction.
class Stroke {
 public:
  /// \param add_predicate writes the condition of the rows that go
  Stroke(Database& db, const sdk::Dialect& dialect, const Described& described, bool keeps_rows, const std::function<void(sdk::Sql&)>& add_predicate);

  /// For people; the first is complete in itself.
  std::vector<std::string> statements() const;
  /// Before the transaction begins: rows come back as they are, and what they refer to is not asked again.
  void prepare_connection();
  /// The transaction has begun.
  void begun() { begun_ = Database::Clock::now(); }
  /// In the transaction. \throws sdk::Error PK_STATEMENT_TIMEOUT when it holds the lock for longer than `window_ms` (0: no limit).
  sdk::Deleted make(std::uint32_t window_ms, std::uint32_t statement_timeout_ms);
  /// The transaction has ended.
  void restore_connection();

 private:
  std::int64_t timed(const std::function<std::int64_t()>& work);
  std::int64_t left_ms() const;
  void check_unchanged() const;
  std::int64_t set_aside();

  Database& db_;
  std::string name_;
  std::string table_;    // quoted
  std::string definition_;
  std::string columns_;  // that are stored, the rowid first where it has a name
  std::size_t column_count_ = 0;
  bool keeps_rows_;
  sdk::Sql kept_;  // SELECT of what stays
  Database::Clock::time_point begun_{};
  std::uint32_t window_ms_ = 0;
  std::uint32_t statement_timeout_ms_ = 0;
  bool relaxed_ = false;
};

}  // namespace purgekit::sqlite
