#include "moves.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"

namespace purgekit {
namespace {

// What stands in the policy or the command and no backend's stroke can honour.
std::string own_problem(const PolicyPlan& plan) {
  if (keeps_rows(plan)) return "a move can't keep the rows it takes away: drop the archive or the strategy";
  if (!plan.dependents.empty()) return "a move takes no dependents along: purge them by a policy of their own, or drop the strategy";
  return "";
}

std::vector<sdk::Move> offered(Session& session, const pk_purge& purge, const PolicyPlan& plan) {
  std::vector<sdk::Move> moves;
  try {
    moves = session.moves(purge, plan.rows_total, plan.rows_purgeable);
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_SUPPORTED) throw;
  }
  if (const std::string problem = own_problem(plan); !problem.empty()) {
    for (sdk::Move& move : moves) move.problem = problem;
  }
  return moves;
}

std::string seconds_text(std::int64_t ms) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(ms) / 1000);
  return text;
}

sdk::Move asked_for(const PolicyPlan& plan, const std::vector<sdk::Move>& moves) {
  const std::string& strategy = plan.policy.strategy;
  const std::string table = table_name_text(plan.table.schema, plan.table.name);
  const auto found = std::find_if(moves.begin(), moves.end(), [&](const sdk::Move& m) { return m.walk.strategy == strategy; });
  if (found == moves.end()) {
    std::string others;
    for (const sdk::Move& m : moves) {
      if (m.problem.empty()) others += (others.empty() ? "" : " or ") + m.walk.strategy;
    }
    refuse("strategy", "strategy " + strategy + " is not offered for " + table + " on this database; leave it out to have the table walked" + (others.empty() ? "" : ", or take " + others));
  }
  if (!found->problem.empty()) refuse("strategy", "strategy " + strategy + " can't be followed for " + table + ": " + found->problem);
  const std::int64_t most_ms = window_ms(plan);
  if (found->window_ms > most_ms) {
    refuse("move_window", "strategy " + strategy + " would keep others waiting for " + table + " for about " + seconds_text(found->window_ms) + ", longer than move_window " +
                              format_duration(plan.policy.move_window_ns) + ": raise move_window, or leave the strategy out to have the table walked");
  }
  return *found;
}

}  // namespace

void plan_move(Session& session, const pk_purge& purge, const PlanOptions& options, PolicyPlan& plan) {
  if (plan.policy.strategy == "auto") {
    try {
      plan.proposals = offered(session, purge, plan);
    } catch (const sdk::Error& e) {
      if (e.connection_lost()) throw;
      plan.warnings.push_back({"moves", "whether there is another way than a walk could not be found out: " + e.message()});
    }
    return;
  }
  if (options.rehearse) {
    refuse("rehearse", "strategy " + plan.policy.strategy + " goes by strokes that keep others waiting, so none is made for a mere plan: leave --rehearse or the strategy out");
  }
  plan.move = asked_for(plan, offered(session, purge, plan));
  plan.walk = plan.move->walk;
}

void forecast_move(PolicyPlan& plan) {
  const bool one_stroke = plan.walk.strategy != "partition";
  if (plan.rows_purgeable == 0 || !one_stroke) return;
  plan.forecast.transactions = 1;
  if (plan.move->window_ms >= 0) plan.forecast.seconds = static_cast<double>(plan.move->window_ms) / 1000;
}

void check_move_limits(const PolicyPlan& plan, const RunOptions& options) {
  if (!plan.move) return;
  const auto refuse_limit = [&](const char* code, const std::string& flag) {
    refuse(code, flag + " can't be kept by strategy " + plan.walk.strategy + ", whose strokes take all rows or none: leave it or the strategy out");
  };
  if (options.max_rows) refuse_limit("max_rows", "--max-rows");
  if (options.max_rows_per_s) refuse_limit("max_rows_per_s", "--max-rows-per-s");
}

std::uint32_t window_ms(const PolicyPlan& plan) { return static_cast<std::uint32_t>(plan.policy.move_window_ns / 1'000'000); }

bool is_planned(sdk::Table table, const PolicyPlan& plan) {
  if (plan.move) table.identity = plan.table.identity;
  return fingerprint(table) == fingerprint(plan.table);
}

bool may_repeat_move(const sdk::Error& error) {
  return error.code() == PK_LOCK_TIMEOUT || error.code() == PK_DEADLOCK || error.code() == PK_SERIALIZATION;
}

}  // namespace purgekit
