#include "watching.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include "archive.hpp"
#include "policy_run.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

using Clock = std::chrono::steady_clock;

// Servers end a session that holds the run lock and falls silent for a minute.
constexpr double longest_wait_s = 20;
// A probe that has to pass by many rows that stay, or a pass that met blocked ones, takes this share of all time at most.
constexpr double most_share = 0.05;
constexpr double clock_good_for_s = 60;
constexpr double holds_good_for_s = 60;
constexpr double longest_backoff_s = 30;
constexpr int most_failures = 5;  // one after the other, of the kind that does not pass by itself
constexpr auto rest_step = std::chrono::milliseconds(50);

double passed_s(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Waits without a word, ready to be stopped.
void rest(const RunControl& control, double wait_s) {
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait_s));
  while (!control.stopping()) {
    const auto left = until - Clock::now();
    if (left <= Clock::duration::zero()) return;
    std::this_thread::sleep_for(std::min<Clock::duration>(left, rest_step));
  }
}

// A time that must have passed for every row that the rule takes; nullptr: there is no single one.
const rule::Time* required_time(const Predicate& predicate) {
  const auto& node = predicate.node().rule;
  if (const auto* r = std::get_if<rule::Expired>(&node)) return &r->time;
  if (const auto* r = std::get_if<rule::Created>(&node)) return &r->time;
  if (const auto* r = std::get_if<rule::All>(&node)) {
    for (const Predicate& child : r->children) {
      if (const rule::Time* time = required_time(child)) return time;
    }
  }
  return nullptr;
}

const sdk::Walk* index_walk(const PolicyPlan& plan) {
  const sdk::Walk* best = nullptr;
  for (const sdk::Walk& walk : plan.walks) {
    if (walk.strategy == "index-range" && (best == nullptr || walk.cost < best->cost)) best = &walk;
  }
  return best;
}

// What passes by itself, however long that takes: a server that is being restarted, or its network.
bool passes_by_itself(const std::string& code) {
  for (const pk_code passing : {PK_CONNECTION_LOST, PK_CONNECT_FAILED, PK_SERVER_SHUTDOWN, PK_SERVER_RESOURCES, PK_IN_DOUBT, PK_LOCK_TIMEOUT, PK_DEADLOCK, PK_SERIALIZATION, PK_STATEMENT_TIMEOUT, PK_CANCELLED}) {
    if (code == sdk::code_name(passing)) return true;
  }
  return false;
}

void add_session(PolicyReport& sum, PolicyReport&& session) {
  for (const TableCount& t : sum.tables) {
    const auto same = std::find_if(session.tables.begin(), session.tables.end(), [&](const TableCount& other) { return other.table == t.table; });
    if (same == session.tables.end()) {
      session.tables.push_back(t);
      continue;
    }
    same->rows_deleted += t.rows_deleted;
    same->rows_archived += t.rows_archived;
  }
  session.chunks += sum.chunks;
  session.retries += sum.retries;
  session.elapsed_s += sum.elapsed_s;
  session.throttled_s += sum.throttled_s;
  session.archived_bytes += sum.archived_bytes;
  session.at_least = session.at_least || sum.at_least;
  if (session.continues.empty()) session.continues = sum.continues;
  sum = std::move(session);
}

/// One policy of a watch, through all its sessions.
class PolicyWatch {
 public:
  PolicyWatch(RunContext& context, std::size_t ordinal) : main_(context), plan_(context.plan.policies.at(ordinal)), ordinal_(ordinal) {
    sum_.policy = plan_.policy.name;
    sum_.table = plan_.skipped ? plan_.policy.table : table_name_text(plan_.table.schema, plan_.table.name);
    sum_.tables.push_back({sum_.table, 0, 0});
  }

  PolicyReport run() {
    if (plan_.skipped) {
      sum_.status = "skipped";
      return sum_;
    }
    while (!ended_) {
      try {
        session();
      } catch (const EngineError& e) {
        failed(e.code(), e.message(), e.kind() == ErrorKind::policy || e.kind() == ErrorKind::refused);
      } catch (const sdk::Error& e) {
        failed(sdk::code_name(e.code()), e.message(), false);
      } catch (const std::exception& e) {
        failed("internal", std::string("internal error: ") + e.what(), true);
      }
    }
    return sum_;
  }

 private:
  // Everything made anew: the line, the plan, the run.
  void session() {
    if (main_.control.stopping()) return stop(main_.control.reason());
    Session session(main_.session.backend());
    const Attached attached(main_.control, session);
    session.connect(main_.connection);
    const RunOptions options = session_options();
    Plan plan = planned(session);
    RunContext context{session, main_.connection, plan, options, main_.control, main_.on_progress, main_.start, main_.flight};
    context.gauges.start(session.backend(), main_.connection, options, main_.control);
    if (was_lost_) log().warn("policy {}: connected again", sum_.policy);
    was_lost_ = false;
    PolicyReport report = PolicyRun(context, plan.policies.at(0), ordinal_).run();
    ++sessions_;
    const bool worked = report.chunks > 0;
    const std::string status = report.status;
    const std::string code = report.error_code;
    const std::string message = report.error_message;
    add_session(sum_, std::move(report));
    if (status == "stopped") {
      ended_ = true;
    } else if (status == "failed") {
      if (worked) failures_ = 0;
      failed(code, message, false);
    } else {
      failures_ = 0;
    }
  }

  RunOptions session_options() const {
    RunOptions out = main_.options;
    if (sessions_ > 0) out.run_id += "." + std::to_string(sessions_ + 1);
    if (out.max_rows) *out.max_rows -= sum_.rows_deleted_all();
    return out;
  }

  // Not counted: nothing depends on how many rows there are.
  Plan planned(Session& session) const {
    PlanOptions planning;
    planning.count_budget_ms = 0;
    planning.archive = main_.options.watching->archive;
    planning.zones = main_.plan.zones;
    planning.ledger = main_.options.ledger;
    Policy policy = plan_.policy;
    policy.strategy = "auto";
    Plan plan = make_plan(session, {policy}, planning);
    check_watchable(plan, main_.options);
    PolicyPlan& p = plan.policies.at(0);
    if (p.skipped) refuse("table_absent", "table " + policy.table + " is gone");
    if (const sdk::Walk* walk = index_walk(p)) p.walk = *walk;
    static const LoweredPredicate no_rows = lower_no_rows();
    const PurgeSpec archives(p.table, no_rows.view(), "", p.dependents, p.archives);
    if (check_archives(session, p.archives, archives, true)) session.archive_create(archives);
    return plan;
  }

  void stop(const std::string& reason) {
    sum_.status = "stopped";
    sum_.stop_reason = reason;
    sum_.error_code.clear();
    sum_.error_message.clear();
    ended_ = true;
  }

  void failed(const std::string& code, const std::string& message, bool for_good) {
    sum_.status = "failed";
    sum_.stop_reason.clear();
    sum_.error_code = code;
    sum_.error_message = message;
    ++failures_;
    if (main_.control.stopping()) return stop(main_.control.reason());
    if (main_.options.deadline_s && main_.elapsed_s() >= *main_.options.deadline_s) return stop("deadline");
    if (for_good || (failures_ >= most_failures && !passes_by_itself(code))) {
      ended_ = true;
      return;
    }
    if (!was_lost_) log().warn("policy {}: {}; trying again until it works", sum_.policy, message);
    was_lost_ = true;
    rest(main_.control, std::min(longest_backoff_s, 0.5 * std::pow(2.0, std::min(failures_, 8))));
  }

  RunContext& main_;
  const PolicyPlan& plan_;
  std::size_t ordinal_;
  PolicyReport sum_{};
  std::size_t sessions_ = 0;
  int failures_ = 0;
  bool was_lost_ = false;
  bool ended_ = false;
};

}  // namespace

void check_watchable(const Plan& plan, const RunOptions& options) {
  const WatchOptions& watching = *options.watching;
  if (!(watching.interval_s >= 0.05 && watching.interval_s <= longest_wait_s)) bad_policy("interval must lie between 0.05 and 20 seconds");
  if (options.workers > 1) bad_policy("a watch purges each table by one worker: leave workers out");
  if (options.max_rows && plan.policies.size() > 1) bad_policy("max-rows can't be kept over policies that are watched side by side: watch them by commands of their own");
  for (const PolicyPlan& p : plan.policies) {
    if (p.skipped || watching.accept_scan || index_walk(p) != nullptr) continue;
    const std::string table = table_name_text(p.table.schema, p.table.name);
    const rule::Time* time = required_time(p.policy.where);
    const std::string way_out = time != nullptr ? "add one (CREATE INDEX " + name_text(p.table.name + "_" + time->column) + " ON " + table + " (" + name_text(time->column) + ")), or"
                                                : "its rule has no time that all of its rows have passed, so that none could; purge it with run on a schedule, or";
    throw EngineError(ErrorKind::refused, "no_index", "policy " + p.policy.name + " can't be watched: no index of " + table + " finds the rows that have become purgeable; " + way_out +
                                                          " pass --accept-scan to have the table read again and again")
        .policy(p.policy.name)
        .table(table);
  }
}

std::vector<PolicyReport> watch_policies(RunContext& context) {
  std::vector<PolicyReport> reports(context.plan.policies.size());
  std::vector<std::thread> threads;
  threads.reserve(reports.size());  // nothing may be thrown while one is running
  for (std::size_t i = 0; i < reports.size(); ++i) {
    threads.emplace_back([&, i] { reports[i] = PolicyWatch(context, i).run(); });
  }
  for (std::thread& thread : threads) thread.join();
  return reports;
}

// --------------------------------------------------------------------------------------- within a session

bool PolicyRun::has_purgeable(std::int64_t now_ns) {
  const LoweredPredicate predicate = worker_.deletable(now_ns);
  return !context_.session.sample_key(PurgeSpec(plan_.table, predicate.view(), plan_.walk.id)).empty();
}

// One pass over what is purgeable by now; how many rows were blocked.
std::int64_t PolicyRun::walk_once() {
  const std::int64_t now_ns = context_.session.inspect().clock_utc_ns;
  const std::vector<TableCount> before = work_.report.tables;
  const auto start = Clock::now();
  work_.pass_deleted = 0;
  work_.gave_up = false;
  work_.blocked_in_pass.clear();
  work_.walk = plan_.walk;
  work_.keeper.new_pass(now_ns);
  work_.keeper.other_walk(plan_.walk.id);
  work_.parts = work_.keeper.parts();
  worker_.prepare(now_ns);
  walk_pass();
  WatchEvent event{work_.report.policy, context_.options.run_id, work_.report.tables, 0, 1000 * passed_s(start)};
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < event.tables.size(); ++i) {
    event.tables[i].rows_deleted -= before.at(i).rows_deleted;
    event.tables[i].rows_archived -= before[i].rows_archived;
    rows += event.tables[i].rows_deleted;
  }
  for (const auto& [place, blocked] : work_.blocked_in_pass) event.rows_blocked += blocked.rows;
  if (rows > 0) {
    log().info("policy {}: {} rows deleted in {:.1f} ms", event.policy, rows, event.elapsed_ms);
    if (context_.options.watching->on_purge) context_.options.watching->on_purge(event);
  }
  return work_.gave_up ? std::max<std::int64_t>(1, event.rows_blocked) : event.rows_blocked;
}

void PolicyRun::keep_walking() {
  const WatchOptions& watching = *context_.options.watching;
  const auto begun = Clock::now();
  auto clock_read = begun;
  auto holds_read = begun;
  std::int64_t clock_ns = context_.session.inspect().clock_utc_ns;
  bool told_of_slowness = false;
  int failures = 0;
  while (passed_s(begun) < watching.session_s) {
    work_.check_stop();
    double wait_s = watching.interval_s;
    const auto start = Clock::now();
    try {
      if (passed_s(clock_read) > clock_good_for_s) {
        clock_ns = context_.session.inspect().clock_utc_ns;
        clock_read = Clock::now();
      }
      if (passed_s(holds_read) > holds_good_for_s) {
        take_up_holds();  // one that was let go moves no epoch
        holds_read = Clock::now();
      }
      const auto probed = Clock::now();
      const bool found = has_purgeable(clock_ns + std::chrono::duration_cast<std::chrono::nanoseconds>(probed - clock_read).count());
      double idle_s = passed_s(probed);
      if (found) {
        const bool is_blocked = walk_once() > 0;
        if (is_blocked) idle_s = passed_s(start);
      }
      failures = 0;
      wait_s = std::min(longest_wait_s, std::max(wait_s, idle_s / most_share));
      if (wait_s > 2 * watching.interval_s && !told_of_slowness && !found) {
        told_of_slowness = true;
        log().warn("policy {}: looking for a purgeable row of {} took {:.2f} s, so that it is done every {:.1f} s only: many rows have passed their time and stay, or no index fits", work_.report.policy,
                   work_.report.table, idle_s, wait_s);
      }
    } catch (const sdk::Error& e) {
      if (context_.control.cancelled()) throw Stop{context_.control.reason()};
      if (work_.commit_sent || e.in_doubt() || !(e.connection_lost() || e.retryable()) || ++failures > most_failures) throw;
      if (e.connection_lost()) {
        log().warn("policy {}: {}; connecting again", work_.report.policy, e.message());
        worker_.reconnect();
        log().warn("policy {}: connected again", work_.report.policy);
      } else {
        worker_.roll_back();
      }
    }
    rest(context_.control, wait_s);
  }
}

}  // namespace purgekit
