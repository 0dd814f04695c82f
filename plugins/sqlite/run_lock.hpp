/// \file run_lock.hpp
/// "Another purge of this table is running", told at once and forgotten by the kernel when the process dies.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

namespace purgekit::sqlite {

/// SQLite has no advisory locks. On Linux an abstract socket name serves: one holder, no file left behind.
class RunLocks {
 public:
  RunLocks() = default;
  RunLocks(const RunLocks&) = delete;
  RunLocks& operator=(const RunLocks&) = delete;
  ~RunLocks() { release_all(); }

  /// \throws sdk::Error PK_LOCK_TIMEOUT when another holds it, PK_NOT_SUPPORTED where the system has no such names.
  void acquire(dev_t device, ino_t inode, const std::string& key);
  void release(const std::string& key) noexcept;
  void release_all() noexcept;

 private:
  std::map<std::string, int> sockets_;
};

}  // namespace purgekit::sqlite
