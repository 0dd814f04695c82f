/// \file walk.hpp
/// Ways through a table, leaf by leaf. A walk decides which range is next; removing its rows is the connection's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "leaf.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::postgresql {

/// What the id of a walk along an index begins with; its name follows.
constexpr std::string_view index_prefix = "index:";

/// Id of the walk by address.
inline constexpr const char* tid_walk = "tid";
/// Since this version a range of addresses is read by itself; before, by the list of its addresses.
inline constexpr int tid_range_scan_since = 140000;

/// Writes the condition of a range into a statement on one leaf.
using WriteRange = std::function<void(sdk::Sql&)>;

/// What a walk needs of its connection.
class RangeRemover {
 public:
  struct Removed {
    std::int64_t rows = 0;
    bool too_many = false;  ///< more than allowed: undone, nothing was removed
  };

  virtual ~RangeRemover() = default;
  /// Remove at most `max_rows` rows that satisfy the predicate, or none.
  virtual Removed remove(const Leaf& leaf, const WriteRange& range, std::int64_t max_rows) = 0;
  /// Rows go to the host, so it is worth removing a range in pieces: it works on those of one while the server looks for the next.
  virtual bool gives_rows() const = 0;
  /// What was removed stays removed when a later piece proves too long.
  virtual void end_piece() = 0;
  /// "ONLY leaf AS table": the table's name stays usable in conditions.
  virtual std::string target(const Leaf& leaf) const = 0;
  /// The statement remove() sends first, for people.
  virtual std::string remove_text(const Leaf& leaf, const WriteRange& range) const = 0;
};

class Walk {
 public:
  virtual ~Walk() = default;
  /// The next range behind `range.cursor`; an empty cursor, or one of another walk, starts a pass.
  virtual sdk::Deleted next(const sdk::Range& range) = 0;
  /// Statements of a chunk, for people.
  virtual std::vector<std::string> statements() const = 0;
  /// Clear away the dead rows of the last range, which is committed, while its pages are still in memory.
  virtual void clear_up() {}
  /// Cursors that cut a pass into at most `parts` parts; none: it can't be cut.
  virtual std::vector<std::string> split(std::size_t /*parts*/) { return {}; }
};

/// What all walks share: the leaves in order of their object ids, so that a cursor finds its place after a restart.
class LeafWalk : public Walk {
 protected:
  LeafWalk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid);

  /// The leaf with this object id or the next one behind it, or nullptr.
  const Leaf* leaf_from(std::int64_t oid) const;
  /// Pages of a leaf now; -1 when it was dropped.
  std::int64_t pages_of(const Leaf& leaf);
  void read_again();
  /// Share of the table's pages before `page` of this leaf.
  double share(std::int64_t oid, std::int64_t page) const;
  /// The answer at the end of a pass. \throws Error when there is nothing left because the table is gone.
  sdk::Deleted end_of_pass(std::string cursor);
  /// A leaf that vanished under a chunk is left out of the next attempt. Rethrows the exception being handled.
  [[noreturn]] void rethrow_vanished(const Leaf& leaf);

  sdk::SqlSession& session_;
  RangeRemover& remover_;
  const PgDialect& dialect_;
  std::int64_t table_oid_;
  std::vector<Leaf> leaves_;
};

/// Heap pages in physical order: cost does not depend on any index or on how the heap is sorted.
std::unique_ptr<Walk> make_tid_walk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid);

/// An index that leads with a time column, from its oldest end up to the cutoff.
/// \param column quoted; `type` is its type as the database prints it.
/// \param bound condition that every row to be removed satisfies, with parameters from $1.
std::unique_ptr<Walk> make_index_walk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid,
                                      std::string column, std::string type, sdk::Sql bound);

}  // namespace purgekit::postgresql
