#include "purgekit/runner.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "archive.hpp"
#include "care.hpp"
#include "evidence.hpp"
#include "hold.hpp"
#include "json.hpp"
#include "moves.hpp"
#include "policy_run.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"
#include "watching.hpp"

namespace purgekit {
namespace {

void check_limits(const RunOptions& o) {
  if (!(o.chunk_ms >= 1 && o.chunk_ms <= 60'000)) bad_policy("chunk-ms must lie between 1 and 60000");
  if (o.max_rows && *o.max_rows < 0) bad_policy("max-rows must not be negative");
  if (o.max_rows_per_s && !(*o.max_rows_per_s > 0)) bad_policy("max-rows-per-s must be above 0");
  if (o.max_replica_lag_s && !(*o.max_replica_lag_s > 0)) bad_policy("max-replica-lag-s must be above 0");
  if (o.probe_sql.empty() == o.probe_limit_ms.has_value()) bad_policy("probe-sql and probe-limit-ms go together");
  if (o.probe_limit_ms && !(*o.probe_limit_ms >= 1 && *o.probe_limit_ms <= 60'000)) bad_policy("probe-limit-ms must lie between 1 and 60000");
  if (!o.max_replica_lag_s && (!o.replicas.empty() || !o.lag_sql.empty())) bad_policy("replica and lag-sql tell how far replicas are behind: say how far they may be with max-replica-lag-s");
  if (o.workers < 1 || o.workers > 64) bad_policy("workers must lie between 1 and 64");
  if (o.lock_wait_ms < 1 || o.lock_wait_ms > 600'000) bad_policy("lock-wait-ms must lie between 1 and 600000");
  if (o.max_fraction && !(*o.max_fraction > 0 && *o.max_fraction <= 1)) bad_policy("max-fraction must lie above 0 and at most at 1");
}

void check_policy(Session& session, const PolicyPlan& plan, const RunOptions& o) {
  const sdk::Table now = session.describe({plan.table.schema, plan.table.name, true, true});
  if (fingerprint(now) != fingerprint(plan.table)) {
    refuse("schema_changed", "table " + plan.table.name + " changed its shape since it was planned; plan again");
  }
  if (!plan.clock_doubt.empty() && !o.accept_clock) refuse("implausible_clock", plan.clock_doubt);
  const double most = effective_max_fraction(o.max_fraction, plan.policy);
  if (plan.exact && plan.rows_total > 0 && static_cast<double>(plan.rows_purgeable) > most * static_cast<double>(plan.rows_total)) {
    char text[200];
    std::snprintf(text, sizeof text, "%lld of %lld rows are purgeable, a larger share than max-fraction %.4g allows; look at the plan, and pass --max-fraction if it is right",
                  static_cast<long long>(plan.rows_purgeable), static_cast<long long>(plan.rows_total), most);
    refuse("max_fraction", text);
  }
}

// Returns whether the ledger is still to be created, or to be brought to this version.
bool check_ledger(Session& session, const RunOptions& o) {
  if (o.ledger == "none") return false;
  const sdk::Ledger ledger = session.ledger_find(parse_table_name(o.ledger));
  const std::string grant = ledger.grant_hint.empty() ? "" : "; " + ledger.grant_hint;
  switch (ledger.state) {
    case PK_LEDGER_NEWER: refuse("ledger_newer", "the ledger " + o.ledger + " was written by a newer version of purgekit; use that version, or another --ledger");
    case PK_LEDGER_FOREIGN: refuse("ledger_foreign", "table " + o.ledger + " is not a purgekit ledger; name another with --ledger");
    case PK_LEDGER_ABSENT:
      if (!ledger.can_create) {
        refuse("ledger_privilege", "this user may not create the ledger " + o.ledger + "; an administrator can run: " + ledger.ddl + grant + "; or pass --ledger none");
      }
      return true;
    case PK_LEDGER_OLDER:
    case PK_LEDGER_PRESENT:
      if (!ledger.can_write) refuse("ledger_privilege", "this user may not write the ledger " + o.ledger + "; an administrator can run: " + ledger.grant_hint);
      return ledger.state == PK_LEDGER_OLDER;
  }
  return false;
}

void check_replica_lag(Session& session, const RunOptions& o) {
  if (!o.max_replica_lag_s || !o.replicas.empty() || !o.lag_sql.empty()) return;
  try {
    session.replica_lag();
  } catch (const sdk::Error& e) {
    if (e.code() == PK_NOT_SUPPORTED || e.code() == PK_PRIVILEGE) refuse("replica_lag", "the replica lag can't be read, so --max-replica-lag-s can't be kept: " + e.message());
    throw;
  }
}

Report stopped_at_start(const Plan& plan, const RunOptions& o, const std::string& reason) {
  Report report;
  report.run_id = o.run_id;
  for (const PolicyPlan& p : plan.policies) {
    PolicyReport r;
    r.policy = p.policy.name;
    r.table = p.skipped ? p.policy.table : table_name_text(p.table.schema, p.table.name);
    r.strategy = p.walk.strategy;
    r.status = p.skipped ? "skipped" : "stopped";
    r.stop_reason = p.skipped ? "" : reason;
    r.rows_left = p.rows_purgeable;
    r.tables.push_back({r.table, 0, 0});
    report.policies.push_back(std::move(r));
  }
  return report;
}

// Names the tables and their archives, and no rows.
PurgeSpec archive_spec(const PolicyPlan& p) {
  static const LoweredPredicate no_rows = lower_no_rows();
  return PurgeSpec(p.table, no_rows.view(), "", p.dependents, p.archives);
}

// The takeover reads them again; a hold that can't be read is found out here, before anything is changed.
void check_holds(Session& session, const Plan& plan, const RunOptions& o) {
  if (o.ledger == "none") {
    log().warn("without a ledger no hold is seen but those in the policies themselves");
    return;
  }
  if (session.ledger_find(parse_table_name(o.ledger)).state == PK_LEDGER_ABSENT) return;
  const std::vector<sdk::RunRecord> notes = hold_notes(session);
  Catalogue catalogue(session);
  for (const PolicyPlan& p : plan.policies) {
    if (p.skipped || notes.empty()) continue;
    try {
      holds_in_force(session, catalogue, notes, p.table, p.dependents);
    } catch (EngineError& e) {
      e.policy(p.policy.name).table(p.policy.table);
      throw;
    }
  }
}

void check_everything(RunContext& context) {
  Session& session = context.session;
  const Plan& plan = context.plan;
  const RunOptions& options = context.options;
  check_limits(options);
  const sdk::Server server = session.inspect();
  if (server.read_only) refuse("read_only", "the database " + server.database + " is read-only here; connect to the primary, or as a user who may write");
  bool any = false;
  std::vector<const PolicyPlan*> to_make;
  for (const PolicyPlan& p : plan.policies) {
    if (p.skipped) continue;
    any = true;
    try {
      if (p.now_ns > server.clock_utc_ns) {
        refuse("now_ahead", "now = " + format_instant(p.now_ns) + " lies ahead of the database's clock " + format_instant(server.clock_utc_ns) + ": only plan may look ahead");
      }
      check_policy(session, p, options);
      check_move_limits(p, options);
      if (check_archives(session, p.archives, archive_spec(p), true)) to_make.push_back(&p);
      check_archive_files(p, options);
      if (options.reclaim == Reclaim::space) check_room(session, p);
    } catch (EngineError& e) {
      e.policy(p.policy.name).table(p.policy.table);
      throw;
    } catch (const sdk::Error& e) {
      throw EngineError(e).policy(p.policy.name).table(p.policy.table);
    }
  }
  if (options.watching) check_watchable(plan, options);
  check_replica_lag(session, options);
  if (any) context.gauges.start(session.backend(), context.connection, options, context.control);
  const bool to_make_ledger = any && check_ledger(session, options);
  if (any) check_holds(session, plan, options);
  if (to_make_ledger) session.ledger_create();
  for (const PolicyPlan* p : to_make) session.archive_create(archive_spec(*p));
}

}  // namespace

Report run_plan(Session& session, const sdk::ConnectParams& connection, const Plan& plan, const RunOptions& options, RunControl& control, const ProgressSink& on_progress,
                FlightRecorder& flight) {
  RunContext context{session, connection, plan, options, control, on_progress, std::chrono::steady_clock::now(), flight};
  const std::string started = format_instant(std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count() * 1'000'000'000);
  const Attached attached(control, session);
  Report report;
  if (!options.stop_file.empty() && std::filesystem::exists(options.stop_file)) {
    report = stopped_at_start(plan, options, "stop_file");
  } else if (options.deadline_s && *options.deadline_s <= 0) {
    report = stopped_at_start(plan, options, "deadline");
  } else {
    try {
      check_everything(context);
    } catch (const sdk::Error& e) {
      throw EngineError(e);
    }
    report.run_id = options.run_id;
    if (options.watching) report.policies = watch_policies(context);
    for (std::size_t i = 0; !options.watching && i < plan.policies.size(); ++i) {
      report.policies.push_back(PolicyRun(context, plan.policies[i], i).run());
      context.rows_deleted_before += report.policies.back().rows_deleted_all();
    }
  }
  report.started_utc = started;
  report.evidence_key_id = evidence_key_id(options.evidence_key);
  report.elapsed_s = context.elapsed_s();
  log().info("run {}: {}, {} rows deleted in {:.2f} s", report.run_id, report.status(), report.rows_deleted(), report.elapsed_s);
  if (const std::string root = report.evidence_root(); !root.empty()) log().info("evidence root of run {} is {}", report.run_id, root);
  return report;
}

}  // namespace purgekit
