/// \file watching.hpp
/// Purging as rows expire, until asked to stop: each policy on a thread and a session of its own. Internal to the runner.
///
/// Idle, a policy costs one probe an interval: one row looked for by an index, outside of any transaction of the ledger. Where there is one, a
/// pass goes along that index up to the cutoff. All passes of a session (a day) are one run of the ledger: a takeover, a record, a link of
/// evidence for each chunk. What fails is begun again as a run of its own, after a pause that grows.
#pragma once

#include <vector>

#include "policy_work.hpp"

namespace purgekit {

/// Before anything is changed. \throws EngineError (refused, no_index) naming the statement that would help
void check_watchable(const Plan& plan, const RunOptions& options);

/// One report for each policy of the plan, over all its sessions.
std::vector<PolicyReport> watch_policies(RunContext& context);

}  // namespace purgekit
