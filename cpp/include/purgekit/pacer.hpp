/// \file pacer.hpp
/// How large the next chunk is and how long to wait before it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace purgekit {

/// Rows to visit in the next chunk, so that one chunk takes about `target_ms`. Source of the constants: the 90th percentile of
/// the last ten, growth of at most half, a cut to a tenth when five times over (as schema-change tools found them). Where a chunk
/// costs its time whatever its size (a slow COMMIT), smaller ones would only be more: the size is kept.
class ChunkSizer {
 public:
  ChunkSizer(double target_ms, std::int64_t first_rows);
  std::int64_t rows() const { return rows_; }
  /// A chunk of `visited` rows took `elapsed_ms`.
  void record(std::int64_t visited, double elapsed_ms);
  /// From now on a chunk is to take so long.
  void set_target_ms(double target_ms) { target_ms_ = target_ms; }
  /// Take this size for the next chunk: a larger one could not be done, or what was in its way is passed.
  void set_rows(std::int64_t rows);

 private:
  static constexpr std::int64_t largest = 1'000'000;
  struct Shrinking {
    std::int64_t rows = 0;  // 0: the size is not being reduced
    double elapsed_ms = 0;
  };
  bool shrinks_in_vain(std::int64_t visited, double elapsed_ms) const;

  double target_ms_;
  std::int64_t rows_;
  std::deque<double> recent_ms_per_row_;
  Shrinking from_;  // the chunk that was found too long
};

/// A pause before the next chunk.
struct Pause {
  double wait_s = 0;
  std::string reason;  ///< for people, with figures
  std::string name;    ///< what the report sums the waits up by: the same however the figures change
};

/// Keeps to a rate, and in gentle mode yields when chunks become slow against their own best.
class Pacer {
 public:
  Pacer(bool gentle, std::optional<double> max_rows_per_s) : gentle_(gentle), max_rows_per_s_(max_rows_per_s) {}
  /// After a chunk that deleted `rows` in `elapsed_ms`, `since_start_s` after the run began.
  void record(std::int64_t visited, std::int64_t deleted, double elapsed_ms, double since_start_s);
  Pause next() const { return pause_; }

 private:
  bool gentle_;
  std::optional<double> max_rows_per_s_;
  std::int64_t deleted_ = 0;
  double best_ms_per_row_ = 0;
  int chunks_ = 0;
  Pause pause_;
};

}  // namespace purgekit
