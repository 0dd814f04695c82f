/// \file row_sample.hpp
/// Some of the rows that a purge would delete, for people. Internal to the engine.
#pragma once

#include "json.hpp"
#include "purgekit/planner.hpp"

namespace purgekit {

/// Fills plan.sample as `options` ask for it. That rows can't be shown is a warning: a plan is worth having without.
void sample_rows(Session& session, const pk_purge& purge, const PlanOptions& options, PolicyPlan& plan);

/// null when none was asked for.
Json sample_json(const PolicyPlan& plan);

}  // namespace purgekit
