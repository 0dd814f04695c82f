/// \file references.hpp
/// Foreign keys of other tables that point at one table.
#pragma once

#include <vector>

#include "database.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sqlite {

/// All of them are enforced: our connections switch foreign_keys on.
std::vector<sdk::Reference> read_references(Database& db, const sdk::Table& parent);

}  // namespace purgekit::sqlite
