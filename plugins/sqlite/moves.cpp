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

// Milliseconds for a megabyte, measured with 900-byte rows under four indexes and meant to be rather too long than too short: to read
// a table; to empty it, wiping each page or not; to set aside and write back what stays; to copy it with its indexes.
constexpr double read_ms = 1.2;
constexpr double wipe_ms = 4.5;
constexpr double free_ms = 0.5;
constexpr double refill_ms = 25;
constexpr double copy_ms = 14;

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

void fill_figures(Database& db, const sdk::Table& table, double kept_share, bool copies, Move& swap, Move& truncate) {
  if (table.bytes < 0 || table.index_bytes < 0) return;
  const auto number = [&](const char* pragma) { return static_cast<double>(db.query(std::string("PRAGMA main.") + pragma).at(0).at(0).i64); };
  const double own = static_cast<double>(table.bytes + table.index_bytes);
  const double others = std::max(0.0, (number("page_count") - number("freelist_count")) * number("page_size") - own);
  const double kept = own * kept_share;
  const bool wipes = number("secure_delete") == 1;
  const double emptying_ms = own / 1e6 * (read_ms + (wipes ? wipe_ms : free_ms));
  const double logged = wipes ? own : own / 500;
  truncate.window_ms = std::llround(emptying_ms) + 1;
  truncate.needed_bytes = std::llround(logged);
  swap.window_ms = std::llround(copies ? own / 1e6 * read_ms + (kept + others) / 1e6 * copy_ms : emptying_ms + kept / 1e6 * refill_ms) + 1;
  swap.needed_bytes = std::llround(copies ? 2 * (kept + others) : std::max(logged, kept) + kept);
  const double free = free_bytes(db.path());
  for (Move* move : {&swap, &truncate}) {
    const auto needed = static_cast<double>(move->needed_bytes);
    if (move->problem.empty() && free >= 0 && free < needed) {
      move->problem = "it takes about " + megabytes(needed) + " of room beside the file meanwhile, where " + megabytes(free) + " are free: make room, or leave the strategy out to have the table walked";
    }
  }
}

}  // namespace

std::vector<Move> SqliteConnection::moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  const Database::Activity activity(db_);
  const sdk::Table& table = described(purge).table;
  const bool is_wal = db_.query("PRAGMA main.journal_mode").at(0).at(0).text == "wal";
  const bool copies = copies_for(table);
  const std::string waits = is_wal ? "other writers wait meanwhile, readers go on" : "all others wait meanwhile";
  const std::string how = copies ? "what stays in the file is copied, and the copy takes its place, so the file gets smaller; "
                                 : "what stays is set aside, the table emptied and what stays written back, in one transaction; ";
  Move swap{{swap_walk, "swap", "", 1, how + waits}, stroke_problem(db_, table.name), rows_matching, -1, 0};
  Move truncate{{truncate_walk, "truncate", "", 1, "every row goes, so the table is emptied as a whole, in one transaction; " + waits}, swap.problem, rows_matching, -1, 0};
  const std::int64_t staying = std::max<std::int64_t>(0, rows_total - rows_matching);
  if (truncate.problem.empty() && rows_matching >= 0 && staying > 0) {
    truncate.problem = "about " + std::to_string(staying) + " of its " + std::to_string(rows_total) + " rows are to stay: strategy swap keeps them";
  }
  if (2 * staying > rows_total) swap.walk.reason += "; most of the table stays, so a walk is hardly slower";
  fill_figures(db_, table, rows_total > 0 ? static_cast<double>(staying) / static_cast<double>(rows_total) : 0, copies, swap, truncate);
  return {swap, truncate};
}

std::vector<std::string> SqliteConnection::prepare_stroke(const sdk::Purge& purge) {
  prepare_common(purge);
  sdk::require_movable(purge);
  const StrokeWay way = purge.walk == truncate_walk ? StrokeWay::empty : copies_for(described(purge).table) ? StrokeWay::copy : StrokeWay::refill;
  stroke_.emplace(db_, dialect_, purge.table, way, [this](sdk::Sql& out) { add_predicate(out); });
  return stroke_->statements();
}

// The ledger of a copy is there once it is made: its slot is moved on then.
void SqliteConnection::begin_stroke(const std::string& key, std::int64_t epoch, std::int64_t seq) {
  in_stroke_ = true;
  stroke_->prepare_connection();
  if (stroke_->copies()) stroke_->begin_copy(lock_wait_ms_);
  else SqlConnection::begin(key, epoch, seq);
  stroke_->begun();
  fence_stroke_ = [=](sdk::SqlLedger& ledger) {
    if (!key.empty()) ledger.fence(key, epoch, seq);
  };
}

sdk::Deleted SqliteConnection::make_stroke(const sdk::Range& range) {
  try {
    return stroke_->make(range.window_ms, statement_timeout_ms_, ledger_name_, fence_stroke_);
  } catch (const Error& e) {
    if (!stroke_->copies() || e.code() != PK_NOT_SUPPORTED) throw explained(e);
    // Another table needs a collation or a function that we don't have: the one to purge may not.
    stroke_->refill_instead();
    throw Error(PK_SERIALIZATION, "the file can't be copied, so the table alone is emptied and refilled: " + e.message());
  }
}

// What was committed stays so, whatever goes wrong afterwards. A connection that can't be restored is not used again.
void SqliteConnection::end_stroke(bool committed) {
  in_stroke_ = false;
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
