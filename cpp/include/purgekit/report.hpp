/// \file report.hpp
/// What a run did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace purgekit {

/// Percentiles of chunk times in bounded memory: buckets 5 % apart from 0.01 ms on, so a percentile is right within 3 %.
class ChunkTimes {
 public:
  void record(double ms);
  /// 0 when nothing was recorded. \param share 0 to 1
  double percentile(double share) const;
  double max() const { return max_ms_; }

 private:
  static constexpr std::size_t buckets = 512;
  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t total_ = 0;
  double max_ms_ = 0;
};

/// Rows that were purgeable and could not go.
struct Blocked {
  std::string table;
  std::string reason;  ///< "foreign_key", "lock", "trigger" or "remaining"
  std::string constraint;
  std::int64_t rows = 0;
  std::string sample_key;
  std::string message;
};

struct TableCount {
  std::string table;
  std::int64_t rows_deleted = 0;
  std::int64_t rows_archived = 0;
};

/// A file that keeps deleted rows, as far as the ledger vouches for it.
struct ArchivedFile {
  std::string table;
  std::string path;
  std::int64_t rows = 0;   ///< in the whole file, which several runs may have written
  std::int64_t bytes = 0;
  std::string sha256;
  bool finished = false;   ///< false: the walk is not at its end, and the next run goes on with this file
};

/// In bytes, -1 unknown.
struct SpaceFigures {
  std::int64_t bytes = -1;
  std::int64_t reusable_bytes = -1;
  std::int64_t dead_bytes = -1;
};

/// What a policy's own table takes up.
struct SpaceReport {
  SpaceFigures before;
  SpaceFigures after;
  std::string advice;  ///< what would give the rest back and at what cost, or empty

  /// -1 unknown.
  std::int64_t returned_bytes() const;
};

/// What was done for the tables that a policy deleted from. Whether the purge succeeded does not depend on it.
struct CareReport {
  std::string asked;   ///< "statistics" or "space"; empty: nothing
  std::string status;  ///< "done", "unfinished", "failed", "not_begun", "not_needed", or "later": a later policy of the run sees to it
  std::int64_t steps = 0;
  double elapsed_s = 0;
  std::string warning;  ///< why it is not done, or empty
};

/// The links of a policy's run in its table's chain of evidence.
struct ChainReport {
  std::string head;        ///< hash of the last one
  std::int64_t links = 0;
};

struct PolicyReport {
  std::string policy;
  std::string table;
  std::string strategy;
  std::string status = "completed";  ///< "completed", "stopped", "failed", "skipped"
  std::string stop_reason;
  std::string error_code;
  std::string error_message;
  std::string continues;  ///< id of the run whose unfinished walk this one took up
  std::int64_t rows_left = 0;
  bool at_least = false;  ///< counted without a ledger: a commit in doubt may have deleted more
  std::int64_t chunks = 0;
  std::int64_t retries = 0;
  std::size_t workers = 1;  ///< that worked at a time
  double elapsed_s = 0;
  double throttled_s = 0;
  std::optional<double> forecast_s;  ///< what the plan said of elapsed_s, if it was rehearsed
  std::optional<std::int64_t> forecast_chunks{};
  std::optional<std::int64_t> forecast_log_bytes{};
  std::optional<std::int64_t> log_bytes{};  ///< that the server's logs grew by while rows were deleted, by whomever
  std::map<std::string, double> waits_s;  ///< of throttled_s, by what was waited for
  ChunkTimes chunk_ms;
  std::vector<Blocked> blocked;
  std::vector<std::string> holds{};          ///< ids of the ledger's that it obeyed last
  std::optional<std::int64_t> rows_held{};   ///< that satisfy the rule and stay because of a hold; nothing: there was none, or not counted
  std::vector<TableCount> tables;  ///< own table first, then dependents
  std::vector<ArchivedFile> archive_files;
  std::int64_t archived_bytes = 0;  ///< written into them by this run
  SpaceReport space;
  CareReport care;
  std::optional<ChainReport> evidence{};  ///< nothing: none was kept

  std::int64_t rows_deleted() const { return tables.empty() ? 0 : tables[0].rows_deleted; }
  std::int64_t rows_deleted_all() const;
  /// 0, 1, 3 or 4 as in the contract.
  int exit_code() const;
};

struct Report {
  std::string run_id;
  std::string started_utc;
  double elapsed_s = 0;
  std::vector<PolicyReport> policies;
  std::string evidence_key_id{};  ///< of the key that its evidence is made with; empty: none

  int exit_code() const;
  /// "completed", "stopped" or "failed".
  std::string status() const;
  std::int64_t rows_deleted() const;
  std::int64_t rows_archived() const;
  /// What all its evidence comes down to: a hash to be kept where the database's owner can't change it; empty: there is no evidence.
  std::string evidence_root() const;
  /// The contract's purgekit.run/1.
  std::string to_json() const;
};

}  // namespace purgekit
