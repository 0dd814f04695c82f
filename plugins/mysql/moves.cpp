// The moves that a table allows, and the connection's part in them.
#include <algorithm>
#include <cmath>
#include <string>

#include "connection.hpp"
#include "move_judge.hpp"
#include "partitions.hpp"
#include "purgekit/sdk/error.hpp"
#include "volume.hpp"

namespace purgekit::mysql {

using sdk::Error;
using sdk::Value;

namespace {

// What the servers were measured to do on two slow cores.
constexpr double read_bytes_per_ms = 600'000;
constexpr double copy_bytes_per_ms = 80'000;
constexpr double keys_rows_per_ms = 430;
constexpr double lock_and_rename_ms = 60;

std::string bytes_text(std::int64_t bytes) { return std::to_string(bytes / (1LL << 20) + 1) + " MB"; }

constexpr const char* move_ids[] = {"move:partition", "move:swap", "move:truncate"};

struct Figures {
  double rows_total;
  double rows_gone;
  double bytes;        // of the rows
  double index_bytes;
  double staying() const { return rows_total > 0 ? std::clamp(1 - rows_gone / rows_total, 0.0, 1.0) : 1; }
};

Figures figures(const sdk::Table& table, std::int64_t rows_total, std::int64_t rows_matching) {
  const auto known = [](std::int64_t n) { return static_cast<double>(std::max<std::int64_t>(n, 0)); };
  Figures out{known(std::max(rows_total, rows_total < 0 ? table.rows_estimate : rows_total)), 0, known(table.bytes), known(table.index_bytes)};
  out.rows_gone = rows_matching < 0 ? out.rows_total / 2 : std::min(known(rows_matching), out.rows_total);
  return out;
}

}  // namespace

bool is_move(const std::string& walk) { return walk.rfind("move:", 0) == 0; }

std::vector<sdk::Move> MysqlConnection::moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  const sdk::Table& table = known(purge);
  const Figures f = figures(table, rows_total, rows_matching);
  const std::string common = move_problem(line_, table, purge, account());
  const double keys = static_cast<double>(table.indexes.size());
  const double read_ms = f.bytes / read_bytes_per_ms;

  sdk::Move partition{sdk::Walk{move_ids[0], "partition", "", 0.05, "partitions without a row that stays are dropped, one at a time"}, common, -1, -1, 0};
  if (partition.problem.empty()) partition.problem = partition_problem(line_, table);
  if (partition.problem.empty()) {
    const std::vector<Partition> all = read_partitions(line_, table.schema, table.name);
    const std::vector<Partition> some = purgeable_partitions(line_, table, *purge.predicate, all);
    std::size_t count = 0;
    std::int64_t most = 0;
    std::int64_t rows = 0;
    for (const Partition& p : some) {
      if (p.name == all.back().name) continue;
      ++count;
      most = std::max(most, p.rows);
      rows += p.rows;
    }
    partition.rows = rows_matching < 0 ? rows : std::min(rows, rows_matching);
    partition.window_ms = std::llround(lock_and_rename_ms + (f.rows_total > 0 ? read_ms * static_cast<double>(most) / f.rows_total : 0));
    partition.walk.reason += ": about " + std::to_string(count) + " of " + std::to_string(all.size());
  }

  sdk::Move swap{sdk::Walk{move_ids[1], "swap", "", 0.1 + f.staying(), "the rows that stay are copied into a new table, which takes the old one's place"}, common, -1, -1, 0};
  if (swap.problem.empty()) swap.problem = swap_problem(line_, table);
  sdk::Move truncate = swap;
  truncate.walk = sdk::Walk{move_ids[2], "truncate", "", 0.1, "no row stays, so an empty table takes the old one's place"};
  if (swap.problem.empty()) {
    swap.rows = rows_matching;
    swap.needed_bytes = std::llround((f.bytes + 2 * f.index_bytes) * f.staying() * 1.1);  // keys are sorted in files beside it
    swap.window_ms = std::llround(lock_and_rename_ms + read_ms + f.bytes * f.staying() / copy_bytes_per_ms + f.rows_total * f.staying() * std::max(keys - 1, 0.0) / keys_rows_per_ms);
    const std::int64_t room = free_bytes(line_);
    if (room >= 0 && swap.needed_bytes > room) {
      swap.problem = "the rows that stay take about " + bytes_text(swap.needed_bytes) + " a second time, and its volume has " + bytes_text(room) + " left: make room, or leave the strategy out to have it walked";
    }
    truncate.rows = rows_matching;
    truncate.window_ms = std::llround(lock_and_rename_ms + read_ms);
    if (rows_total >= 0 && rows_matching >= 0 && rows_matching < rows_total) {
      truncate.problem = "about " + std::to_string(rows_total - rows_matching) + " rows stay: strategy = \"swap\" keeps them";
    }
  }
  return {partition, swap, truncate};
}

// Statements that define tables, and a lock that others wait for: whether they are allowed was asked when the move was planned, and
// what would do harm is asked again under the lock.
std::vector<std::string> MysqlConnection::prepare_move(const sdk::Purge& purge) {
  sdk::require_movable(purge);
  const sdk::Table& table = known(purge);
  std::string problem = move_problem(line_, table, purge, account());
  if (problem.empty()) problem = purge.walk == move_ids[0] ? partition_problem(line_, table) : swap_problem(line_, table);
  if (!problem.empty()) throw Error(PK_NOT_SUPPORTED, "table " + table.name + ": " + problem + "; nothing was changed");
  MoveOrder order{table.schema, table.name, "", false, sdk::Sql(dialect_)};
  const sdk::Rows columns = query("SELECT COLUMN_NAME, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
                                  {Value::string(table.schema), Value::string(table.name)});
  for (const sdk::Row& row : columns) {
    // "DEFAULT_GENERATED" tells of a default, not of a column that is computed.
    const std::string& extra = row.at(1).text;
    const bool computed = extra.find("VIRTUAL") != std::string::npos || extra.find("STORED") != std::string::npos || extra.find("PERSISTENT") != std::string::npos;
    if (!computed) order.columns += (order.columns.empty() ? "" : ", ") + dialect_.quote(row.at(0).text);
  }
  order.has_primary_key = std::any_of(table.indexes.begin(), table.indexes.end(), [](const sdk::Index& i) { return i.name == "PRIMARY"; });
  render_predicate(order.purged, *purge.predicate, table.name);
  const MoveLines lines{line_, hand_, renamer_};
  if (purge.walk == move_ids[0]) {
    move_ = make_partition_move(lines, std::move(order));
  } else if (purge.walk == move_ids[1] || purge.walk == move_ids[2]) {
    move_ = make_swap(lines, std::move(order), purge.walk == move_ids[2]);
  } else {
    throw Error(PK_INVALID_ARGUMENT, "there is no walk or move " + purge.walk);
  }
  return move_->statements();
}

// Rows of a stroke whose client died before they were counted are a chunk of their own, whatever the walk.
std::optional<sdk::Deleted> MysqlConnection::count_leftover(const sdk::Range& range) {
  if (move_) leftovers_.look(line_, purge_.schema, purge_.table);
  const std::optional<std::int64_t> rows = leftovers_.count(line_, hand_, range.lock_wait_ms);
  if (!rows) return std::nullopt;
  collected_.clear();
  return sdk::Deleted{*rows, *rows, range.cursor, false, -1};
}

void MysqlConnection::commit() {
  if (move_ && move_->in_hand()) move_->carry_out();
  line_.commit();
  if (move_) move_->tidy();
}

void MysqlConnection::rollback() {
  if (move_) move_->undo();
  line_.rollback();
}

}  // namespace purgekit::mysql
