#include "database.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "error.hpp"
#include "json_functions.hpp"
#include "purgekit/sdk/time_text.hpp"
#include "time_functions.hpp"

namespace purgekit::sqlite {
namespace {

constexpr std::size_t cache_limit = 32;
constexpr int progress_steps = 4'000;  // some 100 rows of a DELETE; the handler itself costs nanoseconds
constexpr int cache_kib = 32 * 1024;
constexpr int dirty_kib = 128 * 1024;
// The log's size, and the largest part of it for one chunk: the next one is written while that is being copied. Dirty pages of a
// chunk fit into the cache.
constexpr std::int64_t log_limit_bytes = 60LL * 1024 * 1024;
constexpr std::int64_t chunk_limit_bytes = 28LL * 1024 * 1024;
// What the log may hold before somebody should copy it: SQLite's own default is 1000 pages.
constexpr std::int64_t due_pages = 1'000;
constexpr std::int64_t checkpoint_bytes = 16LL * 1024 * 1024;

sdk::Value column_value(sqlite3_stmt* statement, int i) {
  const auto size = [&] { return static_cast<std::size_t>(sqlite3_column_bytes(statement, i)); };
  switch (sqlite3_column_type(statement, i)) {
    case SQLITE_INTEGER: return sdk::Value::integer(sqlite3_column_int64(statement, i));
    case SQLITE_FLOAT: return sdk::Value::real(sqlite3_column_double(statement, i));
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
      return sdk::Value::string(text == nullptr ? std::string() : std::string(text, size()));
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, i));
      return sdk::Value::bytes(bytes == nullptr ? std::string() : std::string(bytes, size()));
    }
    default: return sdk::Value::null();
  }
}

}  // namespace

/// A cached statement in use: reset afterwards, whatever happens, so that it holds no lock and no pointer to a parameter.
class Database::Use {
 public:
  Use(Database& db, const std::string& text, const sdk::Row& params) : db_(db), activity_(db) {
    db_.require_usable();
    db_.throw_if_cancelled();
    statement = db_.prepared(text);
    db_.bind(statement, params);
    db_.timed_out_ = false;
    db_.statement_end_ = db_.statement_timeout_.count() > 0 ? Clock::now() + db_.statement_timeout_ : Clock::time_point::max();
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }

  sqlite3_stmt* statement = nullptr;

 private:
  Database& db_;
  Activity activity_;
};

void Database::enter() noexcept {
  const std::lock_guard lock(handle_mutex_);
  ++depth_;
}

void Database::leave() noexcept {
  const std::lock_guard lock(handle_mutex_);
  if (--depth_ == 0) cancelled_ = false;
}

void Database::cancel() noexcept {
  const std::lock_guard lock(handle_mutex_);
  if (depth_ == 0) return;
  cancelled_ = true;
  if (db_ != nullptr) sqlite3_interrupt(db_);
}

void Database::open(const std::string& path) {
  close();
  path_ = path;
  id_ = file_id(path);
  pid_ = ::getpid();
  throw_if_cancelled();
  sqlite3* opened = nullptr;
  guarded_open(id_, path, [&] {
    int rc = SQLITE_OK;
    for (const int access : {SQLITE_OPEN_READWRITE, SQLITE_OPEN_READONLY}) {
      // SQLite falls back to reading by itself where the file is not writable, but not where its folder is not.
      rc = sqlite3_open_v2(path.c_str(), &opened, access | SQLITE_OPEN_NOMUTEX, nullptr);
      if (rc == SQLITE_OK) return;
      sqlite3_close(opened);
      opened = nullptr;
    }
    throw make_error(rc, sqlite3_errstr(rc));
  });
  {
    const std::lock_guard lock(handle_mutex_);
    db_ = opened;
  }
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_handler(db_, on_busy, this);
  sqlite3_progress_handler(db_, progress_steps, on_progress, this);
  // A misspelt column in double quotes must be an error; SQLite would take it for a string and compare with that.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  // The schema may have been written by somebody else than the rule: its views and triggers get no functions with side effects.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  allow_json_in_schema(db_);
  register_time_functions(db_);
  execute("PRAGMA foreign_keys = ON");
  tune();
}

// All of this is this connection's own and leaves no mark in the file.
void Database::tune() {
  execute("PRAGMA cache_size = -" + std::to_string(cache_kib));
  // Pages that a chunk changed stay in memory until it commits; written out early, many are written twice.
  execute("PRAGMA cache_spill = -" + std::to_string(dirty_kib));
  page_bytes_ = std::max<std::int64_t>(query("PRAGMA main.page_size").at(0).at(0).i64, 512);
  sqlite3_wal_hook(db_, on_commit, this);  // in place of SQLite's own, which would copy within the chunk
}

void Database::close() noexcept {
  if (pid_ == ::getpid()) checkpointer_.reset();
  else static_cast<void>(checkpointer_.release());  // its thread did not survive the fork
  copies_itself_ = false;
  log_pages_ = 0;
  sqlite3* closing = nullptr;
  {
    const std::lock_guard lock(handle_mutex_);
    closing = std::exchange(db_, nullptr);
  }
  in_transaction_ = false;
  if (closing == nullptr) return;
  if (pid_ != ::getpid()) {
    cache_.clear();
    return;
  }
  for (const Cached& cached : cache_) sqlite3_finalize(cached.statement);
  cache_.clear();
  guarded_close(id_, [closing] { sqlite3_close(closing); });
}

sqlite3* Database::handle() {
  require_usable();
  return db_;
}

void Database::require_usable() {
  if (db_ == nullptr) throw sdk::Error(PK_CONNECTION_LOST, "this connection is closed");
  if (pid_ != ::getpid()) {
    throw sdk::Error(PK_INVALID_ARGUMENT, "this process was forked after the connection was made; SQLite connections do not survive a fork, connect in the new "
                                          "process (started by spawn)");
  }
  if (in_transaction_ && sqlite3_get_autocommit(db_) != 0) {
    throw sdk::Error(PK_SERIALIZATION, "SQLite has rolled the transaction back; roll back and try the chunk again");
  }
}

void Database::throw_if_cancelled() {
  if (cancelled_) throw make_error(SQLITE_INTERRUPT, "");
}

sqlite3_stmt* Database::prepared(const std::string& text) {
  for (Cached& cached : cache_) {
    if (cached.text == text && sqlite3_stmt_busy(cached.statement) == 0) {
      cached.used = ++uses_;
      return cached.statement;
    }
  }
  if (cache_.size() >= cache_limit) {
    const auto oldest = std::min_element(cache_.begin(), cache_.end(), [](const Cached& a, const Cached& b) { return a.used < b.used; });
    if (sqlite3_stmt_busy(oldest->statement) == 0) {
      sqlite3_finalize(oldest->statement);
      cache_.erase(oldest);
    }
  }
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int rc = sqlite3_prepare_v3(db_, text.c_str(), static_cast<int>(text.size()) + 1, SQLITE_PREPARE_PERSISTENT, &statement, &tail);
  if (rc != SQLITE_OK) fail(rc);
  if (statement == nullptr || std::string(tail).find_first_not_of(" \t\r\n") != std::string::npos) {
    sqlite3_finalize(statement);
    throw sdk::Error(PK_INVALID_ARGUMENT, "one statement or condition may stand here, not several statements");
  }
  cache_.push_back({text, statement, ++uses_});
  return statement;
}

void Database::bind(sqlite3_stmt* statement, const sdk::Row& params) {
  for (std::size_t i = 0; i < params.size(); ++i) {
    const int at = static_cast<int>(i) + 1;
    const sdk::Value& v = params[i];
    int rc = SQLITE_OK;
    switch (v.kind) {
      case PK_VALUE_NULL: rc = sqlite3_bind_null(statement, at); break;
      case PK_VALUE_UINT:
        if (v.i64 < 0) throw sdk::Error(PK_INVALID_ARGUMENT, "a number above 9223372036854775807 can't be stored in SQLite, nor compared with");
        rc = sqlite3_bind_int64(statement, at, v.i64);
        break;
      case PK_VALUE_INT:
      case PK_VALUE_BOOL: rc = sqlite3_bind_int64(statement, at, v.i64); break;
      case PK_VALUE_REAL: rc = sqlite3_bind_double(statement, at, v.f64); break;
      case PK_VALUE_DECIMAL:
      case PK_VALUE_TEXT: rc = sqlite3_bind_text64(statement, at, v.text.data(), v.text.size(), SQLITE_STATIC, SQLITE_UTF8); break;
      case PK_VALUE_BYTES: rc = sqlite3_bind_blob64(statement, at, v.text.data(), v.text.size(), SQLITE_STATIC); break;
      case PK_VALUE_INSTANT:
      case PK_VALUE_WALL: throw sdk::Error(PK_NOT_SUPPORTED, "a time can't stand here for SQLite; write it as text or as a number");
    }
    if (rc != SQLITE_OK) fail(rc);
  }
}

bool Database::step(sqlite3_stmt* statement) {
  const int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) return true;
  if (rc != SQLITE_DONE) fail(rc);
  return false;
}

void Database::fail(int code) {
  const int extended = sqlite3_extended_errcode(db_);
  const int shown = (extended & 0xff) == (code & 0xff) ? extended : code;
  if ((shown & 0xff) == SQLITE_INTERRUPT && timed_out_) {
    throw sdk::Error(PK_STATEMENT_TIMEOUT, "the statement ran longer than " + std::to_string(statement_timeout_.count()) +
                                               " ms and was stopped; the open transaction is rolled back, a smaller chunk may pass")
        .vendor_code(shown);
  }
  if ((shown & 0xff) == SQLITE_BUSY && cancelled_) throw make_error(SQLITE_INTERRUPT, "");
  // From 3.47 on a trigger can put values into its message.
  const bool may_hold_values = shown == SQLITE_CONSTRAINT_TRIGGER && sqlite3_libversion_number() >= 3'047'000;
  const std::string detail = sqlite3_errmsg(db_);
  throw make_error(shown, may_hold_values && classify(shown, detail) == PK_TRIGGER ? "" : detail);
}

std::int64_t Database::execute(const std::string& text, const sdk::Row& params) {
  const Use use(*this, text, params);
  while (step(use.statement)) {
  }
  return sqlite3_changes(db_);
}

sdk::Rows Database::query(const std::string& text, const sdk::Row& params) {
  sdk::Rows out;
  for_each(text, params, [&](const sdk::Row& row) {
    out.push_back(row);
    return true;
  });
  return out;
}

bool Database::for_each(const std::string& text, const sdk::Row& params, const std::function<bool(const sdk::Row&)>& visit) {
  const Use use(*this, text, params);
  const int columns = sqlite3_column_count(use.statement);
  sdk::Row row;
  while (step(use.statement)) {
    row.clear();
    for (int i = 0; i < columns; ++i) row.push_back(column_value(use.statement, i));
    if (!visit(row)) return false;
  }
  return true;
}

void Database::check(const std::string& text) { const Use use(*this, text, {}); }

bool Database::is_wal() { return query("PRAGMA main.journal_mode").at(0).at(0).text == "wal"; }

std::int64_t Database::written_bytes() {
  int pages = 0;
  int unused = 0;
  sqlite3_db_status(db_, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &unused, 1);
  return pages * page_bytes_;
}

std::optional<std::int64_t> Database::make_room(std::int64_t wanted_bytes) {
  if (!is_wal()) return std::nullopt;
  start_checkpointer();
  const auto room_bytes = [&] { return std::min(chunk_limit_bytes, log_limit_bytes - log_pages_ * page_bytes_); };
  if (!checkpointer_ || room_bytes() >= std::min(wanted_bytes, chunk_limit_bytes)) return std::max(room_bytes(), chunk_limit_bytes / 2);
  const bool bounded = statement_timeout_.count() > 0;
  if (checkpointer_->wait(bounded ? Clock::now() + statement_timeout_ : Clock::time_point::max(), cancelled_)) log_pages_ = 0;
  throw_if_cancelled();
  return chunk_limit_bytes;
}

void Database::start_checkpointer() {
  if (checkpointer_ || copies_itself_ || log_pages_ < due_pages) return;  // a small purge needs none
  try {
    checkpointer_ = std::make_unique<Checkpointer>(id_, path_);
    checkpointer_->committed();
  } catch (const std::exception&) {
    copies_itself_ = true;  // short of memory, threads or descriptors: slower, and otherwise the same
  }
}

int Database::on_commit(void* self, sqlite3* handle, const char* schema, int pages) {
  auto& db = *static_cast<Database*>(self);
  db.log_pages_ = pages;
  if (db.checkpointer_) {
    db.checkpointer_->committed();
  } else if (pages * db.page_bytes_ >= checkpoint_bytes) {
    sqlite3_wal_checkpoint_v2(handle, schema, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  }
  return SQLITE_OK;
}

void Database::require_own_file() {
  require_usable();
  if (file_id(path_) != id_) {
    throw sdk::Error(PK_CONNECTION_LOST, "the file at " + path_ + " was replaced while it was open; nothing more is written to the old one");
  }
  check_sole_library(id_, path_);
  if (read_only()) throw make_error(SQLITE_READONLY, "");  // SQLite itself would notice at the first change only
}

void Database::begin_immediate() {
  rollback();
  require_own_file();
  execute("BEGIN IMMEDIATE");
  in_transaction_ = true;
}

void Database::commit() {
  try {
    execute("COMMIT");
  } catch (const sdk::Error& e) {
    // A disk that fails while the journal is finished leaves it open whether the commit will be seen.
    if (e.code() == PK_CONNECTION_LOST && (e.vendor_code() & 0xff) == SQLITE_IOERR) {
      throw sdk::Error(PK_IN_DOUBT, "the disk failed during COMMIT; whether the chunk was kept is found out after reconnecting").vendor_code(e.vendor_code());
    }
    throw;
  }
  in_transaction_ = false;
}

void Database::rollback() noexcept {
  in_transaction_ = false;
  if (db_ == nullptr || pid_ != ::getpid() || sqlite3_get_autocommit(db_) != 0) return;
  sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

// Short naps first: most writers hold the file for milliseconds only.
int Database::on_busy(void* self, int attempt) {
  auto& db = *static_cast<Database*>(self);
  const Clock::time_point now = Clock::now();
  if (attempt == 0) db.busy_since_ = now;
  if (db.cancelled_) return 0;
  const auto left = db.busy_since_ + db.lock_wait_ - now;
  if (left <= Clock::duration::zero()) return 0;
  ++db.naps_;
  const std::chrono::milliseconds nap(attempt < 3 ? 1 : attempt < 10 ? 5 : 25);
  std::this_thread::sleep_for(std::min<Clock::duration>(nap, left));
  return 1;
}

int Database::on_progress(void* self) {
  auto& db = *static_cast<Database*>(self);
  if (db.cancelled_) return 1;
  if (Clock::now() < db.statement_end_) return 0;
  db.timed_out_ = true;
  return 1;
}

}  // namespace purgekit::sqlite
