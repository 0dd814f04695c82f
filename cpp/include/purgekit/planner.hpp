/// \file planner.hpp
/// Describes the table, checks the policy against it, counts within a budget, chooses the walk, freezes the cutoff.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/lower.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

struct PlanOptions {
  std::optional<std::int64_t> now_ns;  ///< replaces the database's clock
  bool exact = false;                  ///< count without a budget
  std::int64_t count_budget_ms = 2'000;
  std::optional<double> max_fraction;  ///< only warned about here; the run refuses
  std::int64_t chunk_rows = 1'000;
  Zones zones;
  std::string archive;  ///< where deleted rows are kept, for all policies; empty: as each policy says
  bool rehearse = false;   ///< delete a chunk of each policy and roll it back, to measure
  double chunk_ms = 100;   ///< target time of a chunk, for the forecast
  std::string ledger{};    ///< whose holds are looked at; empty or "none": nobody's
  std::size_t sample = 0;  ///< rows to show of those that would go
  bool unmask = false;     ///< with their values
};

/// Tables of one database as described once; other tables named in rules are looked up here.
class Catalogue {
 public:
  explicit Catalogue(Session& session) : session_(session) {}
  /// \throws EngineError (policy) naming the nearest table when there is none.
  const sdk::Table& table(const std::string& written_name);
  /// Nothing instead of an error when there is none.
  const sdk::Table* find(const std::string& written_name);
  LowerInput input(const sdk::Table& table, std::int64_t now_ns, const Policy& policy, const Zones& zones) { return input(table, now_ns, policy.grace_ns, zones); }
  LowerInput input(const sdk::Table& table, std::int64_t now_ns, std::int64_t grace_ns, const Zones& zones);
  /// Have every table described again when it is asked for next.
  void forget() { tables_.clear(); }

 private:
  Session& session_;
  std::map<std::string, sdk::Table> tables_;
};

/// Changes nothing in the database. \throws EngineError when a policy can't be run on this database.
Plan make_plan(Session& session, const std::vector<Policy>& policies, const PlanOptions& options);

/// Dependents with their tables' and columns' exact names; optional ones that are absent are left out, and named in `absent`.
std::vector<sdk::Dependent> resolve_dependents(Catalogue& catalogue, const Policy& policy, const sdk::Table& table, std::vector<std::string>* absent = nullptr);

/// Share of the table above which a run refuses: the command's, else the policy's, else 0.98.
double effective_max_fraction(const std::optional<double>& given, const Policy& policy);

}  // namespace purgekit
