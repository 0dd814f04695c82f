/// \file moves.hpp
/// Purging a table in few strokes instead of by a walk: what a plan proposes, what is refused when a policy asks for it, and what
/// is done when a stroke fails. Internal to the engine.
#pragma once

#include <cstdint>

#include "purgekit/planner.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {

/// The move that the policy asks for, or with strategy "auto" what could be proposed; the rows are counted by now.
/// \throws EngineError when the strategy asked for can't be followed.
void plan_move(Session& session, const pk_purge& purge, const PlanOptions& options, PolicyPlan& plan);

/// What the plan's move is going to take, by the move's own figures.
void forecast_move(PolicyPlan& plan);

/// \throws EngineError for limits of a run that the plan's move can't keep.
void check_move_limits(const PolicyPlan& plan, const RunOptions& options);

/// How long others may be kept waiting.
std::uint32_t window_ms(const PolicyPlan& plan);

/// Whether a stroke that failed so, and was undone, may succeed when it is made again without anybody's doing.
bool may_repeat_move(const sdk::Error& error);

/// The table is the one that was planned for. A swap puts another in its place, of the same shape.
bool is_planned(sdk::Table table, const PolicyPlan& plan);

}  // namespace purgekit
