/// \file sizes.hpp
/// How large a table is, as far as that can be told in a fraction of a second.
#pragma once

#include <string>

#include "database.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sqlite {

/// Fills rows_estimate, bytes and index_bytes. Exact for small tables, extrapolated from their first pages for large ones, -1 where
/// nothing is known. `rowid` as in Described.
void read_sizes(Database& db, sdk::Table& table, const std::string& rowid);

}  // namespace purgekit::sqlite
