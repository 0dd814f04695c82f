#include <sys/stat.h>

#include <algorithm>

#include "connection.hpp"

namespace purgekit::sqlite {
namespace {

// A reader that stays keeps the log from being written back, and whoever writes on makes it grow for good: the file never gets smaller
// by itself. Well above what a checkpoint leaves behind usually.
constexpr double kept_log_limit_bytes = 128.0 * 1024 * 1024;
// A purge by itself stays below this size; above, it is worth asking how much of the file is still needed.
constexpr std::int64_t small_log_bytes = 64LL * 1024 * 1024;
// Naps while another process held the database, since the last look: so many are somebody who writes on and on, not a single commit.
constexpr double naps_limit = 10;

}  // namespace

std::vector<sdk::Signal> SqliteConnection::pressure() {
  std::vector<sdk::Signal> out{{"busy_waits", static_cast<double>(db_.take_naps()), naps_limit}};
  struct stat log {};
  if (::stat((db_.path() + "-wal").c_str(), &log) != 0) return out;
  auto needed_bytes = static_cast<double>(log.st_size);
  if (log.st_size > small_log_bytes) {
    // Makes nobody wait, and is what gets us on once the reader is gone.
    const sdk::Rows rows = db_.query("PRAGMA main.wal_checkpoint(PASSIVE)");
    const std::int64_t pages = rows.at(0).at(1).i64;
    const std::int64_t written_back = rows[0].at(2).i64;
    if (pages > 0) needed_bytes *= static_cast<double>(std::clamp<std::int64_t>(pages - written_back, 0, pages)) / static_cast<double>(pages);
  }
  out.push_back({"wal_bytes", needed_bytes, kept_log_limit_bytes});
  return out;
}

// A SELECT is a transaction of its own. What it may not do is write.
void SqliteConnection::begin_looking(std::uint32_t timeout_ms) {
  db_.execute("PRAGMA query_only = 1");
  db_.set_statement_timeout(timeout_ms);
  db_.set_lock_wait(timeout_ms);
}

void SqliteConnection::end_looking() {
  db_.set_statement_timeout(statement_timeout_ms_);
  db_.set_lock_wait(lock_wait_ms_);
  db_.execute("PRAGMA query_only = 0");
}

}  // namespace purgekit::sqlite
