/// \file database.hpp
/// One open database file: statements with bound values, transactions, bounded waits, cancelling.
#pragma once

#include <sqlite3.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checkpointer.hpp"
#include "process_guard.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sqlite {

/// Serial use, but for cancel(), which may come from any thread while the object lives.
class Database {
 public:
  using Clock = std::chrono::steady_clock;

  Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { close(); }

  /// Spans a whole verb, so that cancel() between two of its statements is not lost, and after it has no effect.
  class Activity {
   public:
    explicit Activity(Database& db) : db_(db) { db_.enter(); }
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;
    ~Activity() { db_.leave(); }

   private:
    Database& db_;
  };

  /// Open an existing file: for writing where that is allowed, else for reading. `path` is absolute.
  void open(const std::string& path);
  /// Rolls back what is open. Does nothing in a forked child, where SQLite would harm the parent's file.
  void close() noexcept;
  void cancel() noexcept;

  std::int64_t execute(const std::string& text, const sdk::Row& params = {});
  sdk::Rows query(const std::string& text, const sdk::Row& params = {});
  /// Hand out row by row until `visit` returns false. Whether all rows were seen.
  bool for_each(const std::string& text, const sdk::Row& params, const std::function<bool(const sdk::Row&)>& visit);
  /// Compile only: throws what is wrong with the text.
  void check(const std::string& text);

  /// Before a chunk that would like to write `wanted_bytes`, in WAL mode: see to it that the log does not grow past its limit, where
  /// readers let us. What the chunk may write; nothing where there is no log.
  std::optional<std::int64_t> make_room(std::int64_t wanted_bytes);
  /// Bytes written to the log or the file since the last call.
  std::int64_t written_bytes();

  /// \throws sdk::Error when the file at our path is another one by now, is read-only, or another SQLite library has it open.
  void require_own_file();
  void begin_immediate();
  void commit();
  void rollback() noexcept;

  void set_lock_wait(std::uint32_t wait_ms) { lock_wait_ = std::chrono::milliseconds(wait_ms); }
  /// How often the database was found held by another since the last call.
  std::int64_t take_naps() { return std::exchange(naps_, 0); }
  void set_statement_timeout(std::uint32_t timeout_ms) { statement_timeout_ = std::chrono::milliseconds(timeout_ms); }

  bool read_only() const { return db_ != nullptr && sqlite3_db_readonly(db_, "main") == 1; }
  const std::string& path() const { return path_; }
  const FileId& id() const { return id_; }
  sqlite3* handle();

 private:
  struct Cached {
    std::string text;
    sqlite3_stmt* statement;
    std::uint64_t used;
  };
  class Use;

  void tune();
  void enter() noexcept;
  void leave() noexcept;
  void require_usable();
  void throw_if_cancelled();
  sqlite3_stmt* prepared(const std::string& text);
  void bind(sqlite3_stmt* statement, const sdk::Row& params);
  bool step(sqlite3_stmt* statement);
  [[noreturn]] void fail(int code);
  bool is_wal();
  void start_checkpointer();
  static int on_commit(void* self, sqlite3* db, const char* schema, int pages);
  static int on_busy(void* self, int attempt);
  static int on_progress(void* self);

  std::mutex handle_mutex_;  // guards db_ against cancel(), and the two members below
  sqlite3* db_ = nullptr;
  int depth_ = 0;
  std::atomic<bool> cancelled_{false};

  std::string path_;
  FileId id_{};
  pid_t pid_ = 0;
  bool in_transaction_ = false;
  std::chrono::milliseconds lock_wait_{1'000};
  std::chrono::milliseconds statement_timeout_{0};
  Clock::time_point statement_end_{};
  Clock::time_point busy_since_{};
  std::int64_t naps_ = 0;
  bool timed_out_ = false;
  std::int64_t page_bytes_ = 4'096;
  std::int64_t log_pages_ = 0;  // in the log after our last commit
  std::unique_ptr<Checkpointer> checkpointer_;
  bool copies_itself_ = false;  // no checkpointer is to be had
  std::vector<Cached> cache_;
  std::uint64_t uses_ = 0;
};

}  // namespace purgekit::sqlite
