#include "line.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <thread>
#include <tuple>
#include <utility>

#include "conninfo.hpp"
#include "copy_in.hpp"
#include "error.hpp"

namespace purgekit::postgresql {

using sdk::Error;

namespace {

constexpr int oldest_server = 90600;
constexpr std::size_t copy_piece_bytes = std::size_t{256} * 1024;

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// Server settings take an int of milliseconds and read 0 as "for ever".
std::string lock_budget(std::uint32_t wait_ms) {
  return std::to_string(std::clamp<std::uint32_t>(wait_ms, 1, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace

Line::Call::Call(Line& line) : line_(line) {
  const std::lock_guard lock(line_.cancel_mutex_);
  ++line_.calls_;
}

Line::Call::~Call() {
  const std::lock_guard lock(line_.cancel_mutex_);
  if (--line_.calls_ == 0) line_.cancel_requested_ = false;
}

void Line::open(const sdk::ConnectParams& params) {
  close();
  std::unique_ptr<Connection> made;
  PGconn* raw = nullptr;
  try {
    std::tie(made, raw) = connected(conninfo(params));
    settle(*made);
  } catch (const Error&) {
    throw;
  } catch (...) {
    const Failure failure = current_failure();
    throw Error(connect_code_for(failure.text), "could not connect to PostgreSQL: " + without_secret(failure.text, params.password));
  }
  server_version_ = made->server_version();
  if (server_version_ < oldest_server) throw Error(PK_NOT_SUPPORTED, "the server is older than PostgreSQL 9.6, the oldest this backend knows");
  lock_wait_ms_ = params.lock_wait_ms;
  statement_timeout_ms_ = params.statement_timeout_ms;
  take_cancel();
  const std::lock_guard lock(cancel_mutex_);
  owner_ = ::getpid();
  connection_ = std::move(made);
  raw_ = raw;
}

void Line::close() noexcept {
  const std::lock_guard lock(cancel_mutex_);
  // After a fork the socket belongs to the parent: closing it properly would end the parent's session.
  if (owner_ != 0 && owner_ != ::getpid()) static_cast<void>(connection_.release());
  connection_.reset();
  raw_ = nullptr;
  in_transaction_ = false;
  failed_ = false;
}

void Line::cancel() noexcept {
  // The server ignores a cancel that arrives before the statement does, so it is repeated until the call has noticed.
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::lock_guard lock(cancel_mutex_);
    if (attempt == 0 && (calls_ > 0 || !connection_)) cancel_requested_ = true;
    if (calls_ == 0 || rolling_back_ || !cancel_requested_ || !connection_ || owner_ != ::getpid()) return;
    try {
      connection_->cancel_query();
    } catch (const std::exception&) {
      // The server can't be reached for this; the flag still stops the call before its next statement.
      return;
    }
  }
}

void Line::take_cancel() {
  if (cancel_requested_.exchange(false)) throw Error(PK_CANCELLED, "cancelled; what was not committed is rolled back");
}

void Line::require_open() {
  if (owner_ != 0 && owner_ != ::getpid()) {
    throw Error(PK_INVALID_ARGUMENT, "this connection was opened in another process and does not survive fork; connect again in this one");
  }
  if (!connection_) throw Error(PK_CONNECTION_LOST, "not connected to PostgreSQL");
}

pqxx::result Line::send(const std::string& text, const std::vector<Param>* params) {
  pqxx::nontransaction work(*connection_);
  return params == nullptr ? work.exec(text) : exec_with(work, text, *params);
}

template <class Send>
auto Line::run_open(const std::vector<sdk::Value>& values, Send send) {
  std::vector<Param> params;
  params.reserve(values.size());
  for (const sdk::Value& value : values) params.push_back(to_param(value));
  if (failed_) throw Error(PK_INTERNAL, "a statement was sent in a transaction that has failed already");
  take_cancel();
  const std::int64_t started_ms = now_ms();
  try {
    return send(params);
  } catch (...) {
    failed_ = true;
    raise(now_ms() - started_ms, false);
  }
}

pqxx::result Line::run(const std::string& text, const std::vector<sdk::Value>& values) {
  require_open();
  const Call call(*this);
  if (in_transaction_) return run_open(values, [&](const std::vector<Param>& params) { return send(text, &params); });
  begin();
  try {
    pqxx::result result = run(text, values);
    commit();
    return result;
  } catch (...) {
    rollback();
    throw;
  }
}

BinaryRows Line::run_binary(const std::string& text, const std::vector<sdk::Value>& values) {
  require_open();
  if (!in_transaction_) throw Error(PK_INTERNAL, "a chunk needs an open transaction");
  const Call call(*this);
  return run_open(values, [&](const std::vector<Param>& params) { return BinaryRows::of(raw_, text, params); });
}

std::int64_t Line::copy_in(const std::string& text, std::size_t rows, const std::function<void(std::string&, std::size_t)>& add) {
  require_open();
  if (!in_transaction_) throw Error(PK_INTERNAL, "rows are loaded in an open transaction only");
  const Call call(*this);
  return run_open({}, [&](const std::vector<Param>&) {
    CopyIn copy(raw_, text);
    std::string piece;
    for (std::size_t row = 0; row < rows; ++row) {
      add(piece, row);
      if (piece.size() < copy_piece_bytes) continue;
      copy.put(piece);
      piece.clear();
    }
    copy.put(piece);
    return copy.finish();
  });
}

void Line::run_alone(const std::string& text, const std::vector<std::string>& settings) {
  require_open();
  if (in_transaction_) throw Error(PK_INTERNAL, "a transaction is open where none may be");
  const Call call(*this);
  take_cancel();
  std::string set;
  std::string reset;
  for (const std::string& setting : settings) {
    set += "SET " + setting + ";";
    reset += "RESET " + setting.substr(0, setting.find(' ')) + ";";
  }
  bound_ms_ = statement_timeout_ms_;
  const std::int64_t started_ms = now_ms();
  try {
    if (!set.empty()) send(set, nullptr);
    send(text, nullptr);
    if (!reset.empty()) send(reset, nullptr);
  } catch (...) {
    const std::exception_ptr failure = std::current_exception();
    try {
      if (!reset.empty() && connection_->is_open()) send(reset, nullptr);
    } catch (const std::exception&) {
      // A session that can't take this is gone, and its settings with it.
    }
    try {
      std::rethrow_exception(failure);
    } catch (...) {
      raise(now_ms() - started_ms, false);
    }
  }
}

std::vector<std::string> Line::care_settings() const {
  return {"lock_timeout = " + lock_budget(lock_wait_ms_),
          "statement_timeout = " + std::to_string(std::min<std::uint32_t>(statement_timeout_ms_, std::numeric_limits<std::int32_t>::max())),
          "vacuum_cost_delay = 2"};
}

void Line::raise(std::int64_t elapsed_ms, bool committing) {
  const Failure failure = current_failure();
  ServerMessage message = parse_server_message(failure.text);
  if (!failure.sqlstate.empty()) message.sqlstate = failure.sqlstate;
  const bool gone = failure.broken || !connection_->is_open();
  if (committing && (gone || message.sqlstate.empty())) {
    throw Error(PK_IN_DOUBT, "COMMIT was sent and the connection was lost before the answer; the ledger tells whether the chunk was committed");
  }
  if (message.sqlstate.empty() || (gone && !sdk::is_connection_lost(code_for(message.sqlstate)))) {
    throw Error(PK_CONNECTION_LOST, "the connection to PostgreSQL was lost; the open transaction was rolled back");
  }
  pk_code code = code_for(message.sqlstate);
  if (message.sqlstate == "57014") {
    const bool asked = cancel_requested_.exchange(false);
    const bool timed_out = bound_ms_ > 0 && elapsed_ms >= bound_ms_;
    if (asked || !timed_out) {
      code = PK_CANCELLED;
      if (!asked) message.primary += " (somebody else cancelled it on the server)";
    }
  }
  throw make_error(code, message);
}

// Everything is local to the transaction, so that a pooler's other clients never inherit it. One message to the server.
std::string Line::opening_text() const {
  std::string text =
      "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; "
      "SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL standard_conforming_strings = on; "
      "SET LOCAL row_security = off; SET LOCAL idle_in_transaction_session_timeout = 30000";
  text += "; SET LOCAL statement_timeout = " + std::to_string(std::min<std::uint32_t>(statement_timeout_ms_, std::numeric_limits<std::int32_t>::max()));
  text += "; SET LOCAL lock_timeout = " + lock_budget(lock_wait_ms_);
  // Compiling a short statement costs more than running it.
  if (server_version_ >= 110000) text += "; SET LOCAL jit = off";
  if (server_version_ >= 120000) text += "; SET LOCAL tcp_user_timeout = 30000";
  return text;
}

void Line::begin() {
  require_open();
  if (in_transaction_ && !failed_) throw Error(PK_INTERNAL, "a transaction is open already");
  if (in_transaction_) rollback();
  const Call call(*this);
  take_cancel();
  in_transaction_ = true;
  bound_ms_ = statement_timeout_ms_;
  set_lock_wait_ms_ = lock_wait_ms_;
  try {
    send(opening_text(), nullptr);
  } catch (...) {
    failed_ = true;
    raise(0, false);
  }
}

void Line::commit() {
  require_open();
  if (!in_transaction_) throw Error(PK_INTERNAL, "no transaction is open");
  if (failed_) throw Error(PK_INTERNAL, "COMMIT was asked for in a transaction that has failed");
  const Call call(*this);
  take_cancel();
  try {
    send("COMMIT", nullptr);
  } catch (...) {
    failed_ = true;
    raise(0, true);
  }
  in_transaction_ = false;
}

void Line::rollback() {
  if (owner_ != ::getpid() || !in_transaction_ || !connection_) return;
  const auto immune = [&](bool on) {
    const std::lock_guard lock(cancel_mutex_);
    rolling_back_ = on;
    cancel_requested_ = false;
  };
  immune(true);
  in_transaction_ = false;
  failed_ = false;
  try {
    if (connection_->is_open()) send("ROLLBACK", nullptr);
  } catch (const std::exception&) {
    // The server rolls back what a closed session leaves; the next verb says that the connection is gone.
    close();
  }
  immune(false);
}

void Line::set_lock_wait(std::uint32_t lock_wait_ms) {
  require_open();
  if (!in_transaction_ || lock_wait_ms == set_lock_wait_ms_) return;
  run("SET LOCAL lock_timeout = " + lock_budget(lock_wait_ms), {});
  set_lock_wait_ms_ = lock_wait_ms;
}

void Line::start_range(std::uint32_t lock_wait_ms) {
  require_open();
  if (!in_transaction_) throw Error(PK_INTERNAL, "a chunk needs an open transaction");
  if (failed_) throw Error(PK_INTERNAL, "a chunk was begun in a transaction that has failed already");
  const Call call(*this);
  take_cancel();
  try {
    send("SET LOCAL lock_timeout = " + lock_budget(lock_wait_ms) + "; SAVEPOINT purgekit_range", nullptr);
    set_lock_wait_ms_ = lock_wait_ms;
  } catch (...) {
    failed_ = true;
    raise(0, false);
  }
}

void Line::mark_range() { run("SAVEPOINT purgekit_range", {}); }

void Line::undo_range() { run("ROLLBACK TO SAVEPOINT purgekit_range", {}); }

void Line::bound_statements(std::uint32_t timeout_ms) {
  bound_ms_ = std::min<std::uint32_t>(timeout_ms, std::numeric_limits<std::int32_t>::max());
  run("SET LOCAL statement_timeout = " + std::to_string(bound_ms_), {});
}

void Line::mark_step() { run("SAVEPOINT purgekit_step", {}); }

void Line::undo_step() {
  require_open();
  failed_ = false;
  set_lock_wait_ms_.reset();  // goes back with the rest
  run("ROLLBACK TO SAVEPOINT purgekit_step", {});
}

int Line::announced_pid() const { return connection_ ? connection_->backendpid() : 0; }

std::string Line::host() const {
  const char* host = connection_ ? connection_->hostname() : nullptr;
  return host == nullptr ? "" : host;
}

}  // namespace purgekit::postgresql
