/// \file runner.hpp
/// Carries out a plan: chunk by chunk, each one short transaction with its fence and checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/control.hpp"
#include "purgekit/flight.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/report.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

/// What is done for a table after its purge.
enum class Reclaim { none, statistics, space };

/// What a pacer is asked with, once a chunk.
struct PaceFacts {
  std::string policy;
  std::string table;
  std::int64_t rows = 0;    ///< deleted by the chunk, all tables
  double elapsed_ms = 0;    ///< of the chunk
  std::vector<sdk::Signal> signals;  ///< as last read
};

/// Seconds to wait before the next chunk. What it throws ends the run after the chunk, with its message.
using PaceSink = std::function<double(const PaceFacts&)>;

/// A replica that is asked how far it is behind.
struct Replica {
  std::string name;  ///< for people: no secret in it
  sdk::ConnectParams connection;
};

/// What one purge of a watch did.
struct WatchEvent {
  std::string policy;
  std::string run_id;              ///< under which the ledger has it
  std::vector<TableCount> tables;  ///< as in a report, of this purge alone
  std::int64_t rows_blocked = 0;   ///< that could not go now
  double elapsed_ms = 0;
};

/// Instead of purging once: look again and again whether rows have become purgeable, and purge them, until asked to stop.
struct WatchOptions {
  double interval_s = 1;
  double session_s = 86'400;  ///< after this long a run's record is closed and another one opened
  bool accept_scan = false;   ///< also where no index finds the rows
  std::string archive{};      ///< as the plan was made with, for making it anew
  /// Told after each purge that did something, on that policy's thread, which others' may be side by side with.
  std::function<void(const WatchEvent&)> on_purge{};
};

struct RunOptions {
  std::string run_id;
  std::string ledger = "purgekit_ledger";  ///< "[SCHEMA.]NAME", or "none"
  double chunk_ms = 100;                   ///< target time of one chunk
  bool gentle = true;                      ///< yield to measured pressure
  std::optional<std::int64_t> max_rows;    ///< of all tables together, never exceeded
  std::optional<double> max_rows_per_s;
  std::optional<double> deadline_s;        ///< no chunk is begun later than this many seconds after the start
  std::optional<double> max_replica_lag_s;
  std::uint32_t lock_wait_ms = 1'000;
  std::string stop_file;
  std::optional<double> max_fraction;
  bool accept_clock = false;
  std::vector<std::string> policy_hashes;  ///< one for each policy of the plan
  std::size_t workers = 1;                 ///< sessions that purge a table at a time, where its walk can be cut
  Reclaim reclaim = Reclaim::none;
  PaceSink pacer{};                        ///< a user's own, beside the limits above; called from the workers' threads
  std::string probe_sql{};                 ///< a user's query, run again and again on a connection of its own; goes with the limit of its time
  std::optional<double> probe_limit_ms{};
  std::vector<Replica> replicas{};         ///< asked for max_replica_lag_s, instead of the database itself
  std::string evidence_key{};              ///< bytes of a secret: hashes that tell of rows are keyed with it; empty: there are none
  std::string evidence_plan{};             ///< hash of the plan file that is run, and of its approval
  std::string evidence_approval{};
  std::optional<WatchOptions> watching{};
  std::string lag_sql{};                   ///< what they, or the database itself where none is given, are asked: one number, seconds
};

/// Told after each chunk and while waiting, one at a time, on the thread of the worker concerned.
struct Progress {
  std::string policy;
  std::string table;
  std::int64_t pass = 1;
  std::int64_t rows_deleted = 0;        ///< of the policy's own table
  std::int64_t rows_total_deleted = 0;  ///< of all tables
  std::int64_t rows_purgeable = 0;
  double share_done = -1;  ///< 0 to 1, -1 unknown
  double chunk_ms = 0;
  std::int64_t chunk_rows = 0;
  double rows_per_s = 0;
  double eta_s = -1;
  double elapsed_s = 0;
  std::string waiting;  ///< why it is pausing, or empty
};

using ProgressSink = std::function<void(const Progress&)>;

/// Purge as planned. What goes wrong after the first check is part of the report. `flight` hears of everything on the way.
/// \throws EngineError when nothing was changed: a refusal.
Report run_plan(Session& session, const sdk::ConnectParams& connection, const Plan& plan, const RunOptions& options, RunControl& control,
                const ProgressSink& on_progress, FlightRecorder& flight);

/// The links of a run's evidence, id and text as they stand in the ledger, in order of id. \throws EngineError
std::vector<sdk::RunRecord> ledger_evidence(Session& session, const std::string& ledger, const std::string& run_id);

/// The contract's purgekit.history/1 from the database's own ledger.
std::string ledger_history(Session& session, const std::string& ledger);

}  // namespace purgekit
