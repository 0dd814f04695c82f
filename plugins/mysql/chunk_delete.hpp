/// \file chunk_delete.hpp
/// The statement that deletes one range, in the form this server and this condition need.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// What stays the same for all statements of a purge. The predicate is needed while statements are made, not later.
struct DeleteShape {
  const sdk::Dialect* dialect;
  const sdk::Table* table;
  const pk_predicate* predicate;
  std::vector<std::string> collect;  ///< columns that children are deleted by
};

struct ChunkDelete {
  sdk::Sql sql;
  /// `sql` reads and locks the rows, giving `collect` and then the key; they are deleted by their keys afterwards.
  bool by_keys = false;
};

using AddSql = std::function<void(sdk::Sql&)>;

/// \param add_range condition of the range, or nothing for the whole table.
/// \param add_tail ORDER BY and LIMIT, or nothing.
ChunkDelete chunk_delete(const DeleteShape& shape, const AddSql& add_range, const AddSql& add_tail);

}  // namespace purgekit::mysql
