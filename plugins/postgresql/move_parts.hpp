/// \file move_parts.hpp
/// A table and its partitions as a move sees them: what may go as a whole, how, and what stands against it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "leaf.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::postgresql {

/// A relation of the tree that a table is the root of.
struct Part {
  Leaf leaf;
  std::string bound;       ///< "FOR VALUES …" or "DEFAULT"; empty: no partition
  std::string owner;       ///< quoted
  bool is_owner = false;   ///< this user, or through a role
  bool may_truncate = false;
  bool may_drop = false;   ///< RANGE or LIST, not the default one, and nothing depends on it
  bool past = false;       ///< no row that could still live belongs into it

  /// Dropped as a whole; otherwise emptied, because rows that live could come into it.
  bool goes() const { return past && may_drop; }
};

struct Parts {
  bool is_partitioned = false;
  std::vector<Part> leaves;   ///< in ascending order of their object ids
  std::vector<Part> others;   ///< the root and what lies between
  std::string oids() const;   ///< of all, as an array
};

/// The oldest server whose partitions have all that is relied on.
constexpr int moves_since = 110000;

Parts read_parts(sdk::SqlSession& session, std::int64_t table_oid);

/// Find out which leaves are past: a time that every purgeable row has forbids their whole range to rows that live.
void mark_past(sdk::SqlSession& session, const sdk::Table& table, const pk_predicate& predicate, Parts& parts);

/// Why rows of these relations can't go without a DELETE, with the way out; empty: they can.
/// \param drops partitions are to be dropped
/// \param user quoted, for the GRANT that may be missing
std::string move_problem(sdk::SqlSession& session, int server_version, const sdk::Table& table, const Parts& parts, bool drops, const std::string& user);

}  // namespace purgekit::postgresql
