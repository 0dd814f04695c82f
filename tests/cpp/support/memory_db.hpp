/// \file memory_db.hpp
/// SQLite in memory, to evaluate rendered conditions with.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <set>
#include <string>

#include "purgekit/sdk/dialect.hpp"

namespace purgekit::test {

class MemoryDb {
 public:
  /// With the SQLite backend's own time functions.
  MemoryDb();
  ~MemoryDb();
  MemoryDb(const MemoryDb&) = delete;
  MemoryDb& operator=(const MemoryDb&) = delete;

  void execute(const std::string& text, const sdk::Row& params = {});
  /// First column of each row, as whole numbers.
  std::set<std::int64_t> ids(const std::string& text, const sdk::Row& params = {});

 private:
  sqlite3_stmt* prepared(const std::string& text, const sdk::Row& params);
  [[noreturn]] void fail(const std::string& text);
  sqlite3* db_ = nullptr;
};

}  // namespace purgekit::test
