/// \file row_values.hpp
/// Lines of an archive file, as row_lines.hpp writes them, back into values. Internal.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/table.hpp"

namespace purgekit {

/// Values of some rows, one row after the other. Texts point into the lines they were read from where they stand there as they are.
struct RowValues {
  std::vector<pk_value> values;
  std::deque<std::string> made;  ///< texts that were escaped or encoded
  std::size_t rows = 0;

  void clear() {
    values.clear();
    made.clear();
    rows = 0;
  }
};

/// Reads lines of one table. Takes what our own writer writes and nothing else: no blanks, columns in their order.
class LineReader {
 public:
  explicit LineReader(const std::vector<sdk::Column>& columns);

  /// Add the rows of `lines`, which end in a newline each and outlive `out`.
  /// \throws sdk::Error PK_CORRUPT
  void read(std::string_view lines, RowValues& out) const;

 private:
  const std::vector<sdk::Column>& columns_;
  std::vector<std::string> keys_;  // with the comma or brace before and the colon behind
};

}  // namespace purgekit
