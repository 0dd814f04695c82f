#include "purgekit/pacer.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace purgekit {

ChunkSizer::ChunkSizer(double target_ms, std::int64_t first_rows) : target_ms_(target_ms), rows_(std::clamp<std::int64_t>(first_rows, 1, largest)) {}

void ChunkSizer::record(std::int64_t visited, double elapsed_ms) {
  const double per_row = elapsed_ms / static_cast<double>(std::max<std::int64_t>(visited, 1));
  recent_ms_per_row_.push_back(per_row);
  if (recent_ms_per_row_.size() > 10) recent_ms_per_row_.pop_front();
  if (elapsed_ms > 5 * target_ms_) {
    rows_ = std::max<std::int64_t>(1, rows_ / 10);
    from_ = {};
    return;
  }
  if (shrinks_in_vain(visited, elapsed_ms)) {
    rows_ = from_.rows;
    from_ = {};
    recent_ms_per_row_.clear();
    return;
  }
  std::vector<double> sorted(recent_ms_per_row_.begin(), recent_ms_per_row_.end());
  std::sort(sorted.begin(), sorted.end());
  const double p90 = sorted[(sorted.size() - 1) * 9 / 10];
  const double wanted = p90 > 0 ? target_ms_ / p90 : static_cast<double>(largest);
  const double current = static_cast<double>(rows_);
  const double next = std::clamp(wanted, current * 0.5, current * 1.5 + 1);
  if (elapsed_ms <= target_ms_) {
    from_ = {};
  } else if (from_.rows == 0 && next < current) {
    from_ = {rows_, elapsed_ms};
  }
  rows_ = std::clamp<std::int64_t>(static_cast<std::int64_t>(next), 1, largest);
}

// Fewer rows saved not even a tenth of the time that they would have saved had each cost its share.
bool ChunkSizer::shrinks_in_vain(std::int64_t visited, double elapsed_ms) const {
  if (from_.rows == 0 || elapsed_ms <= target_ms_) return false;
  const double rows_share = static_cast<double>(visited) / static_cast<double>(from_.rows);
  return rows_share < 0.7 && 1 - elapsed_ms / from_.elapsed_ms < 0.1 * (1 - rows_share);
}

void ChunkSizer::set_rows(std::int64_t rows) { rows_ = std::clamp<std::int64_t>(rows, 1, largest); }

void Pacer::record(std::int64_t visited, std::int64_t deleted, double elapsed_ms, double since_start_s) {
  deleted_ += deleted;
  ++chunks_;
  pause_ = {};
  if (max_rows_per_s_) {
    const double due_s = static_cast<double>(deleted_) / *max_rows_per_s_;
    if (due_s > since_start_s) pause_ = {due_s - since_start_s, "max_rows_per_s", "max_rows_per_s"};
  }
  if (!gentle_) return;
  const double per_row = elapsed_ms / static_cast<double>(std::max<std::int64_t>(visited, 1));
  if (best_ms_per_row_ <= 0 || per_row < best_ms_per_row_) best_ms_per_row_ = per_row;
  // Slowly forget a best that was luck.
  best_ms_per_row_ *= 1.01;
  const bool settled = chunks_ > 10 && visited >= 100 && elapsed_ms > 5;
  if (settled && per_row > 4 * best_ms_per_row_) {
    const double wait_s = std::min(elapsed_ms / 1000, 1.0);
    if (wait_s > pause_.wait_s) pause_ = {wait_s, "chunks take " + std::to_string(std::lround(per_row / best_ms_per_row_)) + " times as long as the best", "chunk_time"};
  }
}

}  // namespace purgekit
