#include "policy_run.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <thread>

#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr int most_passes = 20;
constexpr int most_lock_tries = 3;
constexpr int most_conflict_tries = 12;
constexpr int most_resource_tries = 6;
constexpr int most_begin_tries = 8;
constexpr int most_reconnects = 12;
constexpr int most_takeover_tries = 4;
constexpr int most_reconnects_when_stopping = 3;
constexpr std::uint32_t bisect_lock_wait_ms = 50;
constexpr std::uint32_t resolve_wait_ms = 10'000;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Grows with the try, spread so that two runs don't meet again.
double backoff_s(int tries) {
  thread_local std::mt19937 random(std::random_device{}());
  const double base = 0.05 * std::pow(2.0, std::min(tries, 6));
  return base * std::uniform_real_distribution<double>(0.5, 1.5)(random);
}

bool can_skip_rows(const sdk::Walk& walk) { return walk.strategy != "index-range" && walk.strategy != "scan"; }

}  // namespace

PolicyRun::PolicyRun(RunContext& context, const PolicyPlan& plan, std::size_t ordinal)
    : context_(context),
      plan_(plan),
      session_(context.session),
      keeper_(context.session, plan, context.options, ordinal, context.plan.server.database),
      catalogue_(context.session),
      sizer_(context.options.chunk_ms, plan.chunk_rows),
      pacer_(context.options.gentle, context.options.max_rows_per_s),
      walk_(plan.walk),
      start_(Clock::now()) {
  report_.policy = plan.policy.name;
  report_.table = plan.skipped ? plan.policy.table : table_name_text(plan.table.schema, plan.table.name);
  report_.strategy = plan.walk.strategy;
  report_.at_least = !keeper_.enabled();
  if (plan.skipped) return;
  report_.tables.push_back({report_.table, 0, 0});
  for (const sdk::Dependent& d : plan.dependents) report_.tables.push_back({table_name_text(d.schema, d.table), 0, 0});
  const double fraction = effective_max_fraction(context.options.max_fraction, plan.policy);
  if (!plan.exact && fraction < 1) fraction_limit_ = static_cast<std::int64_t>(fraction * static_cast<double>(plan.rows_total));
}

PolicyReport PolicyRun::run() {
  if (plan_.skipped) {
    report_.status = "skipped";
    return report_;
  }
  const auto failed = [&](const std::string& code, const std::string& message) {
    report_.status = "failed";
    report_.error_code = code;
    report_.error_message = message;
    report_.rows_left = std::max<std::int64_t>(0, plan_.rows_purgeable - report_.rows_deleted());
  };
  try {
    check_stop();
    take_table();
    walk();
  } catch (const Stop& stop) {
    report_.status = "stopped";
    report_.stop_reason = stop.reason;
    report_.rows_left = std::max<std::int64_t>(0, plan_.rows_purgeable - report_.rows_deleted());
  } catch (const sdk::Error& e) {
    context_.flight.error(report_.policy, "the policy", e);
    if (e.code() == PK_FENCED) {
      report_.status = "stopped";
      report_.stop_reason = "fenced";
    } else {
      failed(sdk::code_name(e.code()), e.message());
    }
  } catch (const EngineError& e) {
    failed(e.code(), e.message());
  } catch (const std::exception& e) {
    failed("internal", std::string("internal error: ") + e.what());
  }
  report_.elapsed_s = seconds_since(start_);
  try {
    session_.rollback();
  } catch (const sdk::Error&) {
    // Closing the connection rolls back as well.
  }
  if (report_.stop_reason != "another_run" && keeper_.epoch() > 0) record_outcome();
  if (report_.status == "failed") report_.error_message += "; " + what_is_safe();
  context_.flight.note("end", report_.policy, {{"status", report_.status}, {"stop_reason", report_.stop_reason}, {"error_code", report_.error_code},
                                               {"rows_deleted", report_.rows_deleted_all()}, {"chunks", report_.chunks}, {"retries", report_.retries}});
  if (locked_) {
    try {
      session_.unlock_run(slot_key(plan_.table));
    } catch (const sdk::Error&) {
      // Released with the connection.
    }
  }
  return report_;
}

// Quick refusal, then the ledger's word. A line that is lost on the way is made anew: nothing is deleted yet.
void PolicyRun::take_table() {
  context_.flight.note("start", report_.policy, {{"table", report_.table}, {"strategy", report_.strategy}, {"rows_purgeable", plan_.rows_purgeable}});
  for (int tries = 1;; ++tries) {
    try {
      if (tries == 1) {
        if (keeper_.enabled()) session_.ledger_find(parse_table_name(context_.options.ledger));
        lock_run();
      }
      keeper_.claim();
      prepare(keeper_.walk_now_ns());
      report_.continues = keeper_.continues();
      context_.flight.note("takeover", report_.policy, {{"epoch", keeper_.epoch()}, {"pass", keeper_.pass()}, {"continues", report_.continues}});
      return;
    } catch (const sdk::Error& e) {
      context_.flight.error(report_.policy, "taking the table", e);
      if (e.code() == PK_LOCK_TIMEOUT && keeper_.epoch() == 0) {
        log().warn("policy {}: {}", report_.policy, e.message());
        throw Stop{"another_run"};
      }
      if (tries >= most_takeover_tries || !(e.connection_lost() || e.retryable())) throw;
      ++report_.retries;
      log().warn("policy {}: {}; trying again", report_.policy, e.message());
      if (e.connection_lost()) {
        reconnect();
      } else {
        roll_back();
        pause(backoff_s(tries), "ledger locked");
      }
    }
  }
}

void PolicyRun::lock_run() {
  try {
    session_.lock_run(slot_key(plan_.table));
    locked_ = true;
  } catch (const sdk::Error& e) {
    locked_ = false;
    if (e.code() != PK_NOT_SUPPORTED) throw;
  }
}

std::string PolicyRun::what_is_safe() const {
  const auto counted = [](std::int64_t n, const char* noun) { return std::to_string(n) + noun + (n == 1 ? "" : "s"); };
  const std::string rows = counted(report_.rows_deleted_all(), " row");
  if (doubt_ || commit_sent_) {
    return rows + " or more deleted and committed, and whether the last chunk was committed is not known" +
           (keeper_.enabled() ? "; run the same command again: it finds out from the ledger and goes on" : "; run the same command again to go on");
  }
  if (report_.chunks == 0) return "nothing was deleted by this policy; run the same command again to go on";
  return rows + " in " + counted(report_.chunks, " chunk") + " deleted, committed" + (keeper_.enabled() ? " and recorded" : "") +
         ", what was not committed is rolled back; run the same command again to go on from there";
}

// A commit without an answer, asked about for the last time.
void PolicyRun::settle_doubt() {
  if (!commit_sent_) return;
  const std::optional<bool> committed = keeper_.settle();
  if (!committed) report_.at_least = doubt_ = true;
  else if (*committed) account(last_chunk_);
  commit_sent_ = false;
}

// The purge is over; a record that can't be written is found out by the next run.
void PolicyRun::record_outcome() {
  for (int tries = 1;; ++tries) {
    try {
      settle_doubt();
      keeper_.finish(report_);
      return;
    } catch (const sdk::Error& e) {
      context_.flight.error(report_.policy, "recording the outcome", e);
      if (tries >= 3 || !(e.connection_lost() || e.retryable())) {
        log().warn("policy {}: the outcome could not be written to the ledger: {}; the next run finds out by itself", report_.policy, e.message());
        report_.at_least = report_.at_least || commit_sent_;
        return;
      }
      try {
        if (e.connection_lost()) {
          session_.connect(context_.connection);
          session_.ledger_find(parse_table_name(context_.options.ledger));
        } else {
          session_.rollback();
        }
      } catch (const sdk::Error& again) {
        log().debug("policy {}: {}", report_.policy, again.message());
      }
    }
  }
}

void PolicyRun::walk() {
  cursor_ = keeper_.cursor();
  resumed_pass_ = !keeper_.continues().empty();
  for (;;) {
    pass_deleted_ = 0;
    blocked_in_pass_.clear();
    suspect_ = {};
    walk_pass();
    const LowerInput input = catalogue_.input(plan_.table, plan_.now_ns, plan_.policy, context_.plan.zones);
    const std::int64_t left = count(lower_guarded(plan_.policy.deletable(), input, plan_.guards));
    const bool progressed = pass_deleted_ > 0 || resumed_pass_;
    resumed_pass_ = false;
    if (left == 0 || !progressed || gave_up_ || keeper_.pass() >= most_passes) break;
    keeper_.new_pass(plan_.now_ns);
    cursor_.clear();
    prepare(plan_.now_ns);
  }
  closing_report();
}

void PolicyRun::walk_pass() {
  while (!gave_up_) {
    check_stop();
    const Pause due = pacer_.next();
    if (due.wait_s > 0) pause(due.wait_s, due.reason);
    if (context_.options.max_replica_lag_s) wait_for_replicas();
    if (one_chunk()) return;
  }
}

void PolicyRun::prepare(std::int64_t now_ns, bool nothing) {
  const LowerInput input = catalogue_.input(plan_.table, now_ns, plan_.policy, context_.plan.zones);
  const LoweredPredicate predicate = nothing ? lower_no_rows() : lower_guarded(plan_.policy.deletable(), input, plan_.guards);
  context_.flight.statements(
      report_.policy, session_.prepare(PurgeSpec(plan_.table, predicate.view(), walk_.id, plan_.dependents, plan_.archives, context_.options.run_id)));
  prepared_nothing_ = nothing;
}

void PolicyRun::check_stop() {
  if (context_.control.stopping()) throw Stop{context_.control.reason()};
  const RunOptions& o = context_.options;
  if (o.deadline_s && context_.elapsed_s() >= *o.deadline_s) throw Stop{"deadline"};
  if (!o.stop_file.empty() && std::filesystem::exists(o.stop_file)) throw Stop{"stop_file"};
  if (rows_allowed() <= 0) throw Stop{"max_rows"};
}

std::int64_t PolicyRun::rows_allowed() const {
  if (!context_.options.max_rows) return INT64_MAX;
  return *context_.options.max_rows - context_.rows_deleted_before - report_.rows_deleted_all();
}

void PolicyRun::pause(double wait_s, const std::string& reason) {
  log().info("policy {}: pausing {:.2f} s: {}", report_.policy, wait_s, reason);
  // What follows the colon is a server's own text.
  context_.flight.note("wait", report_.policy, {{"planned_s", wait_s}, {"reason", reason.substr(0, reason.find(':'))}});
  report_progress(0, reason);
  const auto start = Clock::now();
  while (seconds_since(start) < wait_s) {
    check_stop();
    const double slice_s = std::min(0.05, wait_s - seconds_since(start));
    if (slice_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(slice_s));
  }
  report_.throttled_s += seconds_since(start);
}

void PolicyRun::wait_for_replicas() {
  if (context_.elapsed_s() - last_lag_check_s_ < 1) return;
  for (;;) {
    double lag_s = 0;
    try {
      lag_s = session_.replica_lag();
      lag_failed_since_s_ = -1;
    } catch (const sdk::Error& e) {
      if (e.connection_lost()) {
        reconnect();
        continue;
      }
      // A lag that can't be read any more stops the purge, not the caution.
      if (lag_failed_since_s_ < 0) lag_failed_since_s_ = context_.elapsed_s();
      if (context_.elapsed_s() - lag_failed_since_s_ > 15) throw Stop{"replica lag can't be read: " + e.message()};
      pause(1, "replica lag can't be read");
      continue;
    }
    last_lag_check_s_ = context_.elapsed_s();
    if (lag_s <= *context_.options.max_replica_lag_s) return;
    char reason[80];
    std::snprintf(reason, sizeof reason, "replica lag %.1f s > %.1f s", lag_s, *context_.options.max_replica_lag_s);
    pause(0.5, reason);
  }
}

// Does one chunk whatever it takes; true when the pass is at its end.
bool PolicyRun::one_chunk() {
  lock_tries_ = conflict_tries_ = resource_tries_ = begin_tries_ = 0;
  bool stepping_over = false;  // past one row that can't go: a chunk whose condition no row satisfies
  std::int64_t rows = suspect_.rows > 0 ? std::min(suspect_.step, suspect_.rows) : sizer_.rows();
  if (context_.options.max_rows_per_s) rows = std::min(rows, std::max<std::int64_t>(1, static_cast<std::int64_t>(*context_.options.max_rows_per_s)));
  for (;;) {
    bool beginning = true;
    try {
      const std::uint32_t lock_wait_ms = suspect_.rows > 0 ? std::min(bisect_lock_wait_ms, context_.options.lock_wait_ms) : context_.options.lock_wait_ms;
      const auto start = Clock::now();
      commit_sent_ = false;
      last_chunk_ = {};
      if (stepping_over != prepared_nothing_) prepare(keeper_.walk_now_ns(), stepping_over);
      session_.begin(keeper_.key(), keeper_.epoch(), keeper_.seq());
      beginning = false;
      last_chunk_.range = session_.delete_range({cursor_, rows, lock_wait_ms, keeper_.enabled() ? keeper_.chunk() : report_.chunks + 1});
      tables_after_chunk_ = report_.tables;
      std::vector<TableCount>& tables = tables_after_chunk_;
      add_rows(tables[0], last_chunk_.range.rows_deleted);
      if (last_chunk_.range.rows_deleted > 0) {
        for (std::size_t i = 0; i < plan_.dependents.size(); ++i) {
          const std::int64_t children = session_.delete_children(i);
          last_chunk_.children += children;
          add_rows(tables[i + 1], children);
        }
      }
      const std::int64_t all = last_chunk_.range.rows_deleted + last_chunk_.children;
      if (all > rows_allowed()) {
        roll_back();
        if (rows <= 1) throw Stop{"max_rows"};
        rows = std::clamp<std::int64_t>(rows / all * rows_allowed() + rows % all * rows_allowed() / all, 1, rows - 1);
        continue;
      }
      if (fraction_limit_ >= 0 && tables[0].rows_deleted > fraction_limit_) {
        // Counted outside the chunk's transaction: nothing may hold its rows that long.
        roll_back();
        refresh_fraction_limit();
        if (tables[0].rows_deleted > fraction_limit_) throw Stop{"max_fraction"};
        continue;
      }
      keeper_.checkpoint(last_chunk_.range.cursor, all, tables);
      commit_sent_ = true;
      session_.commit();
      last_chunk_.elapsed_ms = seconds_since(start) * 1000;
      account(last_chunk_);
      suspect_.passed(visited(last_chunk_), stepping_over);
      return last_chunk_.range.done;
    } catch (const sdk::Error& e) {
      context_.flight.error(report_.policy, commit_sent_ ? "commit" : beginning ? "begin" : "chunk", e);
      if (context_.control.cancelled() && !commit_sent_) {
        throw Stop{context_.control.reason()};
      }
      if (e.connection_lost()) {
        ++report_.retries;
        log().warn("policy {}: {}; connecting again", report_.policy, e.message());
        const bool doubt = commit_sent_;
        reconnect();
        if (committed_after_reconnect() && doubt) {
          account(last_chunk_);
          suspect_.passed(visited(last_chunk_), stepping_over);
          return last_chunk_.range.done;
        }
        continue;
      }
      roll_back();
      switch (after_error(e, beginning)) {
        case Verdict::give_up: return true;
        case Verdict::skip_row:
          if (rows > 1) {
            if (suspect_.rows == 0) suspect_.rows = rows;
            rows = suspect_.step = std::max<std::int64_t>(1, rows / 10);
          } else if (stepping_over) {
            if (++conflict_tries_ > most_conflict_tries) throw;
            pause(backoff_s(conflict_tries_), "row locked");
          } else {
            note_blocked(e);
            if (!can_skip_rows(walk_)) {
              take_other_walk();
              suspect_ = {};
              return false;
            }
            if (suspect_.rows == 0) suspect_ = {1, 1};
            stepping_over = true;
          }
          break;
        case Verdict::again:
          if (e.code() == PK_STATEMENT_TIMEOUT) {
            if (rows == 1) throw;
            rows = std::max<std::int64_t>(1, rows / 2);
            sizer_.set_rows(rows);
          }
          break;
      }
    }
  }
}

// A row is in the way somewhere within the next rows. Small steps with short waits lead up to it; past it they grow again, and
// past the last suspect row everything is as before.
void PolicyRun::Suspect::passed(std::int64_t visited, bool stepped_over) {
  if (rows == 0) return;
  rows = std::max<std::int64_t>(0, rows - std::max<std::int64_t>(1, visited));
  if (stepped_over) step = std::min<std::int64_t>(step * 10, rows);
  if (rows == 0) step = 0;
}

void PolicyRun::add_rows(TableCount& table, std::int64_t rows) const {
  table.rows_deleted += rows;
  if (!plan_.archives.empty()) table.rows_archived += rows;  // the backend kept every one, or the chunk had failed
}

// What to do about an error that left the connection alive. Throws what can't be mended.
PolicyRun::Verdict PolicyRun::after_error(const sdk::Error& e, bool while_beginning) {
  ++report_.retries;
  log().debug("policy {}: chunk rolled back: {}", report_.policy, e.message());
  switch (e.code()) {
    case PK_FOREIGN_KEY:
    case PK_TRIGGER: return Verdict::skip_row;
    case PK_LOCK_TIMEOUT:
      if (while_beginning) {
        // The database or the ledger is locked, not a row.
        if (++begin_tries_ > most_begin_tries) {
          Blocked& b = blocked_in_pass_[{"lock", ""}];
          b.message = e.message();
          gave_up_ = true;
          return Verdict::give_up;
        }
        pause(backoff_s(begin_tries_), "database locked");
        return Verdict::again;
      }
      if (suspect_.rows > 0 || ++lock_tries_ > most_lock_tries) return Verdict::skip_row;
      pause(backoff_s(lock_tries_), "row locked");
      return Verdict::again;
    case PK_DEADLOCK:
    case PK_CANCELLED:  // not by us: an administrator cancelled the statement
    case PK_SERIALIZATION:
      if (++conflict_tries_ > most_conflict_tries) throw e;
      pause(backoff_s(conflict_tries_), "conflict with another transaction");
      return Verdict::again;
    case PK_STATEMENT_TIMEOUT: return Verdict::again;
    case PK_CORRUPT:
      // A place in the ledger that can't be read costs a walk from the start, and no row.
      if (!resumed_pass_ || report_.chunks > 0 || cursor_.empty()) throw e;
      log().warn("policy {}: {}; starting at the beginning of {}", report_.policy, e.message(), report_.table);
      cursor_.clear();
      keeper_.other_walk(walk_.id);
      return Verdict::again;
    case PK_SERVER_RESOURCES:
      if (++resource_tries_ > most_resource_tries) throw e;
      pause(0.5 * resource_tries_, "server short of resources: " + e.message());
      return Verdict::again;
    default: throw e;
  }
}

void PolicyRun::note_blocked(const sdk::Error& error) {
  const std::string reason = error.code() == PK_FOREIGN_KEY ? "foreign_key" : error.code() == PK_TRIGGER ? "trigger" : "lock";
  Blocked& b = blocked_in_pass_[{reason, error.constraint()}];
  ++b.rows;
  b.message = error.message();
}

// A walk that sees matching rows only would stay at a blocked one for ever: take one that visits every row.
void PolicyRun::take_other_walk() {
  const LowerInput input = catalogue_.input(plan_.table, plan_.now_ns, plan_.policy, context_.plan.zones);
  const LoweredPredicate predicate = lower_guarded(plan_.policy.deletable(), input, plan_.guards);
  const PurgeSpec spec(plan_.table, predicate.view(), "", plan_.dependents, plan_.archives);
  for (const sdk::Walk& other : session_.propose(spec, plan_.rows_total, plan_.rows_purgeable)) {
    if (can_skip_rows(other)) {
      log().info("policy {}: a row is blocked, walking on by {}", report_.policy, other.strategy);
      walk_ = other;
      cursor_.clear();
      keeper_.other_walk(walk_.id);
      prepare(plan_.now_ns);
      return;
    }
  }
  gave_up_ = true;
}

void PolicyRun::account(const ChunkResult& chunk) {
  keeper_.committed();
  commit_sent_ = false;
  cursor_ = chunk.range.cursor;
  ++report_.chunks;
  pass_deleted_ += chunk.range.rows_deleted;
  report_.tables = tables_after_chunk_;
  share_done_ = chunk.range.share_done;
  report_.chunk_ms.record(chunk.elapsed_ms);
  context_.flight.chunk(report_.policy, {{"number", report_.chunks}, {"pass", keeper_.pass()}, {"seq", keeper_.seq()}, {"rows", chunk.range.rows_deleted},
                                         {"visited", chunk.range.rows_visited}, {"children", chunk.children}, {"ms", chunk.elapsed_ms}, {"share_done", share_done_}});
  if (visited(chunk) > 0 && chunk.elapsed_ms > 0 && suspect_.rows == 0) sizer_.record(visited(chunk), chunk.elapsed_ms);
  pacer_.record(visited(chunk), chunk.range.rows_deleted + chunk.children, chunk.elapsed_ms, context_.elapsed_s());
  log().debug("policy {}: chunk {} deleted {} of {} rows in {:.1f} ms", report_.policy, report_.chunks, chunk.range.rows_deleted, visited(chunk), chunk.elapsed_ms);
  report_progress(chunk.elapsed_ms, "");
}

// A connection lost while rolling back has rolled back too.
void PolicyRun::roll_back() {
  try {
    session_.rollback();
  } catch (const sdk::Error& e) {
    if (!e.connection_lost()) throw;
    reconnect();
    committed_after_reconnect();
  }
}

void PolicyRun::reconnect() {
  for (int tries = 1;; ++tries) {
    try {
      if (commit_sent_) {
        // Whoever wants the run to end waits until the doubt about the last chunk is gone.
        std::this_thread::sleep_for(std::chrono::duration<double>(backoff_s(tries + 1)));
      } else {
        pause(backoff_s(tries + 1), "connection lost");
      }
      session_.connect(context_.connection);
      if (keeper_.enabled()) session_.ledger_find(parse_table_name(context_.options.ledger));
      const sdk::Table table = session_.describe({plan_.table.schema, plan_.table.name, true, true});
      if (fingerprint(table) != fingerprint(plan_.table)) throw sdk::Error(PK_SCHEMA_CHANGED, "table " + report_.table + " changed while the connection was lost");
      try {
        lock_run();
      } catch (const sdk::Error& e) {
        // The old session may still hold it; the fence decides anyway.
        if (e.code() != PK_LOCK_TIMEOUT) throw;
      }
      prepare(keeper_.walk_now_ns());
      context_.flight.note("reconnected", report_.policy, {{"tries", std::int64_t{tries}}});
      return;
    } catch (const sdk::Error& e) {
      context_.flight.error(report_.policy, "connecting again", e);
      const bool passing = e.connection_lost() || e.code() == PK_CONNECT_FAILED || e.code() == PK_SERVER_RESOURCES;
      if (!passing || tries >= (context_.control.stopping() ? most_reconnects_when_stopping : most_reconnects)) throw;
    }
  }
}

bool PolicyRun::committed_after_reconnect() {
  for (int tries = 1;; ++tries) {
    try {
      if (!keeper_.enabled() && !commit_sent_) return false;
      return keeper_.resolve(resolve_wait_ms);
    } catch (const sdk::Error& e) {
      if (e.connection_lost() && tries < 4) {
        reconnect();
        continue;
      }
      if (e.code() != PK_LOCK_TIMEOUT || tries >= 3) throw;
      session_.rollback();
    }
  }
}

// The limit came from an estimate of the whole; it is made exact before it stops a run.
void PolicyRun::refresh_fraction_limit() {
  const double fraction = effective_max_fraction(context_.options.max_fraction, plan_.policy);
  const std::int64_t total = count(lower_all_rows()) + report_.rows_deleted();
  fraction_limit_ = static_cast<std::int64_t>(fraction * static_cast<double>(total));
}

std::int64_t PolicyRun::count(const LoweredPredicate& predicate) {
  const PurgeSpec spec(plan_.table, predicate.view());
  for (int tries = 1;; ++tries) {
    try {
      return session_.count(spec);
    } catch (const sdk::Error& e) {
      if (context_.control.cancelled()) throw Stop{context_.control.reason()};
      if (tries > 3) throw;
      if (e.connection_lost()) {
        reconnect();
      } else if (!e.retryable()) {
        throw;
      }
    }
  }
}

// What is left, and what holds it.
void PolicyRun::closing_report() {
  const LowerInput input = catalogue_.input(plan_.table, plan_.now_ns, plan_.policy, context_.plan.zones);
  report_.rows_left = count(lower(plan_.policy.where, input));
  if (report_.rows_left == 0) return;
  const auto sample = [&](const LoweredPredicate& predicate) {
    try {
      return session_.sample_key(PurgeSpec(plan_.table, predicate.view()));
    } catch (const sdk::Error&) {
      return std::string();
    }
  };
  for (const sdk::Reference& guard : plan_.guards) {
    const LoweredPredicate held = lower_held(plan_.policy.where, input, guard);
    const std::int64_t rows = count(held);
    if (rows == 0) continue;
    report_.blocked.push_back({report_.table, "foreign_key", guard.name, rows, sample(held), table_name_text(guard.child_schema, guard.child_table) + " still refers to them"});
  }
  if (plan_.policy.held_while) {
    const LoweredPredicate held = lower_guarded(Predicate::all_of({plan_.policy.where, *plan_.policy.held_while}), input, plan_.guards);
    if (const std::int64_t rows = count(held); rows > 0) {
      report_.blocked.push_back({report_.table, "held", "", rows, sample(held), "held back by the policy's held_while"});
    }
  }
  const LoweredPredicate free = lower_guarded(plan_.policy.deletable(), input, plan_.guards);
  const std::int64_t others = count(free);
  if (others == 0) return;
  const std::string key = sample(free);
  std::int64_t unnamed = others;
  const auto add = [&](Blocked b, std::int64_t rows) {
    b.rows = std::min(rows, unnamed);
    unnamed -= b.rows;
    b.sample_key = key;
    if (b.rows > 0) report_.blocked.push_back(std::move(b));
  };
  const auto locked_out = gave_up_ ? blocked_in_pass_.find({"lock", ""}) : blocked_in_pass_.end();
  for (auto entry = blocked_in_pass_.begin(); entry != blocked_in_pass_.end(); ++entry) {
    auto& [reason, b] = *entry;
    b.table = report_.table;
    b.reason = reason.first;
    b.constraint = reason.second;
    if (entry != locked_out) add(b, blocked_in_pass_.size() == 1 ? others : b.rows);
  }
  if (locked_out != blocked_in_pass_.end()) add(locked_out->second, unnamed);  // the walk never got to them
  if (unnamed > 0) {
    report_.blocked.push_back({report_.table, "remaining", "", unnamed, key, "still there after " + std::to_string(keeper_.pass()) + " passes; a trigger or another writer may bring them back"});
  }
}

void PolicyRun::report_progress(double chunk_ms, const std::string& waiting) {
  if (!context_.on_progress) return;
  Progress p;
  p.policy = report_.policy;
  p.table = report_.table;
  p.pass = keeper_.pass();
  p.rows_deleted = report_.rows_deleted();
  p.rows_total_deleted = context_.rows_deleted_before + report_.rows_deleted_all();
  p.rows_purgeable = plan_.rows_purgeable;
  p.share_done = share_done_;
  if (plan_.rows_purgeable > 0) {
    p.share_done = std::min(1.0, std::max(share_done_, static_cast<double>(p.rows_deleted) / static_cast<double>(plan_.rows_purgeable)));
  }
  p.chunk_ms = chunk_ms;
  p.chunk_rows = sizer_.rows();
  p.elapsed_s = seconds_since(start_);
  p.rows_per_s = p.elapsed_s > 0 ? static_cast<double>(p.rows_deleted) / p.elapsed_s : 0;
  if (p.rows_per_s > 0) p.eta_s = static_cast<double>(std::max<std::int64_t>(0, p.rows_purgeable - p.rows_deleted)) / p.rows_per_s;
  p.waiting = waiting;
  context_.on_progress(p);
}

}  // namespace purgekit
