#include "checkpointer.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "error.hpp"

namespace purgekit::sqlite {
namespace {

constexpr auto look_up = std::chrono::milliseconds(10);  // how soon a cancelled wait ends

sqlite3* opened(const FileId& id, const std::string& path) {
  sqlite3* db = nullptr;
  guarded_open(id, path, [&] {
    int rc = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    // The first read finds the log; a connection that never read has nothing to copy.
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, "PRAGMA cache_size = 16; SELECT count(*) FROM main.sqlite_schema", nullptr, nullptr, nullptr);
    if (rc == SQLITE_OK) return;
    sqlite3_close(db);
    throw make_error(rc, sqlite3_errstr(rc));
  });
  return db;
}

// The process's signals are for threads that know what to do with them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

Checkpointer::Checkpointer(const FileId& id, const std::string& path) : id_(id), db_(opened(id, path)) {
  try {
    const SignalsBlocked inherited;
    thread_ = std::thread([this] { work(); });
  } catch (...) {
    guarded_close(id_, [this] { sqlite3_close(db_); });
    throw;
  }
}

Checkpointer::~Checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
    if (is_copying_) sqlite3_interrupt(db_);
  }
  changed_.notify_all();
  thread_.join();
  guarded_close(id_, [this] { sqlite3_close(db_); });
}

void Checkpointer::committed() {
  {
    const std::lock_guard lock(mutex_);
    is_due_ = true;
  }
  changed_.notify_all();
}

bool Checkpointer::wait(std::chrono::steady_clock::time_point end, const std::atomic<bool>& cancelled) {
  std::unique_lock lock(mutex_);
  while ((is_due_ || is_copying_) && !cancelled) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return false;
    changed_.wait_for(lock, std::min<std::chrono::steady_clock::duration>(look_up, end - now));
  }
  return !is_due_ && !is_copying_ && is_all_copied_;
}

void Checkpointer::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_due_ || is_ending_; });
    if (is_ending_) return;
    is_due_ = false;
    is_copying_ = true;
    lock.unlock();
    // What fails here (another process is at it, the disk is full) fails for nobody: the pages stay in the log, and the next
    // commit makes us try again.
    int logged = 0;
    int copied = 0;
    const int rc = sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_PASSIVE, &logged, &copied);
    lock.lock();
    is_copying_ = false;
    is_all_copied_ = rc == SQLITE_OK && copied == logged;
    changed_.notify_all();
  }
}

}  // namespace purgekit::sqlite
