/// \file sink_writer.hpp
/// Deleting rows so that each goes to the host's sink: what it is given is what was deleted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/row_batch.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

/// Deletes rows of one source table and gives them to the sink, all columns.
class SinkWriter {
 public:
  /// \param index 0 for the purge's own table, then 1 + the dependent's number
  SinkWriter(const Dialect& dialect, const Table& source, const pk_sink& sink, std::size_t index)
      : dialect_(dialect), name_(source.name), columns_(source.columns), sink_(sink), index_(index), has_triggers_(!source.delete_triggers.empty()) {
    for (const Column& column : columns_) {
      const std::string quoted = dialect.quote(column.name);
      selected_ += (selected_.empty() ? "" : ", ") + dialect.for_sink(quoted, column.kind, column.type_name);
      returned_ += (returned_.empty() ? "" : ", ") + dialect.for_sink(dialect.quote(source.name) + "." + quoted, column.kind, column.type_name);
    }
  }

  /// Delete and hand over. \param statement a DELETE without RETURNING. \param collect columns whose values are wanted of each row.
  /// \returns how many rows went, and `collect` of them.
  std::pair<std::int64_t, Rows> move(SqlSession& session, const Sql& statement, const Row& slots, const std::vector<std::string>& collect = {}) const {
    const std::vector<std::size_t> positions = positions_of(collect);
    RowBatch batch(columns_, sink_, index_);
    Rows collected;
    const Sql reading = this->reading(statement);
    session.stream(reading.text(), reading.params(slots), [&](Row row) {
      if (!positions.empty()) {
        Row wanted;
        for (const std::size_t position : positions) wanted.push_back(row.at(position));
        collected.push_back(std::move(wanted));
      }
      batch.add(std::move(row));
    });
    batch.flush();
    if (!dialect_.has_returning()) check(batch.total(), session.run(statement, slots));
    return {batch.total(), std::move(collected)};
  }

  /// The statement that gives the rows: the DELETE itself where it can, else one that locks them for the DELETE after it.
  Sql reading(const Sql& statement) const {
    Sql sql(dialect_);
    if (dialect_.has_returning()) return sql.append(statement) << " RETURNING " << returned_;
    constexpr std::string_view prefix = "DELETE FROM ";
    if (statement.text().rfind(prefix, 0) != 0) throw Error(PK_INTERNAL, "a statement to archive by does not begin with DELETE FROM");
    sql << "SELECT " << selected_ << " FROM ";
    return sql.append(statement, prefix.size()) << dialect_.for_update();
  }

  /// \throws Error when not every row that was handed over was deleted, and the other way round.
  void check(std::int64_t given, std::int64_t deleted) const {
    if (given == deleted) return;
    throw Error(has_triggers_ ? PK_TRIGGER : PK_SERIALIZATION, "table " + name_ + ": " + std::to_string(given) + " rows were read for the archive but " + std::to_string(deleted) +
                                                                   " deleted, so the chunk was rolled back and nothing of it was done");
  }

  /// For a backend that deletes in a way of its own.
  RowBatch batch() const { return {columns_, sink_, index_}; }
  /// The source's columns as the sink wants them, for SELECT and for RETURNING.
  const std::string& selected() const { return selected_; }
  const std::string& returned() const { return returned_; }
  const std::vector<Column>& columns() const { return columns_; }

  /// Where those stand among the source's columns.
  std::vector<std::size_t> positions_of(const std::vector<std::string>& names) const {
    std::vector<std::size_t> out;
    for (const std::string& name : names) {
      const auto found = std::find_if(columns_.begin(), columns_.end(), [&](const Column& column) { return column.name == name; });
      if (found == columns_.end()) throw Error(PK_SCHEMA_CHANGED, "table " + name_ + " has no column " + name + " any more");
      out.push_back(static_cast<std::size_t>(found - columns_.begin()));
    }
    return out;
  }

 private:
  const Dialect& dialect_;
  std::string name_;
  std::vector<Column> columns_;
  const pk_sink& sink_;
  std::size_t index_;
  std::string selected_;
  std::string returned_;  // each with the table's name: a DELETE may join what has columns of its own
  bool has_triggers_;
};

}  // namespace purgekit::sdk
