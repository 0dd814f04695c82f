#include "line.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <set>
#include <utility>

#include "error.hpp"
#include "keepalive.hpp"
#include "values.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using Clock = std::chrono::steady_clock;

// More than the statements of one table and its children; servers allow 16382 for all sessions together.
constexpr std::size_t most_statements = 64;

std::int64_t ms_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

// The connector keeps its driver in a static map without a lock.
std::unique_ptr<sql::Connection> connect_driver(const ClientOptions& options) {
  sql::ConnectOptionsMap map = options.map;
  static std::mutex mutex;
  sql::Driver* driver = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    driver = sql::mysql::get_driver_instance();
  }
  driver->threadInit();
  const std::set<int> before = options.port == 0 ? std::set<int>() : open_sockets();
  std::unique_ptr<sql::Connection> made(driver->connect(map));
  if (options.port != 0) watch_new_lines(before, options.port);
  return made;
}

}  // namespace

/// Marks a statement as under way, so that cancel() knows what it hits.
class Line::Busy {
 public:
  explicit Busy(Line& line) : line_(line) {
    line_.require_open();
    const std::lock_guard<std::mutex> lock(line_.cancel_mutex_);
    line_.take_cancel();
    line_.running_ = true;
    ++under_way_;
    ++sent_;
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() {
    --under_way_;
    bool killed = false;
    {
      // Waits for a KILL that is on its way, so that it can't hit the next statement.
      const std::lock_guard<std::mutex> lock(line_.cancel_mutex_);
      line_.running_ = false;
      killed = std::exchange(line_.killed_, false);
    }
    if (killed) absorb();
  }

 private:
  // When the statement ended by itself, the mark it left behind would end the next one.
  void absorb() noexcept {
    if (line_.lost_) return;
    for (int i = 0; i < 2; ++i) {
      try {
        const std::unique_ptr<sql::Statement> statement(line_.connection_->createStatement());
        statement->execute("DO 0");
        return;
      } catch (const std::exception&) {
        // Interrupted: that was the mark. A session that is gone shows itself at the next statement.
      }
    }
  }

  Line& line_;
};

void Line::open(const sdk::ConnectParams& params) {
  close();
  open(client_options(params));
}

void Line::open_like(const Line& other, int read_timeout_s) {
  close();
  ClientOptions options = other.options_;
  options.read_timeout_s = read_timeout_s;
  options.map["OPT_READ_TIMEOUT"] = read_timeout_s;
  open(std::move(options));
}

std::string Line::session_id() {
  const std::lock_guard<std::mutex> lock(cancel_mutex_);
  return session_id_;
}

void Line::open(ClientOptions options) {
  {
    const std::lock_guard<std::mutex> lock(cancel_mutex_);
    options_ = options;
    cancel_options_ = std::move(options);
    // The second connection has one thing to say, and nobody may wait for it longer than for a connect.
    cancel_options_.map["OPT_READ_TIMEOUT"] = cancel_options_.map["OPT_CONNECT_TIMEOUT"];
    cancel_options_.map["OPT_WRITE_TIMEOUT"] = cancel_options_.map["OPT_CONNECT_TIMEOUT"];
    cancel_options_.map.erase("schema");
  }
  owner_ = getpid();
  try {
    connection_ = connect_driver(options_);
    lost_ = false;
    learn_version();
    check_tls();
  } catch (const sql::SQLException& e) {
    pk_code code = code_for(e.getErrorCode(), e.getSQLState());
    if (code == PK_CONNECTION_LOST || code == PK_INTERNAL || code == PK_PRIVILEGE) code = code == PK_PRIVILEGE ? PK_AUTHENTICATION : PK_CONNECT_FAILED;
    close();
    if (cancel_requested_.exchange(false)) code = PK_CANCELLED;
    std::string message = e.what();
    // All that MariaDB's client says when the certificate is a good one and somebody else's.
    if (message.find("Validation of SSL server certificate failed") != std::string::npos) message += ": the certificate is not for this host's name";
    throw make_error(code, e.getErrorCode(), e.getSQLState(), message).context("connecting to " + options_.place);
  }
  if (cancel_requested_.exchange(false)) {
    close();
    throw Error(PK_CANCELLED, "connecting was cancelled");
  }
}

void Line::close() noexcept {
  {
    const std::lock_guard<std::mutex> lock(cancel_mutex_);
    session_id_.clear();
  }
  if (connection_ != nullptr && owner_ != getpid()) {
    // After fork the line belongs to the parent: closing it here would say goodbye in its name.
    for (auto& [text, statement] : statements_) static_cast<void>(statement.release());
    static_cast<void>(connection_.release());
  }
  statements_.clear();
  connection_.reset();
}

void Line::cancel() noexcept {
  cancel_requested_ = true;
  const std::lock_guard<std::mutex> lock(cancel_mutex_);
  if (!running_ || session_id_.empty()) return;
  killed_ = true;
  kill("KILL QUERY ");
}

void Line::kill(const char* what) noexcept {
  try {
    const std::unique_ptr<sql::Connection> second = connect_driver(cancel_options_);
    const std::unique_ptr<sql::Statement> statement(second->createStatement());
    statement->execute(what + session_id_);
  } catch (const std::exception&) {
    // Not reached, or nothing to kill any more: the statement ends by its own limits.
  }
}

void Line::require_open() {
  if (connection_ == nullptr) throw Error(PK_CONNECTION_LOST, "not connected");
  if (owner_ != getpid()) {
    throw Error(PK_INTERNAL, "this connection was opened before fork and can't be used in the child; connect again in the child process");
  }
  if (lost_) throw Error(PK_CONNECTION_LOST, "the connection to " + options_.place + " is gone; the server rolls the open transaction back");
}

void Line::take_cancel() {
  if (cancel_requested_.exchange(false)) throw Error(PK_CANCELLED, "cancelled before the statement was sent");
}

void Line::raise(const sql::SQLException& e, std::int64_t elapsed_ms, bool committing) {
  pk_code code = committing ? commit_code_for(e.getErrorCode(), e.getSQLState()) : code_for(e.getErrorCode(), e.getSQLState());
  const bool gone = sdk::is_connection_lost(code_for(e.getErrorCode(), e.getSQLState()));
  if (code == PK_CANCELLED) cancel_requested_ = false;
  if (gone && elapsed_ms >= std::int64_t{options_.read_timeout_s} * 1000 - 500) {
    // We gave up waiting, the server did not: without this it would go on and keep its locks. A smaller chunk may pass, on a
    // new connection.
    const std::lock_guard<std::mutex> lock(cancel_mutex_);
    kill("KILL ");
    if (!committing) code = PK_STATEMENT_TIMEOUT;
  }
  if (gone || code == PK_IN_DOUBT) lost_ = true;
  throw make_error(code, e.getErrorCode(), e.getSQLState(), e.what());
}

void Line::command(const std::string& text) {
  const Busy busy(*this);
  const Clock::time_point start = Clock::now();
  try {
    const std::unique_ptr<sql::Statement> statement(connection_->createStatement());
    statement->execute(sql::SQLString(text));
  } catch (const sql::SQLException& e) {
    raise(e, ms_since(start), false);
  }
}

void Line::commit() {
  require_open();
  // Not open to cancel: a COMMIT that was interrupted would be in doubt for nothing.
  const Clock::time_point start = Clock::now();
  try {
    const std::unique_ptr<sql::Statement> statement(connection_->createStatement());
    statement->execute("COMMIT");
  } catch (const sql::SQLException& e) {
    raise(e, ms_since(start), true);
  }
}

void Line::rollback() {
  forget_cancel();
  if (connection_ == nullptr || lost_) return;
  require_open();
  const Clock::time_point start = Clock::now();
  try {
    const std::unique_ptr<sql::Statement> statement(connection_->createStatement());
    statement->execute("ROLLBACK");
  } catch (const sql::SQLException& e) {
    try {
      raise(e, ms_since(start), false);
    } catch (const Error& error) {
      if (!error.connection_lost()) throw;
    }
  }
}

sql::PreparedStatement& Line::prepared(const std::string& text) {
  auto found = statements_.find(text);
  if (found != statements_.end()) return *found->second;
  if (statements_.size() >= most_statements) statements_.clear();
  std::unique_ptr<sql::PreparedStatement> statement(connection_->prepareStatement(sql::SQLString(text)));
  return *statements_.emplace(text, std::move(statement)).first->second;
}

std::int64_t Line::execute(const std::string& text, const std::vector<sdk::Value>& params) {
  const Busy busy(*this);
  const Clock::time_point start = Clock::now();
  try {
    sql::PreparedStatement& statement = prepared(text);
    const ByteStreams streams = bind_all(statement, params);
    return statement.executeUpdate();
  } catch (const sql::SQLException& e) {
    statements_.erase(text);
    raise(e, ms_since(start), false);
  }
}

sdk::Rows Line::query(const std::string& text, const std::vector<sdk::Value>& params) {
  sdk::Rows rows;
  stream(text, params, [&](sdk::Row row) { rows.push_back(std::move(row)); });
  return rows;
}

void Line::stream(const std::string& text, const std::vector<sdk::Value>& params, const std::function<void(sdk::Row)>& visit) {
  const Busy busy(*this);
  const Clock::time_point start = Clock::now();
  try {
    // MariaDB answers a DELETE … RETURNING whose condition can't be met without a result, and the client library sees that
    // on the first execution only.
    if (text.rfind("DELETE", 0) == 0) statements_.erase(text);
    sql::PreparedStatement& statement = prepared(text);
    const ByteStreams streams = bind_all(statement, params);
    if (!statement.execute()) return;
    const std::unique_ptr<sql::ResultSet> result(statement.getResultSet());
    for_each_row(*result, visit);
  } catch (const sql::SQLException& e) {
    statements_.erase(text);
    raise(e, ms_since(start), false);
  }
}

std::vector<std::map<std::string, std::string>> Line::show(const std::string& text) {
  const Busy busy(*this);
  const Clock::time_point start = Clock::now();
  std::vector<std::map<std::string, std::string>> out;
  try {
    const std::unique_ptr<sql::Statement> statement(connection_->createStatement());
    const std::unique_ptr<sql::ResultSet> result(statement->executeQuery(sql::SQLString(text)));
    sql::ResultSetMetaData& meta = *result->getMetaData();
    while (result->next()) {
      auto& row = out.emplace_back();
      for (unsigned column = 1; column <= meta.getColumnCount(); ++column) {
        if (!result->isNull(column)) row[meta.getColumnLabel(column).c_str()] = result->getString(column).c_str();
      }
    }
  } catch (const sql::SQLException& e) {
    raise(e, ms_since(start), false);
  }
  return out;
}

void Line::learn_version() {
  const sdk::Rows rows = query("SELECT VERSION(), CAST(CONNECTION_ID() AS CHAR)", {});
  version_text_ = rows.at(0).at(0).text;
  is_mariadb_ = version_text_.find("MariaDB") != std::string::npos;
  const char* at = version_text_.c_str();
  version_ = 0;
  for (int part = 0; part < 3; ++part) {
    char* end = nullptr;
    version_ = version_ * 100 + static_cast<int>(std::strtol(at, &end, 10));
    at = *end == '.' ? end + 1 : end;
  }
  version_text_ = version_text_.substr(0, version_text_.find('-'));
  const std::lock_guard<std::mutex> lock(cancel_mutex_);
  session_id_ = rows[0].at(1).text;
}

void Line::check_tls() {
  if (options_.tls != Tls::required && options_.tls != Tls::verify_ca && options_.tls != Tls::verify_identity) return;
  const sdk::Rows rows = query("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {});
  if (!rows.empty() && !rows[0].at(1).text.empty()) return;
  close();
  throw Error(PK_CONNECT_FAILED, "connecting to " + options_.place + ": ssl_mode asks for an encrypted line, and the server did not offer one");
}

}  // namespace purgekit::mysql
