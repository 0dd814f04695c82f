/// \file clock_check.hpp
/// Looks at stored times for a unit or zone that was mistaken. Internal to the planner.
#pragma once

#include <string>
#include <vector>

#include "purgekit/plan.hpp"
#include "purgekit/planner.hpp"

namespace purgekit {

/// Adds warnings to `plan`, and sets clock_doubt when every sampled value of a column lies outside the years 1990 to 2200.
void check_clocks(Session& session, const LowerInput& input, const std::vector<TimeUse>& uses, PolicyPlan& plan);

}  // namespace purgekit
