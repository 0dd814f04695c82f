/// \file walk_path.hpp
/// The ways a table could be walked, from its description and the condition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "purgekit/sdk/key_range.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// What the id of a walk along an index begins with; its name follows.
constexpr const char* index_prefix = "index:";

struct WalkPath {
  std::string id;
  std::string strategy;
  std::string index;                    ///< as stored; empty for a scan
  std::vector<std::uint32_t> positions;  ///< of `columns` in the table
  std::vector<sdk::KeyColumn> columns;  ///< walked in this order; empty for a scan
  bool unique = false;                  ///< no two rows share a place
  std::optional<std::uint32_t> guard;   ///< predicate node every row to be deleted satisfies, a range of the first column
};

/// All ways that are right for this table and condition: along the key, along an index on a time column, else by scanning.
std::vector<WalkPath> walk_paths(const MysqlDialect& dialect, const sdk::Table& table, const pk_predicate& predicate);

/// The path `id` stands for; the first one when it is empty. \throws Error PK_SCHEMA_CHANGED when it is no longer there.
/// An index that the condition no longer bounds is walked whole.
WalkPath path_of(const MysqlDialect& dialect, const sdk::Table& table, const pk_predicate& predicate, const std::string& id);

}  // namespace purgekit::mysql
