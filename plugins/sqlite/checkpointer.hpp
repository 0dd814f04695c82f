/// \file checkpointer.hpp
/// Copies what was committed from the write-ahead log into the file, beside the purge: on a thread and a connection of its own.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "process_guard.hpp"

namespace purgekit::sqlite {

/// A chunk changes pages all over the file. Writing them to the log and from there into the file cost about the same, so doing
/// both at once takes half the time; and the chunk that would have had to checkpoint is no longer than the others.
///
/// Only passive checkpoints: they make neither readers nor writers wait, and what may be copied when is SQLite's own decision.
/// Thread rule: one caller; the thread inside has its own connection and shares nothing but the counters under the mutex.
class Checkpointer {
 public:
  /// \throws sdk::Error when the second connection can't be had, std::system_error when the thread can't.
  Checkpointer(const FileId& id, const std::string& path);
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;
  /// Interrupts what runs and joins.
  ~Checkpointer();

  /// There is something to copy.
  void committed();

  /// Wait until all that is known to be committed was copied or can't be for now (a reader needs the log, another process is
  /// copying). Not longer than to `end`, nor once `cancelled`. True when all was copied: the next writer begins the log anew.
  bool wait(std::chrono::steady_clock::time_point end, const std::atomic<bool>& cancelled);

 private:
  void work();

  FileId id_;
  sqlite3* db_ = nullptr;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool is_due_ = false;
  bool is_copying_ = false;
  bool is_all_copied_ = false;  // by the last try
  bool is_ending_ = false;
  std::thread thread_;
};

}  // namespace purgekit::sqlite
