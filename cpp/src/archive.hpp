/// \file archive.hpp
/// Which tables or files keep what a policy deletes, and whether they can. Internal to planner and runner.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "purgekit/plan.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

/// Archives of a policy and its dependents, into the plan. \param request of the command, which goes before the policy's own; may be empty.
void plan_archives(Catalogue& catalogue, const Policy& policy, const std::string& request, const Zones& zones, PolicyPlan& plan);

/// \param request "table", "table:NAME" (NAME may hold {table} and a schema), or empty or a folder's path for none. Dependents always use the default
/// name. A name without a schema goes into the source's.
/// \throws EngineError (refused) for what is not offered.
std::vector<sdk::ArchiveTable> resolve_archives(const std::string& request, const sdk::Table& table, const std::vector<sdk::Dependent>& dependents);

/// What that default name is for a table.
sdk::ArchiveTable default_archive(const std::string& schema, const std::string& table);

/// Refuse archives that don't fit, or that this user may not make or write. \param to_run false: a plan may be made by a user who
/// is not allowed to create or write them. \param warnings takes what is not kept of the rows. \returns whether one is still to be made.
bool check_archives(Session& session, const std::vector<sdk::ArchiveTable>& archives, const pk_purge& purge, bool to_run, std::vector<Warning>* warnings = nullptr);

/// What a request names a folder for: its files. A path has a "/" in it. \throws EngineError (refused) where no folder can be
std::optional<ArchiveFiles> resolve_archive_files(const std::string& request, Catalogue& catalogue, const sdk::Table& table, const std::vector<sdk::Dependent>& dependents);

/// For a plan's statements: a sink that takes nothing.
const pk_sink& planning_sink();

/// Make the folder and find out whether files can be written in it. \throws EngineError (refused)
void check_archive_files(const PolicyPlan& plan, const RunOptions& options);

/// Two tables can't be kept in one. \throws EngineError (refused)
void refuse_shared_archives(const std::vector<PolicyPlan>& policies);

}  // namespace purgekit
