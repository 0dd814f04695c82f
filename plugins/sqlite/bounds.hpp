/// \file bounds.hpp
/// The part of a column that can hold rows to purge, so that a walk along its index visits no others.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sqlite {

/// Every row that satisfies the predicate satisfies this too.
struct Bound {
  std::string column;
  std::uint32_t column_kind = PK_COLUMN_OTHER;
  std::optional<sdk::Value> low;  ///< with low_op
  const char* low_op = " > ";
  sdk::Value high;
  const char* high_op = " < ";

  /// "col > ? AND col < ?", or IS NOT NULL in place of the first.
  void add_to(sdk::Sql& out) const;
};

/// Bounds from above by constants that the predicate's outermost AND gives, in its order.
std::vector<Bound> upper_bounds(const pk_predicate& predicate, const sdk::Dialect& dialect);

}  // namespace purgekit::sqlite
