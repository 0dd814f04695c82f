/// \file catalogue.hpp
/// What the catalogue says of a table.
#pragma once

#include <string>
#include <vector>

#include "database.hpp"

namespace filedb {

/// Exact name first, then without regard to case when that is unique. Throws PK_NOT_FOUND.
sdk::Table read_table(Database& db, const sdk::TableName& name);
std::vector<std::string> table_names(Database& db);

}  // namespace filedb
