/// \file walk.hpp
/// Goes through a table range by range. Where a range ends is decided here; deleting its rows is the connection's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chunk_delete.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "walk_path.hpp"

namespace purgekit::mysql {

class Walk {
 public:
  /// Runs one of the walk's deletes; rows deleted.
  using Remove = std::function<std::int64_t(const ChunkDelete&, const sdk::Row& slots)>;

  /// All statements are made here, so the predicate in `shape` need not outlive the call.
  Walk(sdk::SqlSession& session, const DeleteShape& shape, WalkPath path);

  /// The next range behind `range.cursor`; empty: a new pass, whose end is the last row there is now.
  sdk::Deleted next(const sdk::Range& range, const Remove& remove);

  /// Places that cut a pass into at most `parts` parts of about equal width; none: it can't be cut.
  std::vector<std::string> split(std::size_t parts);

  /// For people: what finds the end of a chunk, or nullptr, and what deletes the chunk.
  const sdk::Sql* probe_sql() const { return probes_.empty() ? nullptr : &probes_.back(); }
  const ChunkDelete& chunk() const { return deletes_.back(); }

 private:
  struct Place {
    sdk::Row row;        // empty: before the first row
    bool given = false; // the cursor belongs to a pass under way
  };

  Place place_of(const std::string& cursor) const;
  sdk::Deleted next_single(const sdk::Range& range, const Place& place, const Remove& remove);
  sdk::Deleted scan(const sdk::Range& range, const Remove& remove);
  void start_pass(bool from_start);
  sdk::Row probe(const Place& place, std::int64_t rows_wanted);
  void count_visited(sdk::Deleted& out, const sdk::Row& until);
  sdk::Row fetch_row(const sdk::Sql& sql, const sdk::Row& slots = {});
  double share_of(const sdk::Row& row) const;
  double position(const sdk::Row& row) const;

  sdk::SqlSession& session_;
  WalkPath path_;
  std::uint32_t first_kind_ = PK_COLUMN_OTHER;
  std::int64_t rows_estimate_;
  std::vector<sdk::Sql> ends_;    // first row, last row
  std::optional<sdk::Sql> cut_;   // first row at or behind a value of the first column
  std::vector<sdk::Sql> probes_;   // [has a lower bound]
  std::vector<ChunkDelete> deletes_;  // [has a lower bound]; the only one of a scan
  std::optional<ChunkDelete> single_;  // one row by its whole place, where places are unique

  sdk::Row end_;
  bool ends_at_cut_ = false;  // end_ is a cut, not the last row there was
  double low_ = 0;
  std::int64_t visited_ = -1;  // in this pass; -1: it began on another connection
};

}  // namespace purgekit::mysql
