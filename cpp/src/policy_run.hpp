/// \file policy_run.hpp
/// One policy of a run: passes of chunks, what is done when a chunk fails, what is left in the end. Internal to the runner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "purgekit/flight.hpp"
#include "purgekit/lower.hpp"
#include "purgekit/pacer.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/runner.hpp"
#include "slot_keeper.hpp"

namespace purgekit {

/// What all policies of a run share.
struct RunContext {
  Session& session;
  const sdk::ConnectParams& connection;
  const Plan& plan;
  const RunOptions& options;
  RunControl& control;
  const ProgressSink& on_progress;
  std::chrono::steady_clock::time_point start;
  FlightRecorder& flight;
  std::int64_t rows_deleted_before = 0;  ///< by the policies already done, all tables

  double elapsed_s() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
};

class PolicyRun {
 public:
  PolicyRun(RunContext& context, const PolicyPlan& plan, std::size_t ordinal);
  /// Never throws for what the database does: the report tells.
  PolicyReport run();

 private:
  struct Stop {
    std::string reason;
  };
  struct ChunkResult {
    sdk::Deleted range;
    std::int64_t children = 0;
    double elapsed_ms = 0;
  };
  struct Suspect {
    std::int64_t rows = 0;  // within so many rows ahead one can't be deleted now; 0: none is suspected
    std::int64_t step = 0;  // rows of the next chunk among them
    void passed(std::int64_t visited, bool stepped_over);
  };
  enum class Verdict { again, skip_row, give_up };

  void take_table();
  void lock_run();
  void record_outcome();
  void settle_doubt();
  std::string what_is_safe() const;
  void walk();
  void walk_pass();
  void prepare(std::int64_t now_ns, bool nothing = false);
  void check_stop();
  void pause(double wait_s, const std::string& reason);
  void wait_for_replicas();
  bool one_chunk();
  void add_rows(TableCount& table, std::int64_t rows) const;
  Verdict after_error(const sdk::Error& error, bool while_beginning);
  void note_blocked(const sdk::Error& error);
  void take_other_walk();
  void account(const ChunkResult& chunk);
  static std::int64_t visited(const ChunkResult& chunk) { return std::max(chunk.range.rows_visited, chunk.range.rows_deleted); }
  void roll_back();
  void reconnect();
  bool committed_after_reconnect();
  void refresh_fraction_limit();
  std::int64_t count(const LoweredPredicate& predicate);
  void closing_report();
  void report_progress(double chunk_ms, const std::string& waiting);
  std::int64_t rows_allowed() const;

  RunContext& context_;
  const PolicyPlan& plan_;
  Session& session_;
  SlotKeeper keeper_;
  Catalogue catalogue_;
  PolicyReport report_;
  ChunkSizer sizer_;
  Pacer pacer_;
  sdk::Walk walk_;
  std::string cursor_;
  std::int64_t pass_deleted_ = 0;
  bool resumed_pass_ = false;
  bool locked_ = false;  // the run lock, which only refuses quickly
  double share_done_ = -1;
  std::chrono::steady_clock::time_point start_;
  double last_lag_check_s_ = -1e9;
  double lag_failed_since_s_ = -1;
  Suspect suspect_;
  // state of the chunk in hand
  int lock_tries_ = 0;
  int conflict_tries_ = 0;
  int resource_tries_ = 0;
  int begin_tries_ = 0;
  bool prepared_nothing_ = false;
  bool commit_sent_ = false;
  bool doubt_ = false;  // a commit without an answer, for good
  ChunkResult last_chunk_;
  std::vector<TableCount> tables_after_chunk_;
  std::map<std::pair<std::string, std::string>, Blocked> blocked_in_pass_;
  bool gave_up_ = false;
  std::int64_t fraction_limit_ = -1;
};

}  // namespace purgekit
