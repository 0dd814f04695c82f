// Which moves a table offers, and what each would take.
#include <algorithm>
#include <cmath>

#include "catalogue.hpp"
#include "connection.hpp"
#include "purgekit/sdk/error.hpp"
#include "stroke.hpp"

namespace purgekit::postgresql {

using sdk::Move;

namespace {

// What a server reads and compares at least when it does nothing else, and what taking a lock and dropping a file costs.
constexpr double read_bytes_per_s = 300e6;
constexpr double count_rows_per_s = 4e6;
constexpr double stroke_ms = 50;
constexpr double page_bytes = 8192;
// From statistics: what is less may be chance.
constexpr double nearly_all = 0.99;
constexpr const char* too_old = "moves are offered from PostgreSQL 11 on; leave out strategy";

std::int64_t window_ms(double pages, double rows) { return std::llround(stroke_ms + 1000 * (pages * page_bytes / read_bytes_per_s + rows / count_rows_per_s)); }

}  // namespace

MoveContext PgConnection::move_context(const sdk::Purge& purge) {
  return {static_cast<SqlSession&>(*this), line_, dialect_, known(purge), table_oid(purge), user_, [this](sdk::Sql& out) { add_predicate(out); }};
}

std::unique_ptr<Walk> PgConnection::make_move(const sdk::Purge& purge) {
  sdk::require_movable(purge);
  if (line_.server_version() < moves_since) throw sdk::Error(PK_NOT_SUPPORTED, too_old);
  if (purge.walk == "move:partition") return make_partition_move(move_context(purge), *purge.predicate);
  if (purge.walk == "move:truncate") return make_truncate_move(move_context(purge));
  throw sdk::Error(PK_NOT_SUPPORTED, "PostgreSQL offers no " + purge.walk + "; plan again");
}

std::vector<Move> PgConnection::moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  const Line::Call call(line_);
  const sdk::Table& table = known(purge);
  Move partition{{"move:partition", "partition", "", 1, ""}, "", -1, -1, 0};
  Move truncate{{"move:truncate", "truncate", "", 1, "the table is emptied at once when no row of it stays"}, "", -1, -1, 0};
  const Move swap{{"move:swap", "swap", "", 1, ""},
                  "PostgreSQL deletes about as fast as it could copy what stays; leave out strategy, and give space back with --reclaim space", -1, -1, 0};
  if (table.kind != PK_TABLE_BASE || line_.server_version() < moves_since) {
    partition.problem = truncate.problem = table.kind != PK_TABLE_BASE ? "only tables can be moved" : too_old;
    return {partition, swap, truncate};
  }
  auto& session = static_cast<SqlSession&>(*this);
  Parts parts = read_parts(session, table_oid(purge));
  truncate.problem = move_problem(session, line_.server_version(), table, parts, false, user_);
  if (truncate.problem.empty() && rows_total > 0 && rows_matching >= 0 && static_cast<double>(rows_matching) < nearly_all * static_cast<double>(rows_total)) {
    truncate.problem = std::to_string(rows_total - rows_matching) + " rows of " + table.name + " are to stay, and truncate keeps none; leave out strategy";
  }
  double pages = 0;
  for (const Part& part : parts.leaves) pages += static_cast<double>(part.leaf.pages);
  truncate.rows = rows_matching;
  truncate.window_ms = window_ms(pages, static_cast<double>(std::max<std::int64_t>(rows_total, 0)));
  partition.problem = parts.is_partitioned ? move_problem(session, line_.server_version(), table, parts, true, user_) : "table " + table.name + " has no partitions; leave out strategy";
  if (partition.problem.empty()) weigh_partitions(purge, parts, partition);
  return {partition, swap, truncate};
}

// From statistics: which partitions would go whole.
void PgConnection::weigh_partitions(const sdk::Purge& purge, Parts& parts, Move& out) {
  mark_past(static_cast<SqlSession&>(*this), known(purge), *purge.predicate, parts);
  const bool by_time_alone = sdk::node_at(*purge.predicate, purge.predicate->root).kind == PK_NODE_TIME;
  std::size_t dropped = 0;
  std::size_t emptied = 0;
  out.rows = 0;
  out.window_ms = 0;
  for (const Part& part : parts.leaves) {
    if (part.leaf.pages == 0) continue;
    const std::string from = "SELECT 1 FROM ONLY " + sdk::qualified(dialect_, part.leaf.schema, part.leaf.name) + " AS " + dialect_.quote(purge.table);
    sdk::Sql matching(dialect_);
    matching << from << " WHERE ";
    sdk::render_predicate(matching, *purge.predicate, purge.table);
    const auto rows = static_cast<double>(planned_rows(sdk::Sql(dialect_) << from));
    const auto go = static_cast<double>(planned_rows(matching));
    if (rows <= 0 || (go < nearly_all * rows && !(part.past && by_time_alone))) continue;
    ++(part.goes() ? dropped : emptied);
    out.rows += std::llround(rows);
    out.window_ms = std::max(out.window_ms, window_ms(static_cast<double>(part.leaf.pages), rows));
  }
  out.walk.reason = std::to_string(dropped) + " of " + std::to_string(parts.leaves.size()) + " partitions would be dropped and " + std::to_string(emptied) +
                    " emptied, by the statistics; the rest goes by a walk";
}

}  // namespace purgekit::postgresql
