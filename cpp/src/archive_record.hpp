/// \file archive_record.hpp
/// What a run's record in the ledger tells of the tables or files that keep its rows. Internal.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "foreign_record.hpp"
#include "purgekit/plan.hpp"

namespace purgekit {

/// A table that rows went from, and what keeps them, as names are written.
struct KeptTable {
  std::string table;
  std::string archive;  ///< a table, or the folder of its files: an absolute path
  std::vector<std::pair<std::string, std::string>> on;  ///< of a dependent: its column and its parent's
  bool is_moved = false;  ///< into a table of somebody else's, where rows do not tell which run they went by
  std::string of{};                                     ///< the dependent that is its parent; empty: the policy's own table
};

/// The policy's own table first, then its dependents; none when nothing is kept.
std::vector<KeptTable> kept_tables(const PolicyPlan& plan);
/// The same out of a record, which anybody may have written; of an earlier version's record the policy's own table only.
std::vector<KeptTable> kept_tables(const Json& record);
Json archive_record(const std::vector<KeptTable>& tables);

}  // namespace purgekit
