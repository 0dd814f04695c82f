#include "stroke.hpp"

#include <algorithm>

#include "declared.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Error;
using sdk::Value;

constexpr const char* aside = "temp.purgekit_kept";

std::string definition(Database& db, const std::string& table) {
  const sdk::Rows rows = db.query("SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", {Value::string(table)});
  return rows.empty() ? "" : rows[0].at(0).text;
}

}  // namespace

std::string stroke_problem(Database& db, const std::string& table) {
  for (const sdk::Row& r : db.query("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name", {Value::string(table)})) {
    if (fires_on("update", r.at(1).text)) continue;
    return "trigger " + r.at(0).text + " would run for rows that stay, or not for rows that go: leave the strategy out to have the table walked";
  }
  for (const sdk::Row& r : db.query("SELECT m.name FROM main.sqlite_schema AS m, pragma_foreign_key_list(m.name, 'main') AS f WHERE m.type = 'table' AND f.\"table\" = ? COLLATE NOCASE LIMIT 1",
                                    {Value::string(table)})) {
    return "table " + r.at(0).text + " refers to it by a foreign key, which a walk keeps to row by row: leave the strategy out to have the table walked";
  }
  return "";
}

bool prefers_copy(Database& db, const sdk::Table& table) {
  if (table.bytes < 0 || table.index_bytes < 0 || !SideCopy::is_possible(db)) return false;
  const auto number = [&](const char* pragma) { return db.query(std::string("PRAGMA main.") + pragma).at(0).at(0).i64; };
  const std::int64_t own_bytes = table.bytes + table.index_bytes;
  const std::int64_t others_bytes = (number("page_count") - number("freelist_count")) * number("page_size") - own_bytes;
  // Emptying writes each page of the table where deleted content is wiped, and next to none where it is not.
  const bool wipes = number("secure_delete") == 1;
  return others_bytes <= (wipes ? own_bytes : own_bytes / 5);
}

Stroke::Stroke(Database& db, const sdk::Dialect& dialect, const std::string& table, StrokeWay way, const std::function<void(sdk::Sql&)>& add_predicate)
    : db_(db), dialect_(dialect), name_(table), table_("main." + dialect.quote(table)), definition_(definition(db, table)), way_(way),
      columns_(stored_columns(db, dialect, table, &column_count_)), kept_(dialect) {
  kept_ << "SELECT " << (way == StrokeWay::empty ? "1" : columns_) << " FROM " << table_ << " NOT INDEXED WHERE (";
  add_predicate(kept_);
  kept_ << ") IS NOT TRUE";
  if (way == StrokeWay::empty) kept_ << " LIMIT 1";
  db.check(kept_.text());
}

std::vector<std::string> Stroke::statements() const {
  switch (way_) {
    case StrokeWay::empty: return {kept_.text(), "DELETE FROM " + table_};
    case StrokeWay::copy: return {"INSERT INTO " + in_copy() + " " + kept_.text(), "and all other tables as they are; then the copy takes the place of the file's content (sqlite3_backup)"};
    default: return {std::string("INSERT INTO ") + aside + " " + kept_.text(), "DELETE FROM " + table_, "INSERT INTO " + table_ + " (" + columns_ + ") SELECT * FROM " + aside};
  }
}

// A row that stays may break a rule that was made, or switched on, after it was written. It stays all the same.
void Stroke::prepare_connection() {
  relaxed_ = true;
  db_.execute("PRAGMA foreign_keys = OFF");
  db_.execute("PRAGMA ignore_check_constraints = ON");
  // What is set aside is in the database as well: there is nothing to wipe out.
  db_.query("PRAGMA temp.secure_delete = OFF");
}

void Stroke::restore_connection() {
  if (!relaxed_) return;
  relaxed_ = false;
  side_.reset();
  db_.execute("PRAGMA foreign_keys = ON");
  db_.execute("PRAGMA ignore_check_constraints = OFF");
  db_.execute(std::string("DROP TABLE IF EXISTS ") + aside);
}

sdk::Deleted Stroke::make(std::uint32_t window_ms, std::uint32_t statement_timeout_ms, const sdk::TableName& ledger, const std::function<void(sdk::SqlLedger&)>& fence) {
  window_ms_ = window_ms;
  statement_timeout_ms_ = statement_timeout_ms;
  check_unchanged();
  sdk::Deleted out = copies() ? copy(ledger, fence) : refill();
  out.done = true;
  out.share_done = 1;
  left_ms();
  return out;
}

sdk::Deleted Stroke::refill() {
  if (way_ == StrokeWay::empty) verify_empty();
  const std::int64_t kept = way_ == StrokeWay::empty ? 0 : set_aside();
  sdk::Deleted out;
  out.rows_visited = timed([&] { return db_.execute("DELETE FROM " + table_); });
  out.rows_deleted = out.rows_visited - kept;
  // OR ROLLBACK: nothing of this transaction is kept when it fails, so SQLite need not remember how to undo the statement alone.
  const std::string write_back = "INSERT OR ROLLBACK INTO " + table_ + " (" + columns_ + ") SELECT * FROM " + aside + " ORDER BY rowid";
  if (kept > 0 && timed([&] { return db_.execute(write_back); }) != kept) {
    throw Error(PK_INTERNAL, "fewer rows of " + name_ + " came back than were set aside; all is undone");
  }
  return out;
}

sdk::Deleted Stroke::copy(const sdk::TableName& ledger, const std::function<void(sdk::SqlLedger&)>& fence) {
  timed([&] {
    side_->copy_others(name_);
    return 0;
  });
  beside_.emplace(db_, dialect_);
  ledger_.emplace(*beside_, sdk::TableName{SideCopy::schema, ledger.name});
  fence(*ledger_);
  sdk::Deleted out;
  out.rows_visited = timed([&] { return db_.query("SELECT count(*) FROM " + table_).at(0).at(0).i64; });
  out.rows_deleted = out.rows_visited - timed([&] { return db_.execute("INSERT OR ABORT INTO " + in_copy() + " " + kept_.text(), kept_.params()); });
  timed([&] {
    side_->complete();
    return 0;
  });
  return out;
}

void Stroke::commit_copy() {
  side_->commit([this] { left_ms(); });
  side_.reset();
}

std::string Stroke::in_copy() const { return std::string(SideCopy::schema) + "." + dialect_.quote(name_) + " (" + columns_ + ")"; }

// What was true when it was planned is asked again, now that nobody can change it: a column added since would be lost.
void Stroke::check_unchanged() const {
  const std::string problem = definition(db_, name_) == definition_ ? stroke_problem(db_, name_) : "it has another definition";
  if (!problem.empty()) throw Error(PK_SCHEMA_CHANGED, "table " + name_ + " was changed since it was planned for, and no row was deleted; plan again (" + problem + ")");
}

void Stroke::verify_empty() {
  if (timed([&] { return static_cast<std::int64_t>(db_.query(kept_.text(), kept_.params()).size()); }) == 0) return;
  throw Error(PK_NOT_SUPPORTED, "table " + name_ + " holds a row that is to stay, so it was not emptied; strategy swap keeps such rows, and without a strategy the table is walked");
}

// How many rows stay.
std::int64_t Stroke::set_aside() {
  std::string names;
  for (std::size_t i = 0; i < column_count_; ++i) names += (i == 0 ? "c" : ", c") + std::to_string(i);
  db_.execute(std::string("DROP TABLE IF EXISTS ") + aside);
  db_.execute(std::string("CREATE TEMP TABLE purgekit_kept (") + names + ")");  // without types, so that values are kept as they are
  return timed([&] { return db_.execute(std::string("INSERT INTO ") + aside + " " + kept_.text(), kept_.params()); });
}

std::int64_t Stroke::timed(const std::function<std::int64_t()>& work) {
  db_.set_statement_timeout(static_cast<std::uint32_t>(left_ms()));
  try {
    const std::int64_t rows = work();
    db_.set_statement_timeout(statement_timeout_ms_);
    return rows;
  } catch (const Error& e) {
    db_.set_statement_timeout(statement_timeout_ms_);
    if (e.code() == PK_STATEMENT_TIMEOUT) left_ms();
    throw;
  }
}

// Until the window, or the bound of any statement, is over; 0: there is none.
std::int64_t Stroke::left_ms() const {
  if (window_ms_ == 0) return statement_timeout_ms_;
  const std::int64_t held_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Database::Clock::now() - begun_).count();
  const std::int64_t left = window_ms_ - held_ms;
  if (left <= 0) {
    throw Error(PK_STATEMENT_TIMEOUT, "purging " + name_ + " at a stroke kept others waiting for longer than its window of " + std::to_string(window_ms_) +
                                          " ms, so it was undone and no row was deleted; raise the policy's move_window, or leave its strategy out to have the table walked");
  }
  return statement_timeout_ms_ == 0 ? left : std::min<std::int64_t>(left, statement_timeout_ms_);
}

}  // namespace purgekit::sqlite
