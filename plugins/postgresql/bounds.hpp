/// \file bounds.hpp
/// Time rules within a predicate that every row of it satisfies.
#pragma once

#include <cstdint>
#include <vector>

#include "purgekit/abi.h"

namespace purgekit::postgresql {

std::vector<const pk_node*> required_times(const pk_predicate& predicate);

}  // namespace purgekit::postgresql
