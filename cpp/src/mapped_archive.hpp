/// \file mapped_archive.hpp
/// A mapping made concrete for one source and one target. Internal to planner and runner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "purgekit/archive_mapping.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/planner.hpp"

namespace purgekit {

/// Put the target into `plan.archives` as number `index`. A name without a schema is looked for in the source's.
/// \throws EngineError (refused, policy) when there is no such table or column, or one can't take what is meant for it.
void resolve_mapping(Catalogue& catalogue, const ArchiveMapping& mapping, const sdk::Table& source, std::size_t index, PolicyPlan& plan);

/// The archives with this instant for "now".
std::vector<sdk::ArchiveTable> archives_at(const PolicyPlan& plan, std::int64_t now_ns, const Zones& zones);

}  // namespace purgekit
