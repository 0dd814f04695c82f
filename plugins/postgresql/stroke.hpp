/// \file stroke.hpp
/// What the strokes of all moves share: rows looked at and counted under a lock, within the time that others may be kept waiting for.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "dialect.hpp"
#include "line.hpp"
#include "move_parts.hpp"
#include "purgekit/sdk/render.hpp"
#include "walk.hpp"

namespace purgekit::postgresql {

/// What a move needs of its connection and of the purge it is made for.
struct MoveContext {
  sdk::SqlSession& session;
  Line& line;
  const PgDialect& dialect;
  sdk::Table table;
  std::int64_t table_oid = 0;
  std::string user;                             ///< quoted
  std::function<void(sdk::Sql&)> add_predicate;

  /// "leaf" to read from, under the table's name, so that it stays usable in conditions.
  std::string source(const Leaf& leaf) const;
  std::string whole() const { return sdk::qualified(dialect, table.schema, table.name); }
};

/// From the moment that others wait.
class Window {
 public:
  Window(Line& line, std::uint32_t window_ms, std::string what) : line_(line), window_ms_(window_ms), what_(std::move(what)) {}
  /// The lock is held: from now on no statement outlasts what is left.
  void open();
  /// \throws sdk::Error PK_STATEMENT_TIMEOUT when nothing is left
  void check();
  /// `step` within what is left.
  void run(const std::function<void()>& step);
  /// What comes behind the stroke is short, and not to be undone for the last millisecond.
  void leave();

 private:
  [[noreturn]] void exceeded() const;
  std::int64_t left_ms() const;

  Line& line_;
  std::uint32_t window_ms_;
  std::string what_;
  std::chrono::steady_clock::time_point opened_{};
};

struct Census {
  std::int64_t rows = 0;
  std::int64_t survivors = 0;
};

/// Every row of `source`, and those of them that stay, in one reading.
Census take_census(const MoveContext& context, const std::string& source);
sdk::Sql census_sql(const MoveContext& context, const std::string& source);

/// Whether a row of `source` stays. Ends at the first; takes no lock that anybody notices.
bool has_survivor(const MoveContext& context, const std::string& source);

/// Partitions, one a stroke: dropped where no row that lives can come into them any more, otherwise emptied.
std::unique_ptr<Walk> make_partition_move(MoveContext context, const pk_predicate& predicate);

/// The whole table in one stroke.
std::unique_ptr<Walk> make_truncate_move(MoveContext context);

}  // namespace purgekit::postgresql
