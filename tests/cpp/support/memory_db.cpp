#include "support/memory_db.hpp"

#include <stdexcept>

#include "../../plugins/sqlite/time_functions.hpp"

namespace purgekit::test {

MemoryDb::MemoryDb() {
  if (sqlite3_open(":memory:", &db_) != SQLITE_OK) throw std::runtime_error("SQLite in memory");
  sqlite::register_time_functions(db_);
}

MemoryDb::~MemoryDb() { sqlite3_close(db_); }

void MemoryDb::execute(const std::string& text, const sdk::Row& params) { ids(text, params); }

std::set<std::int64_t> MemoryDb::ids(const std::string& text, const sdk::Row& params) {
  sqlite3_stmt* statement = prepared(text, params);
  std::set<std::int64_t> out;
  int rc = SQLITE_ROW;
  while ((rc = sqlite3_step(statement)) == SQLITE_ROW) out.insert(sqlite3_column_int64(statement, 0));
  sqlite3_finalize(statement);
  if (rc != SQLITE_DONE) fail(text);
  return out;
}

sqlite3_stmt* MemoryDb::prepared(const std::string& text, const sdk::Row& params) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, text.c_str(), -1, &statement, nullptr) != SQLITE_OK) fail(text);
  int at = 0;
  for (const sdk::Value& v : params) {
    ++at;
    switch (v.kind) {
      case PK_VALUE_NULL: sqlite3_bind_null(statement, at); break;
      case PK_VALUE_REAL: sqlite3_bind_double(statement, at, v.f64); break;
      case PK_VALUE_TEXT:
      case PK_VALUE_DECIMAL: sqlite3_bind_text(statement, at, v.text.data(), static_cast<int>(v.text.size()), SQLITE_TRANSIENT); break;
      case PK_VALUE_BYTES: sqlite3_bind_blob(statement, at, v.text.data(), static_cast<int>(v.text.size()), SQLITE_TRANSIENT); break;
      default: sqlite3_bind_int64(statement, at, v.i64); break;
    }
  }
  return statement;
}

void MemoryDb::fail(const std::string& text) { throw std::runtime_error(std::string(sqlite3_errmsg(db_)) + " in: " + text); }

}  // namespace purgekit::test
