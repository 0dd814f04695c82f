/// \file chunk_delete.hpp
/// The statements that delete one range, in the form this server and this condition need.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "purgekit/sdk/archive.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/sink_writer.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// What stays the same for all statements of a purge. Needed while statements are made, not later.
struct DeleteShape {
  const sdk::Dialect* dialect;
  const sdk::Table* table;
  const pk_predicate* predicate;
  std::vector<std::string> collect;  ///< columns that children are deleted by
  bool archives;                     ///< what goes is kept in a table
  const sdk::SinkWriter* sink;       ///< what goes is given to this, or nullptr
  bool children_first;               ///< children go between the rows' being locked and their going
};

struct ChunkDelete {
  sdk::Sql sql;
  /// `sql` reads and locks the rows, giving what the sink wants, `collect` and then the key; they are deleted by their keys afterwards.
  bool by_keys = false;
};

using AddSql = std::function<void(sdk::Sql&)>;

/// \param add_range condition of the range, or nothing for the whole table.
/// \param add_tail ORDER BY and LIMIT, or nothing.
ChunkDelete chunk_delete(const DeleteShape& shape, const AddSql& add_range, const AddSql& add_tail);

/// The condition looks at rows beside the one it is about.
bool reads_other_rows(const pk_predicate& predicate);

/// The unique index behind table.key, or nullptr: none, or one over parts of columns only.
const sdk::Index* key_index(const sdk::Table& table);

/// Deletes rows that this transaction has locked.
class KeyDelete {
 public:
  KeyDelete(const sdk::Dialect& dialect, const sdk::Table& table);

  /// The statement for `rows` rows.
  sdk::Sql statement(std::size_t rows) const;
  /// The one before it, that keeps them.
  sdk::Sql insert(const sdk::ArchiveWriter& archive, std::size_t rows) const;
  std::int64_t run(sdk::SqlSession& session, const sdk::Rows& keys, const sdk::ArchiveWriter* archive) const;

 private:
  void add_rows(sdk::Sql& sql, std::size_t rows) const;

  const sdk::Dialect& dialect_;
  std::string target_;
  std::string from_;
  std::vector<std::string> columns_;  // quoted
  std::vector<pk_column_kind> kinds_;
};

}  // namespace purgekit::mysql
