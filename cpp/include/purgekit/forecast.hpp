/// \file forecast.hpp
/// What a purge is going to cost, from statistics and, where it was rehearsed, from a real chunk that was rolled back.
#pragma once

#include <cstdint>
#include <optional>

namespace purgekit {

/// One chunk of a policy, deleted and rolled back.
struct Rehearsal {
  std::int64_t rows_visited = 0;
  std::int64_t rows_deleted = 0;
  std::int64_t rows_of_dependents = 0;
  double elapsed_ms = 0;
  std::optional<std::int64_t> log_bytes{};  ///< that the server's logs grew by meanwhile, by whomever
};

/// All figures for one worker at full speed. Nothing where nobody knows.
struct Forecast {
  std::optional<double> seconds;              ///< deleting; counting and waiting for COMMIT come on top
  std::optional<std::int64_t> transactions;   ///< chunks
  std::optional<std::int64_t> log_bytes;      ///< that its logs will grow by: write-ahead or redo log, and binary log
  std::optional<std::int64_t> freed_bytes;    ///< taken by the purgeable rows now, in the table and its indexes
  std::optional<Rehearsal> rehearsal;
};

/// `whole_walk`: the walk visits every row of the table, not only those that match.
/// \param table_bytes with indexes, -1 unknown. \param chunk_ms target time of a chunk
Forecast forecast(std::int64_t rows_total, std::int64_t rows_purgeable, std::int64_t table_bytes, bool whole_walk, const std::optional<Rehearsal>& rehearsal, double chunk_ms);

}  // namespace purgekit
