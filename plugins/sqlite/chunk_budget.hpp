/// \file chunk_budget.hpp
/// How many rows one chunk may take so that what it writes stays within a limit: learned from the chunk before.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace purgekit::sqlite {

/// A row costs from a part of a page (no index in random order) to thousands (a large blob overwritten with zeros).
class ChunkBudget {
 public:
  /// What the next chunk may write.
  void set_limit(std::int64_t bytes) { limit_bytes_ = bytes; }

  /// What the chunk before wrote, with some room for more; without one, as much as there is.
  std::int64_t wanted_bytes() const { return wanted_bytes_; }

  /// Rows the next chunk may delete.
  std::int64_t deletes() const { return bytes_per_row_ > 0 ? at_least_one(static_cast<double>(limit_bytes_) / bytes_per_row_) : first_rows; }

  /// Rows the next chunk may visit, where it can't stop at the number of those it deletes.
  std::int64_t visits() const { return at_least_one(static_cast<double>(deletes()) * visits_per_delete_); }

  void record(std::int64_t visited, std::int64_t deleted, std::int64_t bytes) {
    if (visited <= 0) return;
    wanted_bytes_ = bytes + bytes / 2;  // chunks grow by no more than half
    const auto rows = static_cast<double>(std::max<std::int64_t>(deleted, 1));
    visits_per_delete_ = std::clamp(static_cast<double>(visited) / rows, 1.0, most_visits);
    if (deleted > 0 && bytes > 0) bytes_per_row_ = static_cast<double>(bytes) / rows;
  }

 private:
  static constexpr std::int64_t first_rows = 100;
  static constexpr double most_visits = 16;  // what lies ahead may be denser
  static std::int64_t at_least_one(double rows) { return static_cast<std::int64_t>(std::clamp(rows, 1.0, 1e9)); }

  std::int64_t limit_bytes_ = 0;
  std::int64_t wanted_bytes_ = std::numeric_limits<std::int64_t>::max();
  double bytes_per_row_ = 0;
  double visits_per_delete_ = 1;
};

}  // namespace purgekit::sqlite
