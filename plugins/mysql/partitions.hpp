/// \file partitions.hpp
/// The partitions of a table, in their order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "line.hpp"

namespace purgekit::mysql {

struct Partition {
  std::string name;
  std::string method;  ///< "RANGE", "RANGE COLUMNS", …
  std::string expression;
  bool divided = false;  ///< into subpartitions
  std::int64_t rows = -1;
};

/// None for a table without.
std::vector<Partition> read_partitions(Line& line, const std::string& schema, const std::string& table);

/// Those that can hold no row for which the condition's bound on the partitioning column fails, as the optimizer judges; all when it
/// can't tell.
std::vector<Partition> purgeable_partitions(Line& line, const sdk::Table& table, const pk_predicate& predicate, const std::vector<Partition>& partitions);

}  // namespace purgekit::mysql
