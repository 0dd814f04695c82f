/// \file line.hpp
/// One session with the server: its connection, its transaction and its cancel handle. Everything libpqxx is behind this.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "binary_rows.hpp"
#include "compat.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::postgresql {

/// Thread rule: calls are serial, but cancel() may come from any thread. A session lives in the process that opened it.
class Line {
 public:
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { close(); }

  void open(const sdk::ConnectParams& params);
  void close() noexcept;

  /// The call under way ends with PK_CANCELLED, or the next attempt to connect where there is no connection yet.
  void cancel() noexcept;

  /// While one lives, cancel() has something to end. A cancel that comes too late for it is forgotten.
  class Call {
   public:
    explicit Call(Line& line);
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call();

   private:
    Line& line_;
  };

  /// Run in the open transaction, or in one of its own. \throws Error
  pqxx::result run(const std::string& text, const std::vector<sdk::Value>& params);

  /// Run in the open transaction; the answer is in the server's binary form, which costs either side far less where there are bytes. \throws Error
  BinaryRows run_binary(const std::string& text, const std::vector<sdk::Value>& params);

  /// Run a COPY FROM STDIN in the open transaction. \param add adds one of `rows` rows in its format. \returns how many were stored. \throws Error
  std::int64_t copy_in(const std::string& text, std::size_t rows, const std::function<void(std::string&, std::size_t)>& add);

  /// A statement that the server takes outside of any transaction only. \param settings "name = value" for it alone, put back
  /// afterwards; none behind a pooler, whose other clients would inherit them. \throws Error
  void run_alone(const std::string& text, const std::vector<std::string>& settings);
  /// This session's bounds, and the pace that autovacuum has by default.
  std::vector<std::string> care_settings() const;

  void begin();
  /// \throws Error PK_IN_DOUBT when the connection went away after COMMIT was sent.
  void commit();
  void rollback();
  /// Set the lock budget of the open transaction and mark the place to return to.
  void start_range(std::uint32_t lock_wait_ms);
  void undo_range();
  /// What was done in the range so far is not undone any more.
  void mark_range();
  /// No statement of the open transaction may take longer than this from now on; 0: no bound.
  void bound_statements(std::uint32_t timeout_ms);
  /// Mark a place in the open transaction, and go back to it, also after a statement that has failed. Locks taken since are free again.
  void mark_step();
  void undo_step();
  void set_lock_wait(std::uint32_t lock_wait_ms);

  int server_version() const { return server_version_; }
  /// Process number the server gave at connect; a pooler in between gives another one than the session's own.
  int announced_pid() const;
  std::string host() const;

 private:
  void require_open();
  void take_cancel();
  /// Whatever a statement in the open transaction must have.
  template <class Send>
  auto run_open(const std::vector<sdk::Value>& values, Send send);
  pqxx::result send(const std::string& text, const std::vector<Param>* params);
  [[noreturn]] void raise(std::int64_t elapsed_ms, bool committing);
  std::string opening_text() const;

  std::unique_ptr<Connection> connection_;
  PGconn* raw_ = nullptr;  // the same as libpq knows it
  pid_t owner_ = 0;
  int server_version_ = 0;
  std::uint32_t lock_wait_ms_ = 1000;
  std::optional<std::uint32_t> set_lock_wait_ms_{};  // in the open transaction
  std::uint32_t statement_timeout_ms_ = 0;
  std::uint32_t bound_ms_ = 0;  // of a statement in the open transaction
  bool in_transaction_ = false;
  bool failed_ = false;  // the server only takes ROLLBACK now

  // Guards what cancel() reads: connection_ when it is replaced, and the three below.
  std::mutex cancel_mutex_;
  int calls_ = 0;
  bool rolling_back_ = false;  // nobody wants to cancel that
  std::atomic<bool> cancel_requested_{false};
};

/// A parameter in the server's text form. \throws Error for text with a NUL, which PostgreSQL can't hold.
Param to_param(const sdk::Value& value);

/// Two digits for each byte.
void add_hex(std::string& out, std::string_view bytes);

/// Numbers, booleans and bytes as such; everything else as the server's text.
sdk::Rows to_rows(const pqxx::result& result);
/// The same, one row at a time.
void for_each_row(const pqxx::result& result, const std::function<void(sdk::Row)>& visit);

}  // namespace purgekit::postgresql
