#include "database.hpp"

#include <memory>
#include <thread>

namespace filedb {
namespace {

pk_code code_for(int extended, const std::string& message) {
  if (extended == SQLITE_CONSTRAINT_FOREIGNKEY) return PK_FOREIGN_KEY;
  if (extended == SQLITE_CONSTRAINT_TRIGGER) return PK_TRIGGER;
  switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return PK_LOCK_TIMEOUT;
    case SQLITE_INTERRUPT: return PK_CANCELLED;
    case SQLITE_READONLY: return PK_READ_ONLY;
    case SQLITE_CANTOPEN: return PK_CONNECT_FAILED;
    case SQLITE_FULL: return PK_SERVER_RESOURCES;
    case SQLITE_SCHEMA: return PK_SCHEMA_CHANGED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return PK_CORRUPT;
    case SQLITE_ERROR: return message.find("no such table") != std::string::npos ? PK_NOT_FOUND : PK_INVALID_ARGUMENT;
    default: return PK_INTERNAL;
  }
}

void bind(sqlite3_stmt* statement, int at, const sdk::Value& v) {
  switch (v.kind) {
    case PK_VALUE_NULL: sqlite3_bind_null(statement, at); break;
    case PK_VALUE_REAL: sqlite3_bind_double(statement, at, v.f64); break;
    case PK_VALUE_TEXT:
    case PK_VALUE_DECIMAL: sqlite3_bind_text(statement, at, v.text.data(), static_cast<int>(v.text.size()), SQLITE_TRANSIENT); break;
    case PK_VALUE_BYTES: sqlite3_bind_blob(statement, at, v.text.data(), static_cast<int>(v.text.size()), SQLITE_TRANSIENT); break;
    default: sqlite3_bind_int64(statement, at, v.i64); break;
  }
}

sdk::Value column(sqlite3_stmt* statement, int at) {
  const auto bytes = [&](const void* data) { return std::string(static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement, at))); };
  switch (sqlite3_column_type(statement, at)) {
    case SQLITE_INTEGER: return sdk::Value::integer(sqlite3_column_int64(statement, at));
    case SQLITE_FLOAT: return sdk::Value::real(sqlite3_column_double(statement, at));
    case SQLITE_TEXT: return sdk::Value::string(bytes(sqlite3_column_text(statement, at)));
    case SQLITE_BLOB: return sdk::Value::bytes(bytes(sqlite3_column_blob(statement, at)));
    default: return sdk::Value::null();
  }
}

}  // namespace

void Database::open(const std::string& path, std::uint32_t lock_wait_ms) {
  close();
  lock_wait_ms_ = lock_wait_ms;
  const int code = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr);
  if (code != SQLITE_OK) {
    close();
    throw sdk::Error(PK_CONNECT_FAILED, "no database file " + path);
  }
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_handler(db_, on_busy, this);
  sqlite3_progress_handler(db_, 10'000, on_progress, this);
  execute("PRAGMA foreign_keys = ON");
}

void Database::close() noexcept {
  sqlite3_close(db_);
  db_ = nullptr;
}

// Every wait is bounded and ends when cancelled, which SQLite's own busy timeout does not.
int Database::on_busy(void* self, int tries) {
  auto& db = *static_cast<Database*>(self);
  const auto now = std::chrono::steady_clock::now();
  if (tries == 0) db.waiting_since_ = now;
  if (db.cancelled_ || now - db.waiting_since_ > std::chrono::milliseconds(db.lock_wait_ms_)) return 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return 1;
}

int Database::on_progress(void* self) { return static_cast<Database*>(self)->cancelled_ ? 1 : 0; }

std::int64_t Database::execute(const std::string& text, const std::vector<sdk::Value>& params) {
  query(text, params);
  return sqlite3_changes(db_);
}

sdk::Rows Database::query(const std::string& text, const std::vector<sdk::Value>& params) {
  if (db_ == nullptr) throw sdk::Error(PK_CONNECTION_LOST, "not connected");
  cancelled_ = false;
  sqlite3_stmt* raw = nullptr;
  const int prepared = sqlite3_prepare_v2(db_, text.c_str(), -1, &raw, nullptr);
  if (prepared != SQLITE_OK) fail(prepared);
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(raw, sqlite3_finalize);
  for (std::size_t i = 0; i < params.size(); ++i) bind(raw, static_cast<int>(i) + 1, params[i]);
  sdk::Rows rows;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(raw)) == SQLITE_ROW) {
    sdk::Row& row = rows.emplace_back();
    for (int i = 0; i < sqlite3_column_count(raw); ++i) row.push_back(column(raw, i));
  }
  if (code != SQLITE_DONE) fail(code);
  return rows;
}

void Database::fail(int code) {
  const std::string message = sqlite3_errmsg(db_);
  const bool asked = cancelled_ && (code & 0xff) == SQLITE_BUSY;
  sdk::Error error(asked ? PK_CANCELLED : code_for(code, message), message);
  throw error.vendor_code(code);
}

}  // namespace filedb
