// What can be done at a stroke here, and what it costs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "connection.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Error;
using sdk::Move;

// Milliseconds for a megabyte, measured with 900-byte rows under four indexes and meant to be rather too long than too short:
// to read the table; to empty it, wiping each page or not; to set aside and to write back what stays.
constexpr double read_ms = 1.5;
constexpr double wipe_ms = 8;
constexpr double free_ms = 0.5;
constexpr double keep_ms = 20;

std::string megabytes(double bytes) {
  char text[40];
  std::snprintf(text, sizeof text, "%.0f MB", std::ceil(bytes / 1e6));
  return text;
}

double free_bytes(const std::string& path) {
  std::error_code problem;
  const auto space = std::filesystem::space(std::filesystem::path(path).parent_path(), problem);
  return problem ? -1 : static_cast<double>(space.available);
}

}  // namespace

std::vector<Move> SqliteConnection::moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  const Database::Activity activity(db_);
  const Described& d = described(purge);
  const bool is_wal = db_.query("PRAGMA main.journal_mode").at(0).at(0).text == "wal";
  const bool wipes = db_.query("PRAGMA main.secure_delete").at(0).at(0).i64 == 1;
  const std::string waits = is_wal ? "other writers wait meanwhile, readers go on" : "all others wait meanwhile";
  Move swap{{swap_walk, "swap", "", 1, "what stays is set aside, the table emptied and what stays written back, in one transaction; " + waits}, stroke_problem(db_, d.table.name), rows_matching, -1, 0};
  Move truncate{{truncate_walk, "truncate", "", 1, "every row goes, so the table is emptied as a whole, in one transaction; " + waits}, swap.problem, rows_matching, -1, 0};
  const std::int64_t staying = std::max<std::int64_t>(0, rows_total - rows_matching);
  if (truncate.problem.empty() && rows_matching >= 0 && staying > 0) {
    truncate.problem = "about " + std::to_string(staying) + " of its " + std::to_string(rows_total) + " rows are to stay: strategy swap keeps them";
  }
  if (2 * staying > rows_total) swap.walk.reason += "; most of the table stays, so a walk is hardly slower";
  if (d.table.bytes >= 0 && d.table.index_bytes >= 0) {
    const double all = static_cast<double>(d.table.bytes + d.table.index_bytes);
    const double kept = rows_total > 0 ? all * static_cast<double>(staying) / static_cast<double>(rows_total) : 0;
    const double logged = wipes ? all : all / 500;
    const double emptying_ms = all / 1e6 * (read_ms + (wipes ? wipe_ms : free_ms));
    truncate.window_ms = std::llround(emptying_ms) + 1;
    truncate.needed_bytes = std::llround(logged);
    swap.window_ms = std::llround(emptying_ms + kept / 1e6 * keep_ms) + 1;
    swap.needed_bytes = std::llround(std::max(logged, kept) + kept);
    const double free = free_bytes(db_.path());
    for (Move* move : {&swap, &truncate}) {
      const auto needed = static_cast<double>(move->needed_bytes);
      if (move->problem.empty() && free >= 0 && free < needed) {
        move->problem = "it takes about " + megabytes(needed) + " of room beside the file meanwhile, where " + megabytes(free) + " are free: make room, or leave the strategy out to have the table walked";
      }
    }
  }
  return {swap, truncate};
}

std::vector<std::string> SqliteConnection::prepare_stroke(const sdk::Purge& purge) {
  prepare_common(purge);
  if (!archives_.empty() || !children_.empty()) throw Error(PK_NOT_SUPPORTED, "a move of table " + purge.table + " keeps no rows and takes no dependents along");
  stroke_.emplace(db_, dialect_, described(purge), purge.walk == swap_walk, [this](sdk::Sql& out) { add_predicate(out); });
  return stroke_->statements();
}

sdk::Deleted SqliteConnection::make_stroke(const sdk::Range& range) {
  try {
    return stroke_->make(range.window_ms, statement_timeout_ms_);
  } catch (const Error& e) {
    throw explained(e);
  }
}

// What was committed stays so, whatever goes wrong afterwards. A connection that can't be restored is not used again.
void SqliteConnection::end_stroke(bool committed) {
  try {
    stroke_->restore_connection();
  } catch (const Error&) {
    db_.close();
    return;
  }
  if (!committed) return;
  try {
    truncate_log();
  } catch (const Error&) {
    // The log is cut by whoever copies it next.
  }
}

}  // namespace purgekit::sqlite
