/// \file sink_writer.hpp
/// Deleting rows so that each goes to the host's sink: what it is given is what was deleted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
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

  /// Rows that go, one after the other, as reading() gives them.
  class Hand {
   public:
    explicit Hand(const SinkWriter& writer) : width_(writer.columns_.size()), batch_(writer.columns_, writer.sink_, writer.index_) {}

    void add(Row row) {
      if (row.size() > width_) {
        const auto also = row.begin() + static_cast<std::ptrdiff_t>(width_);
        collected_.emplace_back(std::make_move_iterator(also), std::make_move_iterator(row.end()));
        row.erase(also, row.end());
      }
      batch_.add(std::move(row));
    }
    /// After the last row. \returns how many there were, and the further columns of each
    std::pair<std::int64_t, Rows> finish() {
      batch_.flush();
      return {batch_.total(), std::move(collected_)};
    }

   private:
    std::size_t width_;
    RowBatch batch_;
    Rows collected_;
  };

  /// Delete and hand over. \param statement a DELETE without RETURNING. \param collect columns whose values are wanted of each row.
  /// \returns how many rows went, and `collect` of them.
  std::pair<std::int64_t, Rows> move(SqlSession& session, const Sql& statement, const Row& slots, const std::vector<std::string>& collect = {}) const {
    Hand hand(*this);
    const Sql reading = this->reading(statement, collect);
    session.stream(reading.text(), reading.params(slots), [&](Row row) { hand.add(std::move(row)); });
    auto gone = hand.finish();
    if (!dialect_.has_returning()) check(gone.first, session.run(statement, slots));
    return gone;
  }

  /// The statement that gives the rows, and behind their columns those of `collect` as the session has them: the DELETE itself where it
  /// can, else one that locks them for the DELETE after it.
  Sql reading(const Sql& statement, const std::vector<std::string>& collect = {}) const {
    Sql sql(dialect_);
    if (dialect_.has_returning()) {
      sql.append(statement) << " RETURNING " << returned_;
      for (const std::string& column : collect) sql << ", " << dialect_.quote(name_) << "." << dialect_.quote(column);
      return sql;
    }
    constexpr std::string_view prefix = "DELETE FROM ";
    if (statement.text().rfind(prefix, 0) != 0) throw Error(PK_INTERNAL, "a statement to archive by does not begin with DELETE FROM");
    sql << "SELECT " << selected_;
    for (const std::string& column : collect) sql << ", " << dialect_.quote(column);
    sql << " FROM ";
    return sql.append(statement, prefix.size()) << dialect_.for_update();
  }

  /// \throws Error when not every row that was handed over was deleted, and the other way round.
  void check(std::int64_t given, std::int64_t deleted) const {
    if (given == deleted) return;
    throw Error(has_triggers_ ? PK_TRIGGER : PK_SERIALIZATION, "table " + name_ + ": " + std::to_string(given) + " rows were read for the archive but " + std::to_string(deleted) +
                                                                   " deleted, so the chunk was rolled back and nothing of it was done");
  }

  /// For a backend that adds values column by column, without a Hand.
  RowBatch batch() const { return {columns_, sink_, index_}; }
  std::size_t width() const { return columns_.size(); }

  /// The source's columns as the sink wants them: what to SELECT for a Hand.
  const std::string& selected() const { return selected_; }

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
