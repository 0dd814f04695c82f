/// \file policy_work.hpp
/// What the workers of one policy share. Internal to the runner.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/flight.hpp"
#include "purgekit/pacer.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/runner.hpp"
#include "pressure.hpp"
#include "slot_keeper.hpp"
#include "walk_part.hpp"
#include "side_gauges.hpp"

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
  std::set<std::pair<std::string, std::string>> to_look_after{};  ///< schema and name of tables that rows went from, see care.hpp
  SideGauges gauges{};

  double elapsed_s() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
};

/// Ends a policy's run from within: not a failure.
struct Stop {
  std::string reason;
  std::string message{};  ///< one line for people, where the reason does not say it all
};

struct ChunkResult {
  sdk::Deleted range;
  std::int64_t children = 0;
  double elapsed_ms = 0;

  std::int64_t visited() const { return std::max(range.rows_visited, range.rows_deleted); }
};

/// Thread rule: whoever reads or writes anything but the references holds `mutex`. A worker holds it from its chunk's fence to its
/// commit, so that the ledger's slot moves by one chunk at a time and a commit in doubt is settled before the next one.
/// Recursive, because telling of progress while a doubt is being settled is one of the things that need it.
struct PolicyWork {
  /// `ordinal` numbers the policy within the run.
  PolicyWork(RunContext& run, const PolicyPlan& policy_plan, std::size_t ordinal)
      : context(run),
        plan(policy_plan),
        keeper(run.session, policy_plan, run.options, ordinal, run.plan.server.database),
        pacer(run.options.gentle, run.options.max_rows_per_s),
        walk(policy_plan.walk),
        archives(policy_plan.archives),
        holds(policy_plan.holds) {}

  RunContext& context;
  const PolicyPlan& plan;
  SlotKeeper keeper;
  Pacer pacer;
  Pressure pressure{};
  sdk::Walk walk;
  std::vector<sdk::ArchiveTable> archives;  ///< with the run's clock; changed like the holds
  std::vector<HoldInForce> holds;  ///< as last read; changed while one thread is at work only
  PolicyReport report{};
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  std::recursive_mutex mutex{};
  std::vector<WalkPart> parts{};
  std::size_t workers = 1;           ///< that go through the parts at a time
  std::atomic<bool> halted{false};   ///< one of them has ended by an error or a stop: nobody begins another chunk
  std::int64_t pass_deleted = 0;
  std::map<std::pair<std::string, std::string>, Blocked> blocked_in_pass{};
  std::optional<std::int64_t> log_bytes_before{};
  std::atomic<bool> gave_up{false};
  std::int64_t fraction_limit = -1;  ///< most rows that may go, where the plan's figures are estimates; -1: none

  // What was last told of a wait, and when: a pause after every chunk would drown all else.
  std::string told_wait{};
  double told_wait_s = -1e9;

  // The one commit that may be under way.
  bool commit_sent = false;
  bool doubt = false;  ///< a commit without an answer, for good
  ChunkResult last_chunk{};
  WalkPart* last_part = nullptr;
  std::vector<TableCount> tables_after_chunk{};

  bool several() const { return workers > 1; }
  /// The walk in hand is the move that the policy asked for: a chunk is a stroke, which is made as a whole or not at all.
  bool moving() const { return plan.move && walk.id == plan.move->walk.id; }
  std::int64_t rows_allowed() const;
  /// Why the run is to end, whatever it has done so far; or empty.
  std::string asked_to_stop() const;
  /// \throws Stop when somebody wants the run to end.
  void check_stop();
  /// The chunk is committed.
  void account();
  void report_progress(double chunk_ms, std::int64_t chunk_rows, const std::string& waiting);
  double share_done() const;
  /// Written into archived rows: unique within the run, and for the table where one worker has the ledger's own count.
  std::int64_t next_chunk_number();

 private:
  double share_of_walk_ = -1;
  std::int64_t last_chunk_number_ = 0;
};

/// Waits, ready to be stopped. Counts as throttled.
void pause(PolicyWork& work, const Pause& due, std::int64_t chunk_rows);

}  // namespace purgekit
