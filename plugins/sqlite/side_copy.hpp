/// \file side_copy.hpp
/// The whole database, without the rows that go, written beside it and put in its place in one transaction.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <string>

#include "database.hpp"
#include "purgekit/sdk/dialect.hpp"

namespace purgekit::sqlite {

/// Only what stays is written, once to the log and once to the file, and the file gets smaller: emptying a table page by page writes
/// every page of it where deleted content is wiped. Write-ahead log only, so that we can read while the file is locked.
///
/// The lock is the backup's own, on a second connection: taken before the first page is copied, held until the last one is committed.
/// `db` writes the copy in the meantime. Thread rule: serial.
class SideCopy {
 public:
  static constexpr const char* schema = "purgekit_side";  ///< of the copy, on `db`

  /// Whether it can be done exactly: a write-ahead log, no virtual tables, no bytes reserved on each page.
  static bool is_possible(Database& db);

  /// Locks the file for writing, waiting at most `lock_wait_ms`. \throws sdk::Error
  SideCopy(Database& db, const sdk::Dialect& dialect, std::uint32_t lock_wait_ms);
  SideCopy(const SideCopy&) = delete;
  SideCopy& operator=(const SideCopy&) = delete;
  /// Gives up what was not committed.
  ~SideCopy();

  /// All tables, and the rows of all but `table`.
  void copy_others(const std::string& table);
  /// When all rows are there: indexes, triggers, views, counters. \throws sdk::Error when the schema is not the same then.
  void complete();
  /// Puts the copy in the database's place. `may_go_on` is asked between two slices, and throws when it is to end.
  void commit(const std::function<void()>& may_go_on);

 private:
  void copy_settings();
  void copy_rows(const std::string& table);
  [[noreturn]] void fail(int code, bool at_the_end);
  void close() noexcept;

  Database& db_;
  const sdk::Dialect& dialect_;
  sqlite3* target_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
};

/// Columns of a table that hold something of their own, quoted, in order; the rowid first where it has a name and is no column.
std::string stored_columns(Database& db, const sdk::Dialect& dialect, const std::string& table, std::size_t* count = nullptr);

}  // namespace purgekit::sqlite
