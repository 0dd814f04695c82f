/// \file values_between.hpp
/// Values that lie between two others.
#pragma once

#include <cstddef>
#include <vector>

#include "purgekit/sdk/value.hpp"

namespace purgekit::mysql {

/// At most `parts` - 1 values, ascending, that cut the distance between `low` and `high` into even parts: whole numbers, and text
/// taken as digits and letters without regard to case, which is what identifiers consist of. None for other kinds.
std::vector<sdk::Value> values_between(const sdk::Value& low, const sdk::Value& high, std::size_t parts);

}  // namespace purgekit::mysql
