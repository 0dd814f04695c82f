#include "side_copy.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "declared.hpp"
#include "error.hpp"
#include "process_guard.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Error;
using sdk::Row;
using sdk::Value;

constexpr int slice_pages = 4'096;
const std::string side = SideCopy::schema;

std::int64_t number(Database& db, const std::string& pragma) { return db.query("PRAGMA " + pragma).at(0).at(0).i64; }

// SQLite keeps the text behind the name as it was written, and what stands before it in these words.
std::string in_side(const std::string& sql) {
  for (const std::string_view start : {"CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "}) {
    if (sql.rfind(start, 0) == 0) return std::string(start) + side + "." + sql.substr(start.size());
  }
  throw Error(PK_NOT_SUPPORTED, "the schema holds a statement that can't be repeated; leave the strategy out to have the table walked");
}

}  // namespace

std::string stored_columns(Database& db, const sdk::Dialect& dialect, const std::string& table, std::size_t* count) {
  std::vector<std::string> names;
  bool has_rowid = db.query("SELECT 1 FROM pragma_index_xinfo(?, 'main')", {Value::string(table)}).empty();
  const bool has_key_index = !db.query("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'", {Value::string(table)}).empty();
  std::int64_t key_columns = 0;
  std::vector<std::string> hidden;
  for (const Row& r : db.query("SELECT name, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid", {Value::string(table)})) {
    hidden.push_back(lower(r.at(0).text));
    key_columns += r.at(1).i64 > 0 ? 1 : 0;
    if (r.at(2).i64 == 0) names.push_back(dialect.quote(r.at(0).text));
  }
  has_rowid = has_rowid && (has_key_index || key_columns != 1);  // else it is a column
  if (has_rowid) {
    for (const char* name : {"rowid", "_rowid_", "oid"}) {
      if (std::find(hidden.begin(), hidden.end(), name) != hidden.end()) continue;
      names.insert(names.begin(), name);
      break;
    }
  }
  if (count != nullptr) *count = names.size();
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

bool SideCopy::is_possible(Database& db) {
  if (db.query("PRAGMA main.journal_mode").at(0).at(0).text != "wal") return false;
  if (!db.query("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND coalesce(rootpage, 0) = 0").empty()) return false;
  int reserved_bytes = -1;
  return sqlite3_file_control(db.handle(), "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved_bytes) == SQLITE_OK && reserved_bytes == 0;
}

SideCopy::SideCopy(Database& db, const sdk::Dialect& dialect, std::uint32_t lock_wait_ms) : db_(db), dialect_(dialect) {
  try {
    db_.require_own_file();
    db_.execute("ATTACH '' AS " + side);  // a file of our own that has no name: it is gone when we are
    copy_settings();
    guarded_open(db_.id(), db_.path(), [&] {
      int rc = sqlite3_open_v2(db_.path().c_str(), &target_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
      if (rc == SQLITE_OK) rc = sqlite3_exec(target_, "SELECT count(*) FROM main.sqlite_schema", nullptr, nullptr, nullptr);
      if (rc == SQLITE_OK) return;
      sqlite3_close(std::exchange(target_, nullptr));
      throw make_error(rc, sqlite3_errstr(rc));
    });
    sqlite3_extended_result_codes(target_, 1);
    sqlite3_busy_timeout(target_, static_cast<int>(lock_wait_ms));
    // A backup of nothing would empty the database at its first step.
    if (number(db_, side + ".page_count") < 1) throw Error(PK_INTERNAL, "the copy has no page; nothing was changed");
    backup_ = sqlite3_backup_init(target_, "main", db_.handle(), SideCopy::schema);
    if (backup_ == nullptr) fail(sqlite3_extended_errcode(target_), false);
    if (const int rc = sqlite3_backup_step(backup_, 0); rc != SQLITE_OK) fail(rc, false);
    db_.execute("BEGIN");
  } catch (...) {
    close();
    throw;
  }
}

SideCopy::~SideCopy() { close(); }

void SideCopy::copy_settings() {
  db_.execute("PRAGMA " + side + ".page_size = " + std::to_string(number(db_, "main.page_size")));
  db_.execute("PRAGMA " + side + ".auto_vacuum = " + std::to_string(number(db_, "main.auto_vacuum")));
  db_.query("PRAGMA " + side + ".journal_mode = OFF");
  db_.execute("PRAGMA " + side + ".synchronous = OFF");
  db_.query("PRAGMA " + side + ".secure_delete = OFF");
  db_.execute("PRAGMA " + side + ".cache_size = -16384");
  db_.execute("PRAGMA " + side + ".application_id = " + std::to_string(number(db_, "main.application_id")));
  db_.execute("PRAGMA " + side + ".user_version = " + std::to_string(number(db_, "main.user_version")));
}

void SideCopy::copy_rows(const std::string& table) {
  const std::string name = dialect_.quote(table);
  const std::string columns = stored_columns(db_, dialect_, table);
  // OR ABORT: whatever the table itself would have a second row of a key do.
  db_.execute("INSERT OR ABORT INTO " + side + "." + name + " (" + columns + ") SELECT " + columns + " FROM main." + name + " NOT INDEXED");
}

void SideCopy::copy_others(const std::string& table) {
  db_.execute("PRAGMA writable_schema = ON");  // statistics are tables that nobody may make otherwise
  std::vector<std::string> names;
  for (const Row& r : db_.query("SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence' ORDER BY rowid")) {
    db_.execute(in_side(r.at(1).text));
    if (r.at(0).text != table) names.push_back(r.at(0).text);
  }
  for (const std::string& name : names) copy_rows(name);
}

void SideCopy::complete() {
  for (const Row& r : db_.query("SELECT sql FROM main.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid")) db_.execute(in_side(r.at(0).text));
  const std::string counters = "SELECT 1 FROM " + side + ".sqlite_schema WHERE name = 'sqlite_sequence'";
  if (!db_.query(counters).empty()) {
    db_.execute("DELETE FROM " + side + ".sqlite_sequence");
    copy_rows("sqlite_sequence");
  }
  db_.execute("INSERT INTO " + side + ".sqlite_schema SELECT * FROM main.sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY rowid");
  const auto lacks = [&](const std::string& a, const std::string& b) {
    const std::string what = "SELECT type, name, tbl_name, sql FROM ";
    return !db_.query(what + a + ".sqlite_schema WHERE name <> 'sqlite_sequence' EXCEPT " + what + b + ".sqlite_schema").empty();
  };
  if (lacks("main", side) || lacks(side, "main")) {
    throw Error(PK_NOT_SUPPORTED, "the schema did not come out the same when it was copied, so nothing was changed; leave the strategy out to have the table walked");
  }
}

void SideCopy::commit(const std::function<void()>& may_go_on) {
  db_.execute("COMMIT");
  int rc = SQLITE_OK;
  while (rc == SQLITE_OK) {
    may_go_on();
    rc = sqlite3_backup_step(backup_, slice_pages);
  }
  if (rc != SQLITE_DONE) fail(rc, true);
  rc = sqlite3_backup_finish(std::exchange(backup_, nullptr));
  if (rc != SQLITE_OK) fail(rc, true);
  close();
}

void SideCopy::fail(int code, bool at_the_end) {
  const Error error = make_error(code, sqlite3_errstr(code));
  if (at_the_end && error.code() == PK_CONNECTION_LOST) {
    throw Error(PK_IN_DOUBT, "the disk failed while the copy took the database's place; whether it did is found out after reconnecting").vendor_code(code);
  }
  throw error;
}

void SideCopy::close() noexcept {
  if (backup_ != nullptr) sqlite3_backup_finish(std::exchange(backup_, nullptr));
  if (target_ != nullptr) guarded_close(db_.id(), [this] { sqlite3_close(std::exchange(target_, nullptr)); });
  db_.rollback();
  try {
    // Not by way of db_, which makes no statement once it was cancelled.
    sqlite3_exec(db_.handle(), ("PRAGMA writable_schema = OFF; DETACH " + side).c_str(), nullptr, nullptr, nullptr);
  } catch (const Error&) {
    // The connection is closed, and what was attached to it.
  }
}

}  // namespace purgekit::sqlite
