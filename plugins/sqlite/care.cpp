// After a purge: statistics, and pages given back to the file system where the file was made for that. VACUUM is left to the operator:
// it locks everybody out for as long as it copies the file.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "connection.hpp"

namespace purgekit::sqlite {
namespace {

constexpr auto longest_step = std::chrono::milliseconds(50);  // that others are kept from writing by
constexpr std::uint32_t statement_ms = 5'000;
constexpr std::uint32_t reader_wait_ms = 50;  // nobody may write meanwhile
constexpr int rows_sampled = 1'000;           // of each index
constexpr std::int64_t auto_vacuum_none = 0;
constexpr std::int64_t auto_vacuum_incremental = 2;

std::int64_t number(Database& db, const std::string& pragma) { return db.query("PRAGMA main." + pragma).at(0).at(0).i64; }

std::string megabytes(std::int64_t bytes) {
  char text[40];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

/// Bounds a step is held to, and those of the connection again afterwards.
class Bounded {
 public:
  Bounded(Database& db, std::uint32_t lock_wait_ms, std::uint32_t statement_timeout_ms) : db_(db), lock_wait_ms_(lock_wait_ms), statement_timeout_ms_(statement_timeout_ms) {
    db_.set_lock_wait(lock_wait_ms_);
    db_.set_statement_timeout(statement_ms);
  }
  ~Bounded() {
    db_.set_lock_wait(lock_wait_ms_);
    db_.set_statement_timeout(statement_timeout_ms_);
  }
  Bounded(const Bounded&) = delete;
  Bounded& operator=(const Bounded&) = delete;

 private:
  Database& db_;
  std::uint32_t lock_wait_ms_;
  std::uint32_t statement_timeout_ms_;
};

}  // namespace

sdk::Space SqliteConnection::space(const sdk::Purge&) {
  const Database::Activity activity(db_);
  sdk::Space out;
  const std::int64_t page_bytes = number(db_, "page_size");
  out.bytes = number(db_, "page_count") * page_bytes;
  out.reusable_bytes = number(db_, "freelist_count") * page_bytes;
  out.dead_bytes = 0;
  if (out.reusable_bytes == 0) return out;
  switch (number(db_, "auto_vacuum")) {
    case auto_vacuum_none:
      out.advice = "free pages are used for new rows; VACUUM would make the file " + megabytes(out.reusable_bytes) +
                   " smaller, takes up to twice the file's size (" + megabytes(2 * out.bytes) + ") of room and locks everybody out while it runs";
      break;
    case auto_vacuum_incremental: out.advice = "free pages are used for new rows; --reclaim space gives them back in small steps"; break;
    default: break;
  }
  return out;
}

bool SqliteConnection::reclaim(const sdk::Purge& purge, pk_care care) {
  const Database::Activity activity(db_);
  const Bounded bounded(db_, lock_wait_ms_, statement_timeout_ms_);
  if (care == PK_CARE_SPACE) {
    if (!give_pages_back()) return false;
    truncate_log();
  }
  refresh_statistics(purge);
  return true;
}

// One step of incremental_vacuum frees one page, so it takes as many as there is time for. Whether the free list is empty.
bool SqliteConnection::give_pages_back() {
  if (number(db_, "auto_vacuum") != auto_vacuum_incremental || number(db_, "freelist_count") == 0) return true;
  db_.begin_immediate();
  try {
    const auto end = Database::Clock::now() + longest_step;
    const bool through = db_.for_each("PRAGMA main.incremental_vacuum", {}, [&](const sdk::Row&) { return Database::Clock::now() < end; });
    db_.commit();
    return through;
  } catch (...) {
    db_.rollback();
    throw;
  }
}

// What was given back leaves the file with the checkpoint only. While somebody reads it stays in the log, which is no harm.
void SqliteConnection::truncate_log() {
  db_.set_lock_wait(std::min(lock_wait_ms_, reader_wait_ms));
  try {
    db_.query("PRAGMA main.wal_checkpoint(TRUNCATE)");
  } catch (const sdk::Error& e) {
    if (e.code() != PK_LOCK_TIMEOUT) throw;
  }
  db_.set_lock_wait(lock_wait_ms_);
}

void SqliteConnection::refresh_statistics(const sdk::Purge& purge) {
  const sdk::Table& table = known(purge);
  // Without an index there is nothing to choose between, and ANALYZE would go through the whole table.
  if (table.indexes.empty()) return;
  db_.query("PRAGMA analysis_limit = " + std::to_string(rows_sampled));
  db_.execute("ANALYZE main." + dialect_.quote(table.name));
}

}  // namespace purgekit::sqlite
