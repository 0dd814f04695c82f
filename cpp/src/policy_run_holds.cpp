// How a policy's run meets the holds of its ledger: at takeover, when one is added while it purges, and when one can't be read any more.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "hold.hpp"
#include "hold_rule.hpp"
#include "policy_run.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr int most_rejoin_tries = 4;

// What a statement fails with when a hold that is part of it names something that is no longer there.
bool may_be_about_a_hold(pk_code code) {
  switch (code) {
    case PK_INVALID_ARGUMENT:
    case PK_NOT_FOUND:
    case PK_NOT_SUPPORTED:
    case PK_PRIVILEGE:
    case PK_SCHEMA_CHANGED:
    case PK_DATA: return true;
    default: return false;
  }
}

}  // namespace

// Called after the takeover or the raised epoch is committed or seen: a hold that is not read here fences this run once more.
void PolicyRun::take_up_holds() {
  if (!work_.keeper.enabled()) return;
  Catalogue catalogue(context_.session);
  std::vector<HoldInForce> holds;
  try {
    holds = holds_in_force(context_.session, catalogue, hold_notes(context_.session), plan_.table, plan_.dependents);
  } catch (const EngineError& e) {
    throw Stop{hold_unreadable, e.message()};
  }
  worker_.forget_tables();
  if (holds == work_.holds) return;
  work_.holds = std::move(holds);
  std::string ids;
  for (const HoldInForce& hold : work_.holds) ids += (ids.empty() ? "" : ", ") + hold.id;
  log().info("policy {}: holds in force: {}", work_.report.policy, ids.empty() ? "none" : ids);
  context_.flight.note("holds", work_.report.policy, {{"ids", ids}});
  // What was found out about a move is not known of another condition.
  if (work_.moving() && !worker_.choose_walk(false)) throw sdk::Error(PK_NOT_SUPPORTED, "the holds of " + work_.report.table + " changed, and it can't be walked");
}

bool PolicyRun::rejoin() {
  bool rejoined = false;
  for (int tries = 1;; ++tries) {
    try {
      rejoined = rejoined || work_.keeper.rejoin();
      if (!rejoined) return false;
      take_up_holds();
      worker_.prepare(work_.keeper.walk_now_ns());
      return true;
    } catch (const sdk::Error& e) {
      context_.flight.error(work_.report.policy, "taking up a hold", e);
      work_.check_stop();
      if (tries >= most_rejoin_tries || !(e.connection_lost() || e.retryable())) throw;
      if (e.connection_lost()) {
        worker_.reconnect();
      } else {
        worker_.roll_back();
        worker_.wait(backoff_s(tries), "ledger locked");
      }
    }
  }
}

// Fenced out: by another run, or by a hold that was added. False: by another run.
bool PolicyRun::goes_on_with_holds() {
  hands_.clear();  // those that were halted have transactions open
  worker_.roll_back();
  settle_doubt();
  if (work_.doubt || !rejoin()) return false;
  for (WalkPart& part : work_.parts) part.taken = false;
  work_.halted = false;
  return true;
}

// Why a statement failed, when a hold is to blame; or empty.
std::string PolicyRun::hold_problem(const sdk::Error& error) {
  const bool held = !work_.holds.empty() || plan_.policy.hold;
  if (!held || !may_be_about_a_hold(error.code())) return "";
  try {
    hands_.clear();
    context_.session.rollback();
    Catalogue catalogue(context_.session);
    const sdk::Table* table = catalogue.find(table_name_text(plan_.table.schema, plan_.table.name));
    if (table == nullptr) return "";
    if (plan_.policy.hold) lower(not_held(*plan_.policy.hold), catalogue.input(*table, plan_.now_ns, plan_.policy, context_.plan.zones));
    if (work_.keeper.enabled()) holds_in_force(context_.session, catalogue, hold_notes(context_.session), *table, plan_.dependents);
  } catch (const EngineError& e) {
    return e.message();
  } catch (const sdk::Error&) {
    // Not to be found out now: the first error says what there is to say.
  }
  return "";
}

void PolicyRun::tell_what_is_held() {
  PolicyReport& report = work_.report;
  for (const HoldInForce& hold : work_.holds) {
    if (std::find(report.holds.begin(), report.holds.end(), hold.id) == report.holds.end()) report.holds.push_back(hold.id);
  }
  if (report.holds.empty() && !plan_.policy.hold) return;
  const LowerInput input = worker_.input(plan_.now_ns);
  const std::int64_t free = worker_.count(lower(purgeable(plan_.policy, work_.holds), input));
  report.rows_held = std::max<std::int64_t>(0, worker_.count(lower(plan_.policy.where, input)) - free);
}

}  // namespace purgekit
