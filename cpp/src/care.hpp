/// \file care.hpp
/// Space before and after a policy, and what is done for its tables when their rows are gone. Internal to the runner.
///
/// Nothing here makes a purge fail: figures that can't be had are unknown, care that can't be finished is a warning.
#pragma once

#include "policy_work.hpp"

namespace purgekit {

/// Refuse when giving space back would clearly not fit on the volume. \throws EngineError
void check_room(Session& session, const PolicyPlan& plan);

/// The table's figures before its first chunk.
void look_before(PolicyWork& work);

/// When all workers have ended: `RunOptions::reclaim` for the tables that rows went from, step by step until done or until the run is to
/// end, and then the figures. A table that a later policy of the run deletes from waits for that one.
void look_after(PolicyWork& work);

}  // namespace purgekit
