#include "policy_run.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include "care.hpp"
#include "closing_report.hpp"
#include "hold.hpp"
#include "mapped_archive.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr int most_passes = 20;
constexpr int most_takeover_tries = 4;
constexpr int most_cut_tries = 3;
// Parts for each worker: whoever is through with one takes the next, so that none waits long for the last.
constexpr std::size_t parts_a_worker = 4;
// Of all cuts together, since they are written into the ledger with each chunk.
constexpr std::size_t most_cut_bytes = 8'000;

bool shares_children(const PolicyPlan& plan) {
  return std::any_of(plan.dependents.begin(), plan.dependents.end(), [](const sdk::Dependent& d) { return d.unless_referenced; });
}

}  // namespace

PolicyRun::Hand::Hand(PolicyWork& work) : session(work.context.session.backend()), attached(work.context.control, session), worker(work, session, false) {
  session.connect(work.context.connection);
  if (work.keeper.enabled()) session.ledger_find(parse_table_name(work.context.options.ledger));
  session.describe({work.plan.table.schema, work.plan.table.name, true, true});
}

PolicyRun::PolicyRun(RunContext& context, const PolicyPlan& plan, std::size_t ordinal)
    : context_(context), plan_(plan), work_(context, plan, ordinal), worker_(work_, context.session, true) {
  PolicyReport& report = work_.report;
  report.policy = plan.policy.name;
  report.table = plan.skipped ? plan.policy.table : table_name_text(plan.table.schema, plan.table.name);
  report.strategy = plan.walk.strategy;
  report.at_least = !work_.keeper.enabled();
  report.forecast_s = plan.forecast.seconds;
  report.forecast_chunks = plan.forecast.transactions;
  report.forecast_log_bytes = plan.forecast.log_bytes;
  if (plan.skipped) return;
  report.tables.push_back({report.table, 0, 0});
  for (const sdk::Dependent& d : plan.dependents) report.tables.push_back({table_name_text(d.schema, d.table), 0, 0});
  const double fraction = effective_max_fraction(context.options.max_fraction, plan.policy);
  if (!plan.exact && fraction < 1 && !context.options.watching) work_.fraction_limit = static_cast<std::int64_t>(fraction * static_cast<double>(plan.rows_total));
}

PolicyReport PolicyRun::run() {
  PolicyReport& report = work_.report;
  if (plan_.skipped) {
    report.status = "skipped";
    return report;
  }
  const auto rows_left = [&] { return context_.options.watching ? 0 : std::max<std::int64_t>(0, plan_.rows_purgeable - report.rows_deleted()); };
  const auto stopped = [&](const Stop& stop) {
    report.status = "stopped";
    report.stop_reason = stop.reason;
    report.rows_left = rows_left();
    if (stop.message.empty()) return;
    report.error_code = stop.reason;
    report.error_message = stop.message;
  };
  const auto failed = [&](const std::string& code, const std::string& message) {
    report.status = "failed";
    report.error_code = code;
    report.error_message = message;
    report.rows_left = rows_left();
  };
  try {
    work_.check_stop();
    take_table();
    look_before(work_);
    if (context_.options.watching) {
      keep_walking();
    } else {
      walk();
      tell_what_is_held();
    }
  } catch (const Stop& stop) {
    stopped(stop);
  } catch (const sdk::Error& e) {
    context_.flight.error(report.policy, "the policy", e);
    if (e.code() == PK_FENCED) {
      report.status = "stopped";
      report.stop_reason = "fenced";
    } else if (const std::string problem = hold_problem(e); !problem.empty()) {
      stopped({hold_unreadable, problem});
    } else {
      failed(sdk::code_name(e.code()), e.message());
    }
  } catch (const EngineError& e) {
    failed(e.code(), e.message());
  } catch (const std::exception& e) {
    failed("internal", std::string("internal error: ") + e.what());
  }
  hands_.clear();
  report.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - work_.start).count();
  try {
    context_.session.rollback();
  } catch (const sdk::Error&) {
    // Closing the connection rolls back as well.
  }
  look_after(work_);
  if (report.stop_reason != "another_run" && work_.keeper.epoch() > 0) record_outcome();
  report.evidence = work_.keeper.evidence();
  if (report.evidence && work_.keeper.has_limited_evidence() && report.status != "failed") remove_outlived_evidence(context_.session, work_.keeper.key());
  if (const FileArchive* files = work_.keeper.files()) {
    report.archive_files = files->report();
    report.archived_bytes = files->bytes_written();
  }
  if (report.status == "failed") report.error_message += "; " + what_is_safe();
  context_.flight.note("end", report.policy, {{"status", report.status}, {"stop_reason", report.stop_reason}, {"error_code", report.error_code},
                                              {"rows_deleted", report.rows_deleted_all()}, {"chunks", report.chunks}, {"retries", report.retries}});
  worker_.unlock_run();
  return report;
}

// Quick refusal, then the ledger's word. A line that is lost on the way is made anew: nothing is deleted yet.
void PolicyRun::take_table() {
  PolicyReport& report = work_.report;
  SlotKeeper& keeper = work_.keeper;
  context_.flight.note("start", report.policy, {{"table", report.table}, {"strategy", report.strategy}, {"rows_purgeable", plan_.rows_purgeable}});
  for (int tries = 1;; ++tries) {
    try {
      if (tries == 1) {
        if (keeper.enabled()) context_.session.ledger_find(parse_table_name(context_.options.ledger));
        worker_.lock_run();
      }
      keeper.claim();
      take_up_holds();
      // One instant for all rows of a run, and not the plan's: that may be a day old.
      if (!plan_.archive_clocks.empty()) work_.archives = archives_at(plan_, context_.session.inspect().clock_utc_ns, context_.plan.zones);
      worker_.prepare(keeper.walk_now_ns());
      report.continues = keeper.continues();
      context_.flight.note("takeover", report.policy, {{"epoch", keeper.epoch()}, {"pass", keeper.pass()}, {"continues", report.continues}});
      return;
    } catch (const sdk::Error& e) {
      context_.flight.error(report.policy, "taking the table", e);
      if (e.code() == PK_LOCK_TIMEOUT && keeper.epoch() == 0) {
        log().warn("policy {}: {}", report.policy, e.message());
        throw Stop{"another_run"};
      }
      if (tries >= most_takeover_tries || !(e.connection_lost() || e.retryable())) throw;
      ++report.retries;
      log().warn("policy {}: {}; trying again", report.policy, e.message());
      if (e.connection_lost()) {
        worker_.reconnect();
      } else {
        worker_.roll_back();
        worker_.wait(backoff_s(tries), "ledger locked");
      }
    }
  }
}

std::string PolicyRun::what_is_safe() const {
  const PolicyReport& report = work_.report;
  const bool recorded = work_.keeper.enabled();
  const auto counted = [](std::int64_t n, const char* noun) { return std::to_string(n) + noun + (n == 1 ? "" : "s"); };
  const std::string rows = counted(report.rows_deleted_all(), " row");
  if (work_.doubt || work_.commit_sent) {
    return rows + " or more deleted and committed, and whether the last chunk was committed is not known" +
           (recorded ? "; run the same command again: it finds out from the ledger and goes on" : "; run the same command again to go on");
  }
  if (report.chunks == 0) return "nothing was deleted by this policy; run the same command again to go on";
  return rows + " in " + counted(report.chunks, " chunk") + " deleted, committed" + (recorded ? " and recorded" : "") +
         ", what was not committed is rolled back; run the same command again to go on from there";
}

// A commit without an answer, asked about for the last time.
void PolicyRun::settle_doubt() {
  if (!work_.commit_sent) return;
  const std::optional<bool> committed = work_.keeper.settle();
  if (!committed) work_.report.at_least = work_.doubt = true;
  else if (*committed) work_.account();
  work_.commit_sent = false;
}

// The purge is over; a record that can't be written is found out by the next run.
void PolicyRun::record_outcome() {
  PolicyReport& report = work_.report;
  for (int tries = 1;; ++tries) {
    try {
      settle_doubt();
      work_.keeper.finish(report);
      return;
    } catch (const sdk::Error& e) {
      context_.flight.error(report.policy, "recording the outcome", e);
      if (tries >= 3 || !(e.connection_lost() || e.retryable())) {
        log().warn("policy {}: the outcome could not be written to the ledger: {}; the next run finds out by itself", report.policy, e.message());
        report.at_least = report.at_least || work_.commit_sent;
        return;
      }
      try {
        if (e.connection_lost()) {
          context_.session.connect(context_.connection);
          context_.session.ledger_find(parse_table_name(context_.options.ledger));
        } else {
          context_.session.rollback();
        }
      } catch (const sdk::Error& again) {
        log().debug("policy {}: {}", report.policy, again.message());
      }
    }
  }
}

// A stroke keeps others waiting, so what it would find out at its end is asked beforehand where the plan did not know.
bool PolicyRun::nothing_to_move() {
  if (!work_.moving()) return false;
  const auto matching = [&] { return worker_.count(worker_.deletable(plan_.now_ns)); };
  if (work_.fraction_limit >= 0) {
    worker_.refresh_fraction_limit();
    if (matching() > work_.fraction_limit) throw Stop{"max_fraction"};
  }
  // What a stroke did before it was interrupted is told by the next one.
  return plan_.rows_purgeable == 0 && !work_.keeper.interrupted() && matching() == 0;
}

void PolicyRun::walk() {
  SlotKeeper& keeper = work_.keeper;
  resumed_pass_ = !keeper.continues().empty();
  work_.parts = keeper.parts();
  for (;;) {
    work_.pass_deleted = 0;
    work_.blocked_in_pass.clear();
    if (!nothing_to_move()) walk_pass();
    const std::int64_t left = worker_.count(worker_.deletable(plan_.now_ns));
    const bool progressed = work_.pass_deleted > 0 || resumed_pass_;
    resumed_pass_ = false;
    // The rule holds for no row that could be deleted; then for none at all, unless something holds rows back.
    if (left == 0 && plan_.guards.empty() && !plan_.policy.held_while) return;
    // What a move left, or came since, goes by a walk: nobody is made to wait for it a second time.
    const bool moved = work_.moving();
    if (left == 0 || !(progressed || moved) || work_.gave_up || keeper.pass() >= most_passes) break;
    if (moved && !worker_.choose_walk(false)) break;
    keeper.new_pass(plan_.now_ns);
    work_.parts = keeper.parts();
    worker_.prepare(plan_.now_ns);
  }
  closing_report(work_, worker_, context_.session);
}

void PolicyRun::walk_pass() {
  for (;;) {
    try {
      return walk_parts();
    } catch (const sdk::Error& e) {
      if (e.code() != PK_FENCED || !goes_on_with_holds()) throw;
    }
  }
}

void PolicyRun::walk_parts() {
  const bool begun = resumed_pass_ && (work_.parts.size() > 1 || !work_.parts[0].cursor.empty());
  try {
    walk_together();
  } catch (const sdk::Error& e) {
    // A place in the ledger that can't be read costs a walk from the start, and no row.
    if (e.code() != PK_CORRUPT || !begun || work_.report.chunks > 0) throw;
    log().warn("policy {}: {}; starting at the beginning of {}", work_.report.policy, e.message(), work_.report.table);
    work_.keeper.other_walk(work_.walk.id);
    work_.parts = work_.keeper.parts();
    work_.halted = false;
    hands_.clear();  // one that was halted has a transaction open
    walk_together();
  }
}

// A table that can't be cut at the moment is walked by one.
std::vector<std::string> PolicyRun::cuts_of_walk() {
  for (int tries = 1;; ++tries) {
    try {
      return context_.session.split(context_.options.workers * parts_a_worker);
    } catch (const sdk::Error& e) {
      work_.check_stop();
      context_.flight.error(work_.report.policy, "cutting the walk", e);
      if (e.connection_lost()) worker_.reconnect();
      if (tries < most_cut_tries && (e.connection_lost() || e.retryable())) continue;
      log().warn("policy {}: the table can't be cut into parts for several workers: {}", work_.report.policy, e.message());
      return {};
    }
  }
}

// A fresh pass is cut into parts for several workers; one that was begun is gone on with as it was cut.
void PolicyRun::cut_walk() {
  const bool fresh = work_.parts.size() == 1 && work_.parts[0].cursor.empty() && work_.parts[0].until.empty();
  if (!fresh || context_.options.workers <= 1 || !can_skip_rows(work_.walk) || work_.moving() || shares_children(plan_)) return;
  std::vector<std::string> cuts = cuts_of_walk();
  const auto bytes = [&] {
    std::size_t sum = 0;
    for (const std::string& cut : cuts) sum += 2 * cut.size();
    return sum;
  };
  while (cuts.size() > 1 && bytes() > most_cut_bytes) {
    std::vector<std::string> fewer;
    for (std::size_t i = 1; i < cuts.size(); i += 2) fewer.push_back(cuts[i]);
    cuts = std::move(fewer);
  }
  work_.parts.clear();
  std::string from;
  for (const std::string& cut : cuts) {
    work_.parts.push_back({from, cut});
    from = cut;
  }
  work_.parts.push_back({from, ""});
}

// As many workers as there are parts for; those that can't connect or prepare are done without.
void PolicyRun::hire() {
  const std::size_t wanted = std::min(context_.options.workers, work_.parts.size());
  if (wanted < context_.options.workers && work_.report.chunks == 0) {
    log().warn("policy {}: {} has work for {} of {} workers: it is small, or its walk ({}) can't be cut", work_.report.policy, work_.report.table, wanted,
               context_.options.workers, work_.walk.strategy);
  }
  while (hands_.size() + 1 < wanted) {
    try {
      hands_.push_back(std::make_unique<Hand>(work_));
    } catch (const sdk::Error& e) {
      log().warn("policy {}: no session for worker {}: {}; going on with {}", work_.report.policy, hands_.size() + 2, e.message(), hands_.size() + 1);
      break;
    }
  }
  for (std::size_t i = 0; i + 1 < wanted && i < hands_.size(); ++i) {
    try {
      hands_[i]->worker.prepare(work_.keeper.walk_now_ns());
    } catch (const sdk::Error& e) {
      log().warn("policy {}: worker {} can't begin: {}; going on with {}", work_.report.policy, i + 2, e.message(), i + 1);
      hands_.resize(i);
    }
  }
  work_.workers = std::min(hands_.size() + 1, wanted);
  work_.report.workers = std::max(work_.report.workers, work_.workers);
}

void PolicyRun::walk_together() {
  cut_walk();
  hire();
  if (!work_.several()) return worker_.walk();
  std::exception_ptr first;
  const auto guarded = [&](Worker& worker) {
    try {
      worker.walk();
    } catch (const Halted&) {
      // Whoever halted the others has said why.
    } catch (...) {
      const std::scoped_lock lock(work_.mutex);
      if (!first) first = std::current_exception();
      work_.halted = true;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(work_.workers);  // nothing may be thrown while one is running
  try {
    for (std::size_t i = 0; i + 1 < work_.workers; ++i) threads.emplace_back([&guarded, &worker = hands_[i]->worker] { guarded(worker); });
  } catch (const std::system_error& e) {
    log().warn("policy {}: no thread for another worker: {}", work_.report.policy, e.what());
  }
  guarded(worker_);
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace purgekit
