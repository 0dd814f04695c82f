/// \file line.hpp
/// One session with the server: its connection, its prepared statements, its cancel handle. The connector stays behind this.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "client.hpp"
#include "options.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::mysql {

/// Thread rule: calls are serial, but cancel() may come from any thread. A session lives in the process that opened it.
class Line {
 public:
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { close(); }

  /// Connect and find out what the server is; session settings are the caller's.
  void open(const sdk::ConnectParams& params);
  /// A second session with the same server and account, that waits for an answer for up to `read_timeout_s`.
  void open_like(const Line& other, int read_timeout_s);
  void close() noexcept;

  /// KILL QUERY through a second, short-lived connection. Waits for no longer than a connect.
  void cancel() noexcept;
  /// Forget a cancel that came too late for what it was meant for.
  void forget_cancel() noexcept { cancel_requested_ = false; }

  /// A statement without parameters, in the text protocol. \throws Error
  void command(const std::string& text);
  /// COMMIT. \throws Error PK_IN_DOUBT when no answer came, or one that tells nothing.
  void commit();
  /// ROLLBACK; a session that is gone has been rolled back by the server.
  void rollback();
  /// A prepared statement; rows affected.
  std::int64_t execute(const std::string& text, const std::vector<sdk::Value>& params);
  sdk::Rows query(const std::string& text, const std::vector<sdk::Value>& params);
  /// The same, row by row; `visit` has no use of this line meanwhile.
  void stream(const std::string& text, const std::vector<sdk::Value>& params, const std::function<void(sdk::Row)>& visit);
  /// What a SHOW statement tells, each row by names of columns; NULL is left out.
  std::vector<std::map<std::string, std::string>> show(const std::string& text);

  /// Statements that this process has under way on all its lines.
  static int under_way() noexcept { return under_way_; }
  /// Statements that this process has sent on all its lines.
  static std::int64_t sent() noexcept { return sent_; }

  bool is_lost() const { return connection_ == nullptr || lost_; }
  bool is_mariadb() const { return is_mariadb_; }
  /// 101119 for 10.11.19.
  int version() const { return version_; }
  const std::string& version_text() const { return version_text_; }
  const ClientOptions& options() const { return options_; }
  bool is_open() const { return connection_ != nullptr && !lost_; }
  /// The server's number of this session.
  std::string session_id();

 private:
  class Busy;

  void open(ClientOptions options);
  void require_open();
  void take_cancel();
  sql::PreparedStatement& prepared(const std::string& text);
  [[noreturn]] void raise(const sql::SQLException& e, std::int64_t elapsed_ms, bool committing);
  void learn_version();
  void check_tls();
  void kill(const char* what) noexcept;

  inline static std::atomic<int> under_way_{0};
  inline static std::atomic<std::int64_t> sent_{0};

  ClientOptions options_;
  std::unique_ptr<sql::Connection> connection_;
  std::unordered_map<std::string, std::unique_ptr<sql::PreparedStatement>> statements_;
  pid_t owner_ = 0;
  bool lost_ = false;
  bool is_mariadb_ = false;
  int version_ = 0;
  std::string version_text_;

  std::mutex cancel_mutex_;  // guards the four below; held while a KILL is on its way
  bool running_ = false;
  bool killed_ = false;  // a KILL QUERY was sent during the statement under way
  std::string session_id_;
  ClientOptions cancel_options_;
  std::atomic<bool> cancel_requested_{false};
};

}  // namespace purgekit::mysql
