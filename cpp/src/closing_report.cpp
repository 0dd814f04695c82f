#include "closing_report.hpp"

#include <algorithm>

#include "hold.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {

void closing_report(PolicyWork& work, Worker& worker, Session& session) {
  const PolicyPlan& plan = work.plan;
  PolicyReport& report = work.report;
  const LowerInput input = worker.input(plan.now_ns);
  const Predicate rule = purgeable(plan.policy, work.holds);
  report.rows_left = worker.count(lower(rule, input));
  if (report.rows_left == 0) return;
  const auto sample = [&](const LoweredPredicate& predicate) {
    try {
      return session.sample_key(PurgeSpec(plan.table, predicate.view()));
    } catch (const sdk::Error&) {
      return std::string();
    }
  };
  for (const sdk::Reference& guard : plan.guards) {
    const LoweredPredicate held = lower_held(rule, input, guard);
    const std::int64_t rows = worker.count(held);
    if (rows == 0) continue;
    report.blocked.push_back({report.table, "foreign_key", guard.name, rows, sample(held), table_name_text(guard.child_schema, guard.child_table) + " still refers to them"});
  }
  if (plan.policy.held_while) {
    const LoweredPredicate held = lower_guarded(Predicate::all_of({rule, *plan.policy.held_while}), input, plan.guards);
    if (const std::int64_t rows = worker.count(held); rows > 0) {
      report.blocked.push_back({report.table, "held", "", rows, sample(held), "held back by the policy's held_while"});
    }
  }
  const LoweredPredicate free = worker.deletable(plan.now_ns);
  const std::int64_t others = worker.count(free);
  if (others == 0) return;
  const std::string key = sample(free);
  std::int64_t unnamed = others;
  const auto add = [&](Blocked b, std::int64_t rows) {
    b.rows = std::min(rows, unnamed);
    unnamed -= b.rows;
    b.sample_key = key;
    if (b.rows > 0) report.blocked.push_back(std::move(b));
  };
  auto& blocked = work.blocked_in_pass;
  const auto locked_out = work.gave_up ? blocked.find({"lock", ""}) : blocked.end();
  for (auto entry = blocked.begin(); entry != blocked.end(); ++entry) {
    auto& [reason, b] = *entry;
    b.table = report.table;
    b.reason = reason.first;
    b.constraint = reason.second;
    if (entry != locked_out) add(b, blocked.size() == 1 ? others : b.rows);
  }
  if (locked_out != blocked.end()) add(locked_out->second, unnamed);  // the walk never got to them
  if (unnamed > 0) {
    report.blocked.push_back({report.table, "remaining", "", unnamed, key,
                              "still there after " + std::to_string(work.keeper.pass()) + " passes; a trigger or another writer may bring them back"});
  }
}

}  // namespace purgekit
