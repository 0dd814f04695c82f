#include "care.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "purgekit/deadline.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/lower.hpp"
#include "purgekit/sdk/error.hpp"
#include "worker.hpp"

namespace purgekit {
namespace {

using Clock = std::chrono::steady_clock;
using TableId = std::pair<std::string, std::string>;  // schema, name

constexpr std::int64_t look_budget_ms = 2'000;  // figures come from statistics; a catalogue that is locked is not waited for
constexpr int most_tries = 3;                   // of one step that others were in the way of
constexpr int most_reconnects = 2;
constexpr std::int64_t most_steps = 1'000'000;  // against a backend that is never done
constexpr double longest_nap_s = 1;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const char* word(Reclaim reclaim) { return reclaim == Reclaim::space ? "space" : "statistics"; }

/// The table alone: care knows no rows.
class Target {
 public:
  explicit Target(const TableId& id) : table_(named(id)), spec_(table_, no_rows().view()) {}
  operator const pk_purge&() const { return spec_; }

 private:
  static sdk::Table named(const TableId& id) {
    sdk::Table table;
    table.schema = id.first;
    table.name = id.second;
    return table;
  }
  static const LoweredPredicate& no_rows() {
    static const LoweredPredicate none = lower_no_rows();
    return none;
  }

  sdk::Table table_;
  PurgeSpec spec_;
};

/// Cancels the step in hand when the run is to end: a rebuild may take hours, and nothing is lost by giving it up.
class Watch {
 public:
  Watch(PolicyWork& work, Session& session) {
    thread_ = std::thread([this, &work, &session] {
      std::unique_lock lock(mutex_);
      while (!changed_.wait_for(lock, std::chrono::milliseconds(100), [this] { return over_; })) {
        if (work.asked_to_stop().empty()) continue;
        lock.unlock();
        session.cancel();
        lock.lock();
        // A cancel that comes before the statement has reached the server ends nothing, so it is repeated, but no more often than this.
        changed_.wait_for(lock, std::chrono::milliseconds(250), [this] { return over_; });
      }
    });
  }
  ~Watch() {
    {
      const std::scoped_lock lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

/// Care for one table after the other.
class Tending {
 public:
  explicit Tending(PolicyWork& work) : work_(work), session_(work.context.session), care_(work.report.care) {}

  void all(const std::vector<TableId>& tables) {
    const auto start = Clock::now();
    {
      const Watch watch(work_, session_);
      for (const TableId& table : tables) {
        if (!one(table)) break;
      }
    }
    care_.elapsed_s = seconds_since(start);
    // Also forgets a cancel that came too late for its step, before it can hit what comes next.
    try {
      session_.rollback();
    } catch (const sdk::Error& e) {
      log().debug("policy {}: {}", work_.report.policy, e.message());
    }
  }

 private:
  bool one(const TableId& id) {
    const std::string name = table_name_text(id.first, id.second);
    const pk_care asked = work_.context.options.reclaim == Reclaim::space ? PK_CARE_SPACE : PK_CARE_STATISTICS;
    const Target target(id);
    log().info("policy {}: looking after {} ({})", work_.report.policy, name, care_.asked);
    work_.report_progress(0, 0, "looking after " + name);
    int tries = 0;
    for (std::int64_t steps = 0; steps < most_steps;) {
      if (const std::string why = work_.asked_to_stop(); !why.empty()) return ended(name, why);
      const auto start = Clock::now();
      try {
        const bool done = session_.reclaim(target, asked);
        tries = 0;
        ++steps;
        ++care_.steps;
        if (done) return true;
        // Others get as much of the database as this took.
        if (work_.context.options.gentle) nap(std::min(seconds_since(start), longest_nap_s));
      } catch (const sdk::Error& e) {
        work_.context.flight.error(work_.report.policy, "looking after a table", e);
        if (const std::string why = work_.asked_to_stop(); !why.empty()) return ended(name, why);
        if (!tried_to_mend(id, e, tries)) return told("failed", "looking after " + name + ": " + e.message());
      }
    }
    return told("failed", "looking after " + name + ": the backend was not done after " + std::to_string(most_steps) + " steps");
  }

  bool tried_to_mend(const TableId& id, const sdk::Error& e, int& tries) {
    if (e.connection_lost()) {
      if (++reconnects_ > most_reconnects) return false;
      nap(backoff_s(reconnects_));
      try {
        session_.connect(work_.context.connection);
        session_.describe({id.first, id.second, true, true});
        return true;
      } catch (const sdk::Error& again) {
        log().debug("policy {}: {}", work_.report.policy, again.message());
        return false;
      }
    }
    const bool passing = e.code() == PK_LOCK_TIMEOUT || e.code() == PK_DEADLOCK || e.code() == PK_SERIALIZATION;
    if (!passing || ++tries >= most_tries) return false;
    nap(backoff_s(tries));
    return true;
  }

  void nap(double wait_s) {
    const auto start = Clock::now();
    while (seconds_since(start) < wait_s && work_.asked_to_stop().empty()) {
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(0.05, wait_s)));
    }
  }

  bool ended(const std::string& table, const std::string& why) { return told("unfinished", "looking after " + table + " was ended by " + why); }

  bool told(const char* status, const std::string& what) {
    care_.status = status;
    care_.warning = what + "; the purge itself is complete";
    log().warn("policy {}: {}", work_.report.policy, care_.warning);
    return false;
  }

  PolicyWork& work_;
  Session& session_;
  CareReport& care_;
  int reconnects_ = 0;
};

bool uses(const PolicyPlan& plan, const TableId& table) {
  if (plan.skipped) return false;
  if (TableId{plan.table.schema, plan.table.name} == table) return true;
  return std::any_of(plan.dependents.begin(), plan.dependents.end(), [&](const sdk::Dependent& d) { return TableId{d.schema, d.table} == table; });
}

/// Those in waiting that no later policy of the run deletes from; a rebuild changes what a plan was made for.
std::vector<TableId> due_now(PolicyWork& work) {
  const std::vector<PolicyPlan>& policies = work.context.plan.policies;
  const auto later = policies.begin() + (&work.plan - policies.data()) + 1;
  std::vector<TableId> due;
  for (const TableId& table : work.context.to_look_after) {
    if (std::none_of(later, policies.end(), [&](const PolicyPlan& plan) { return uses(plan, table); })) due.push_back(table);
  }
  for (const TableId& table : due) work.context.to_look_after.erase(table);
  return due;
}

std::optional<sdk::Space> looked(PolicyWork& work) {
  Session& session = work.context.session;
  std::optional<sdk::Space> space;
  try {
    Deadline deadline(session, look_budget_ms);
    try {
      space = session.space(Target({work.plan.table.schema, work.plan.table.name}));
    } catch (const sdk::Error& e) {
      log().debug("policy {}: how much space {} takes up is not known: {}", work.report.policy, work.report.table, e.message());
    }
    // Forgets a cancel that came too late, before it can hit what comes next.
    if (deadline.finish()) session.rollback();
  } catch (const std::exception& e) {
    log().debug("policy {}: {}", work.report.policy, e.what());
  }
  return space;
}

SpaceFigures figures(const sdk::Space& s) { return {s.bytes, s.reusable_bytes, s.dead_bytes}; }

void tend(PolicyWork& work) {
  CareReport& care = work.report.care;
  care.asked = word(work.context.options.reclaim);
  std::set<TableId>& waiting = work.context.to_look_after;
  bool needed = false;
  for (std::size_t i = 0; i < work.report.tables.size(); ++i) {
    if (work.report.tables[i].rows_deleted == 0) continue;
    needed = true;
    if (i == 0) waiting.insert({work.plan.table.schema, work.plan.table.name});
    else waiting.insert({work.plan.dependents[i - 1].schema, work.plan.dependents[i - 1].table});
  }
  const std::vector<TableId> due = due_now(work);
  if (due.empty()) {
    care.status = needed ? "later" : "not_needed";
  } else if (work.report.status != "completed") {
    care.status = "not_begun";
    care.warning = "no table was looked after, because the purge did not get to its end; the run that does, does that too";
    log().warn("policy {}: {}", work.report.policy, care.warning);
  } else {
    care.status = "done";
    try {
      Tending(work).all(due);
    } catch (const std::exception& e) {
      care.status = "failed";
      care.warning = std::string("looking after the tables failed: ") + e.what() + "; the purge itself is complete";
      log().warn("policy {}: {}", work.report.policy, care.warning);
    }
  }
}

}  // namespace

void check_room(Session& session, const PolicyPlan& plan) {
  sdk::Space space;
  try {
    space = session.space(Target({plan.table.schema, plan.table.name}));
  } catch (const sdk::Error& e) {
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    log().debug("policy {}: {}", plan.policy.name, e.message());
    return;
  }
  if (space.free_bytes < 0 || space.needed_bytes <= 0) return;
  const double total = static_cast<double>(std::max<std::int64_t>(plan.rows_total, 1));
  const double stays = std::clamp(1 - static_cast<double>(plan.rows_purgeable) / total, 0.0, 1.0);
  const double needed = static_cast<double>(space.needed_bytes) * stays;
  if (static_cast<double>(space.free_bytes) >= needed) return;
  const auto megabytes = [](double bytes) { return std::to_string(std::llround(bytes / 1e6)) + " MB"; };
  refuse("no_room", "giving the space of table " + plan.table.name + " back takes room for a second copy of what stays, about " + megabytes(needed) + ", and " +
                        megabytes(static_cast<double>(space.free_bytes)) +
                        " are free on its volume; nothing was changed: make room, or leave out --reclaim space");
}

void look_before(PolicyWork& work) {
  try {
    work.log_bytes_before = work.context.session.log_bytes();
  } catch (const sdk::Error& e) {
    log().debug("policy {}: how long the logs are is not known: {}", work.report.policy, e.message());
  }
  if (const auto space = looked(work)) work.report.space.before = figures(*space);
}

void look_after(PolicyWork& work) {
  PolicyReport& report = work.report;
  if (work.log_bytes_before && report.status == "completed") {
    try {
      const std::optional<std::int64_t> now = work.context.session.log_bytes();
      if (now && *now >= *work.log_bytes_before) report.log_bytes = *now - *work.log_bytes_before;
    } catch (const sdk::Error& e) {
      log().debug("policy {}: how long the logs are is not known: {}", report.policy, e.message());
    }
  }
  if (work.context.options.reclaim != Reclaim::none) tend(work);
  // Where the purge failed, the line or the server may be why, and nobody is to wait for them once more.
  if (report.status == "failed" || report.stop_reason == "another_run" || work.context.control.cancelled()) return;
  if (const auto space = looked(work)) {
    report.space.after = figures(*space);
    report.space.advice = space->advice;
  }
}

}  // namespace purgekit
