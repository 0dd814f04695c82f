#include "move.hpp"

#include <algorithm>
#include <chrono>

#include "dialect.hpp"
#include "purgekit/sdk/render.hpp"
#include "session.hpp"

namespace purgekit::mysql {

using sdk::Error;
using sdk::Sql;
using sdk::Value;

namespace {

// A client that froze under the lock keeps others out for this long.
constexpr int silent_hand_s = 20;
constexpr int day_s = 24 * 3600;
constexpr int beyond_window_s = 600;  // counting, copying and dropping outside of the window

std::string seconds_text(std::uint32_t ms) {
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) text += "." + std::to_string(1000 + ms % 1000).substr(1);
  return text + " s";
}

}  // namespace

// NO_AUTO_VALUE_ON_ZERO: a row whose number is 0 is copied as it is. What is copied was checked when it came in, and without these
// checks MariaDB fills an empty table page by page.
void settle_move_session(Line& line, std::uint32_t lock_wait_ms) {
  sdk::ConnectParams params;
  params.lock_wait_ms = lock_wait_ms;
  settle_session(line, params);
  line.command("SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_AUTO_VALUE_ON_ZERO'), sql_quote_show_create = 1, innodb_table_locks = 1, wait_timeout = " +
               std::to_string(silent_hand_s));
  if (line.is_mariadb()) line.command("SET SESSION unique_checks = 0, foreign_key_checks = 0, check_constraint_checks = 0, max_statement_time = 0");
}

// There is a table of that name with a row in it.
bool holds_rows(Line& line, const std::string& name) {
  try {
    return !line.query("SELECT 1 FROM " + name + " LIMIT 1", {}).empty();
  } catch (const Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;
    return false;
  }
}

// A session that still works holds the note. And without the new table a rename that still waits comes to nothing.
bool was_carried_out(Line& line, const MoveNames& names) {
  holds_rows(line, names.note());
  line.command("DROP TABLE IF EXISTS " + names.fresh());
  return holds_rows(line, names.aside());
}

std::string Move::target() const { return sdk::qualified(MysqlDialect(), order_.schema, order_.table); }

int Move::patience_s() const { return range_.window_ms == 0 ? day_s : static_cast<int>(range_.window_ms / 1000) + beyond_window_s; }

Sql Move::around(const std::string& before, const std::string& after) const {
  Sql sql(order_.purged.dialect());
  sql << before << "(";
  sql.append(order_.purged);
  return sql << ")" << after;
}

bool Move::finds(const std::string& from, bool staying) {
  const Sql sql = around("SELECT 1 FROM " + from + " WHERE ", staying ? " IS NOT TRUE LIMIT 1" : " LIMIT 1");
  return !lines_.hand.query(sql.text(), sql.params()).empty();
}

Move::Count Move::count(const std::string& from) {
  const Sql sql = around("SELECT COUNT(*), CAST(COALESCE(SUM(", " IS NOT TRUE), 0) AS SIGNED) FROM " + from);
  const sdk::Rows rows = lines_.hand.query(sql.text(), sql.params());
  return {rows.at(0).at(0).i64, rows[0].at(1).i64};
}

// ------------------------------------------------------------------------------------------------- stroke

sdk::Deleted Move::stroke(const sdk::Range& range) {
  try {
    range_ = range;
    lines_.hand.forget_cancel();
    lines_.renamer.forget_cancel();
    let_main_wait(true);
    lines_.hand.open_like(lines_.main, patience_s());
    settle_move_session(lines_.hand, range.lock_wait_ms);
    stage_ = Stage::begun;
    sdk::Deleted out = work(range);
    if (stage_ != Stage::locked) undo();
    return out;
  } catch (const Error& e) {
    const Error error = told(e);
    undo();  // at once: others wait
    throw error;
  }
}

void Move::begin_tables() {
  names_ = new_move_names(order_.schema, order_.table);
  lines_.hand.command("CREATE TABLE " + names_.note() + " (`rows_gone` BIGINT NOT NULL) ENGINE=InnoDB");
}

// Without autocommit InnoDB takes its own lock on the table too, and so waits for transactions that only it knows of.
void Move::lock(const std::vector<std::string>& beside) {
  lines_.hand.command("SET SESSION autocommit = 0");
  std::string list = target() + " WRITE";
  for (const std::string& name : beside) list += ", " + name + " WRITE";
  locks_ = true;
  lines_.hand.command("LOCK TABLES " + list);
  limit_ = std::make_unique<TimeLimit>(lines_.hand, std::chrono::milliseconds(range_.window_ms));
  // Should this process die meanwhile, the server ends the statement by itself.
  if (range_.window_ms > 0 && lines_.hand.is_mariadb()) lines_.hand.command("SET SESSION max_statement_time = " + std::to_string(range_.window_ms / 1000 + 1));
}

void Move::unlock() {
  lines_.hand.forget_cancel();
  lines_.hand.command("UNLOCK TABLES");
  locks_ = false;
  if (lines_.hand.is_mariadb()) lines_.hand.command("SET SESSION max_statement_time = 0");
}

void Move::write_note(std::int64_t rows) {
  lines_.hand.execute("INSERT INTO " + names_.note() + " (`rows_gone`) VALUES (?)", {Value::integer(rows)});
  lines_.hand.command("COMMIT");
  stage_ = Stage::locked;
}

// What went wrong, as people read it of a table and not of a chunk.
Error Move::told(const Error& e) {
  const bool late = limit_ != nullptr && limit_->stop();
  const std::string name = "table " + order_.table;
  if (e.code() == PK_STATEMENT_TIMEOUT || (late && e.code() == PK_CANCELLED)) {
    return Error(PK_STATEMENT_TIMEOUT, name + ": others had waited for " + seconds_text(range_.window_ms) + ", the longest that move_window allows, and the move was not done; it was undone "
                                                "and nothing was changed: raise move_window, or leave the strategy out to have the table walked");
  }
  if (e.code() == PK_LOCK_TIMEOUT) {
    return Error(e.code(), name + ": a transaction or statement that uses it does not end, and a move waits for it no longer than for a locked row; nothing was changed")
        .sqlstate(e.sqlstate())
        .vendor_code(e.vendor_code());
  }
  Error error = e;
  return error.context("moving " + name);
}

// ------------------------------------------------------------------------------------------- its way out

void Move::carry_out() {
  if (limit_->stop()) throw told(Error(PK_STATEMENT_TIMEOUT, ""));
  decide();
  stage_ = Stage::carried_out;
  // It has happened: whoever wants the run to end gets it once it is counted.
  lines_.main.forget_cancel();
  if (lines_.main.execute("DELETE FROM " + names_.note(), {}) != 1) {
    throw Error(PK_SERIALIZATION, "table " + order_.table + ": its move was counted by another run");
  }
}

void Move::tidy() noexcept {
  if (stage_ != Stage::carried_out) return;
  try {
    drop_tables();
  } catch (const std::exception&) {
    // The next stroke finds them, and knows by the note that all is counted.
  }
  close();
}

void Move::undo() noexcept {
  if (stage_ == Stage::idle) return;
  limit_.reset();
  if (stage_ != Stage::carried_out) {
    stop_others();
    try {
      Line& hand = lines_.hand;
      hand.forget_cancel();
      if (!hand.is_open()) {
        hand.open_like(lines_.main, patience_s());
        settle_move_session(hand, range_.lock_wait_ms);
      } else if (locks_) {
        hand.command("ROLLBACK");
        unlock();
      }
      drop_tables();
    } catch (const std::exception&) {
      // The next stroke finds them.
    }
  }
  close();
}

// The table aside before its note, which tells what it is. A foreign key that came to refer to the old table is seen here at the latest.
void Move::drop_tables() {
  if (names_.base.empty()) return;
  lines_.hand.command("SET SESSION foreign_key_checks = 1");
  // It may have been carried out in spite of what we were told.
  if (stage_ != Stage::carried_out && was_carried_out(lines_.hand, names_)) return;
  lines_.hand.command("DROP TABLE IF EXISTS " + names_.aside());
  lines_.hand.command("DROP TABLE IF EXISTS " + names_.note());
}

void Move::close() noexcept {
  limit_.reset();
  lines_.hand.close();
  lines_.renamer.close();
  names_ = {};
  locks_ = false;
  stage_ = Stage::idle;
  try {
    if (lines_.main.is_open()) let_main_wait(false);
  } catch (const std::exception&) {
    // A line that is gone shows itself at the next statement.
  }
}

void Move::let_main_wait(bool long_wait) {
  if (long_wait) limit_silence(lines_.main, patience_s());
  else limit_silence_of_chunks(lines_.main);
}

}  // namespace purgekit::mysql
