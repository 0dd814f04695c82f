/// \file rehearsal.hpp
/// A real chunk, rolled back. Internal to the planner.
#pragma once

#include "purgekit/forecast.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

/// Deletes a chunk of about `chunk_ms` somewhere in the middle of the table, with its dependents, and rolls it back. Nothing stays
/// changed; the rows are locked meanwhile, as in any chunk. Triggers run and are rolled back too. `predicate` is the chunk's condition.
Rehearsal rehearse(Session& session, const PolicyPlan& plan, const pk_predicate& predicate, double chunk_ms);

}  // namespace purgekit
