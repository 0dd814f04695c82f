/// \file database.hpp
/// SQLite as one class: statements with bound values, bounded waits, errors in purgekit's terms.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "purgekit/sdk.hpp"

namespace filedb {

namespace sdk = purgekit::sdk;

class Database {
 public:
  Database() = default;
  ~Database() { close(); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void open(const std::string& path, std::uint32_t lock_wait_ms);
  void close() noexcept;
  /// From any thread.
  void cancel() noexcept { cancelled_ = true; }
  void set_lock_wait(std::uint32_t wait_ms) { lock_wait_ms_ = wait_ms; }
  bool in_transaction() const { return db_ != nullptr && sqlite3_get_autocommit(db_) == 0; }

  std::int64_t execute(const std::string& text, const std::vector<sdk::Value>& params = {});
  sdk::Rows query(const std::string& text, const std::vector<sdk::Value>& params = {});

 private:
  static int on_busy(void* self, int tries);
  static int on_progress(void* self);
  [[noreturn]] void fail(int code);

  sqlite3* db_ = nullptr;
  std::atomic<bool> cancelled_{false};
  std::uint32_t lock_wait_ms_ = 1'000;
  std::chrono::steady_clock::time_point waiting_since_;
};

}  // namespace filedb
