/// \file chunk_frames.hpp
/// What one worker's chunk adds to the files of an archive: the rows that the backend gives away, as compressed lines in memory. Internal.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/plan.hpp"
#include "purgekit/sdk/arrow_c.hpp"
#include "sha256.hpp"

namespace purgekit {

/// The rows of one chunk and one table: a zstd frame, and what is said of it.
struct Frame {
  std::size_t table = 0;   ///< 0: the purge's own, then the dependents
  std::int64_t rows = 0;
  std::int64_t bytes = 0;  ///< of the lines, uncompressed
  std::string sha256;      ///< of the lines
  std::string data;
};

/// Thread rule: belongs to one worker. Stays where it is: the backend keeps a pointer to sink(). What was given is worked on by a thread
/// of its own, so that the backend goes on meanwhile; finish() has waited for it.
class ChunkFrames {
 public:
  explicit ChunkFrames(const ArchiveFiles& plan);
  ChunkFrames(const ChunkFrames&) = delete;
  ChunkFrames& operator=(const ChunkFrames&) = delete;
  ~ChunkFrames();

  const pk_sink& sink() const { return sink_; }
  /// Forget what was given: another chunk begins, or the same one again.
  void start();
  /// The frames of the chunk, none for a table without rows.
  /// \param deleted how many rows of each table the backend says it has deleted
  /// \throws sdk::Error when it gave more or fewer, or what went wrong with them
  std::vector<Frame> finish(const std::vector<std::int64_t>& deleted);

 private:
  struct Table;
  struct Batch;
  static int32_t take(void* self, std::size_t table, ArrowSchema* schema, ArrowArray* rows, pk_error* error);
  void give(std::unique_ptr<Batch> batch);
  void work();
  void add(const Batch& batch);
  /// Until nothing is left to work on.
  void settle(std::unique_lock<std::mutex>& lock);

  pk_sink sink_;
  std::vector<std::unique_ptr<Table>> tables_;  // the thread's, while there is anything to work on
  std::string lines_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Batch>> batches_;
  std::exception_ptr problem_;  // with the chunk in hand
  bool busy_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace purgekit
