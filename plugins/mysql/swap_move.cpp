// "swap" and "truncate": a new table gets the rows that stay, and takes the old one's place.
//
// Neither server lets a session rename what it holds by LOCK TABLES, and a moment in which no table has the name, or in which others
// may write to the old one, would be felt. So a second session's RENAME of both tables is sent first and waits behind the lock while
// the rows are copied. Once the lock is given up it comes before everything that reads or writes, however long that has waited: a
// request for a table as a whole has priority. It waits for the purged table before it has anything else, since the names beside it
// sort behind its own.
//
// Until the new table is whole, an empty table stands in the way of that RENAME: should this process die, the server gives up the
// lock, and the RENAME fails. Taking that table away is the first of the two statements that decide; giving up the lock the other.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "create_text.hpp"
#include "move.hpp"
#include "move_judge.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Sql;
using sdk::Value;

constexpr std::chrono::seconds longest_way_to_the_queue{5};

/// A statement that waits on a line of its own.
class Waiting {
 public:
  Waiting(Line& line, const Line& like, std::string statement, int patience_s) : line_(line) {
    thread_ = std::thread([this, &like, statement = std::move(statement), patience_s] {
      try {
        line_.open_like(like, patience_s);
        settle_move_session(line_, 0);
        line_.command("SET SESSION lock_wait_timeout = " + std::to_string(patience_s));
        line_.command(statement);
        done_ = true;
      } catch (const Error& e) {
        error_ = e;
      }
      ended_ = true;
    });
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    line_.cancel();
    join();
  }

  void join() {
    if (thread_.joinable()) thread_.join();
  }
  bool ended() const { return ended_; }
  /// Once it is joined.
  bool done() const { return done_; }
  Error error() const { return error_.value_or(Error(PK_INTERNAL, "a statement that was to wait has ended")); }
  std::string session_id() { return line_.session_id(); }
  void cancel() noexcept { line_.cancel(); }

 private:
  Line& line_;
  std::optional<Error> error_;
  bool done_ = false;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

class SwapMove final : public Move {
 public:
  SwapMove(MoveLines lines, MoveOrder order, bool whole) : Move(lines, std::move(order)), whole_(whole) {}
  SwapMove(const SwapMove&) = delete;
  SwapMove& operator=(const SwapMove&) = delete;
  ~SwapMove() override { undo(); }

  std::vector<std::string> statements() const override {
    const MoveNames names{order_.schema, order_.table + "_purgekit"};
    std::vector<std::string> out{"CREATE TABLE " + names.fresh() + " LIKE " + target(), "LOCK TABLES " + target() + " WRITE, " + names.fresh() + " WRITE"};
    if (!whole_) out.push_back(copy(names).text());
    out.push_back("RENAME TABLE " + target() + " TO " + names.aside() + ", " + names.fresh() + " TO " + target());
    out.push_back("DROP TABLE " + names.aside());
    return out;
  }

 protected:
  sdk::Deleted work(const sdk::Range& range) override;
  void decide() override;
  void stop_others() noexcept override { renaming_.reset(); }

 private:
  Sql copy(const MoveNames& names) const {
    return around("INSERT INTO " + names.fresh() + " (" + order_.columns + ") SELECT " + order_.columns + " FROM " + target() +
                      (order_.has_primary_key ? " FORCE INDEX (PRIMARY)" : "") + " WHERE ",
                  " IS NOT TRUE");
  }
  void require_movable();
  void make_fresh(const CreateText& old);
  void queue_rename();
  void finish_fresh(const CreateText& old);

  bool whole_;  // no row is to stay
  std::optional<Waiting> renaming_;
};

void SwapMove::require_movable() {
  const std::string problem = dependents_problem(lines_.hand, order_.schema, order_.table);
  if (!problem.empty()) throw Error(PK_NOT_SUPPORTED, problem + "; nothing was changed");
}

sdk::Deleted SwapMove::work(const sdk::Range& range) {
  Line& hand = lines_.hand;
  sdk::Deleted nothing{0, 0, range.cursor, true, 1};
  if (!finds(target(), false)) return nothing;
  if (whole_ && finds(target(), true)) {
    throw Error(PK_NOT_SUPPORTED, "there are rows that stay, so it can't be emptied as a whole; nothing was changed: strategy = \"swap\" keeps them");
  }
  require_movable();
  const CreateText old = show_create(hand, target());
  begin_tables();
  make_fresh(old);
  lock({names_.fresh(), names_.aside(), names_.note()});
  queue_rename();
  const CreateText now = show_create(hand, target());
  if (now.shape != old.shape) throw Error(PK_SCHEMA_CHANGED, "it has just been altered; nothing was changed: plan again");
  require_movable();
  Count found{0, 0};
  if (whole_) {
    found = count(target());
    if (found.staying > 0) throw Error(PK_NOT_SUPPORTED, "rows that stay have just come in, so it can't be emptied as a whole; nothing was changed: strategy = \"swap\" keeps them");
  } else {
    found.rows = hand.query("SELECT COUNT(*) FROM " + target(), {}).at(0).at(0).i64;
    const Sql sql = copy(names_);
    found.staying = hand.execute(sql.text(), sql.params());
    hand.command("COMMIT");
  }
  const std::int64_t gone = found.rows - found.staying;
  if (gone == 0) return nothing;
  finish_fresh(now);
  if (hand.query("SELECT COUNT(*) FROM " + names_.fresh(), {}).at(0).at(0).i64 != found.staying) {
    throw Error(PK_CORRUPT, "the server does not find all rows that it copied; nothing was changed");
  }
  write_note(gone);
  return {gone, found.rows, sdk::encode_row({Value::integer(gone)}), true, 1};
}

// The keys come when the rows are there: sorted, instead of row by row.
void SwapMove::make_fresh(const CreateText& old) {
  Line& hand = lines_.hand;
  hand.command("CREATE TABLE " + names_.fresh() + " LIKE " + target());
  if (show_create(hand, names_.fresh()).shape != old.shape) {
    throw Error(PK_NOT_SUPPORTED, "CREATE TABLE … LIKE does not give a table of the same make (SHOW CREATE TABLE tells them apart); nothing was changed: leave the strategy out to have it walked");
  }
  if (!whole_ && !old.keys.empty()) {
    std::string drops;
    for (const std::string& name : old.key_names) drops += (drops.empty() ? " DROP KEY " : ", DROP KEY ") + name;
    hand.command("ALTER TABLE " + names_.fresh() + drops);
  }
  hand.command("CREATE TABLE " + names_.aside() + " (`in_the_way` INT) ENGINE=InnoDB");
}

void SwapMove::queue_rename() {
  renaming_.emplace(lines_.renamer, lines_.main, "RENAME TABLE " + target() + " TO " + names_.aside() + ", " + names_.fresh() + " TO " + target(), patience_s());
  const auto deadline = std::chrono::steady_clock::now() + longest_way_to_the_queue;
  for (;;) {
    const std::string id = renaming_->session_id();
    const sdk::Rows rows = lines_.hand.query("SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = ? AND COMMAND <> 'Sleep'",
                                             {Value::integer(id.empty() ? 0 : std::stoll(id))});
    if (!rows.empty() && rows[0].at(0).text == "Waiting for table metadata lock") return;
    if (renaming_->ended()) {
      renaming_->join();
      throw renaming_->error();
    }
    if (std::chrono::steady_clock::now() > deadline) throw Error(PK_LOCK_TIMEOUT, "the rename does not come to wait for the table");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void SwapMove::finish_fresh(const CreateText& old) {
  std::string changes;
  const auto add = [&](const std::string& change) { changes += (changes.empty() ? " " : ", ") + change; };
  if (!whole_) {
    for (const std::string& key : old.keys) add("ADD " + key);
  }
  if (!old.auto_increment.empty()) add("AUTO_INCREMENT=" + old.auto_increment);
  if (!changes.empty()) lines_.hand.command("ALTER TABLE " + names_.fresh() + changes);
  const CreateText fresh = show_create(lines_.hand, names_.fresh());
  if (fresh.shape != old.shape || fresh.auto_increment != old.auto_increment) {
    throw Error(PK_NOT_SUPPORTED, "the new table did not become what the old one is (SHOW CREATE TABLE tells them apart); nothing was changed: leave the strategy out to have it walked");
  }
}

void SwapMove::decide() {
  std::optional<Error> failure;
  try {
    lines_.hand.command("DROP TABLE " + names_.aside());
    unlock();
  } catch (const Error& e) {
    failure = e;
    // A session that is gone has given up the lock, and what waits behind it goes on.
    if (!e.connection_lost()) renaming_->cancel();
  }
  renaming_->join();
  const bool unheard = !renaming_->done() && renaming_->error().connection_lost();
  const bool done = renaming_->done() || (unheard && holds_rows(lines_.hand, names_.aside()));
  const Error why = failure.value_or(renaming_->error());
  renaming_.reset();
  if (done) return;
  throw why;
}

}  // namespace

std::unique_ptr<Move> make_swap(MoveLines lines, MoveOrder order, bool whole) { return std::make_unique<SwapMove>(lines, std::move(order), whole); }

}  // namespace purgekit::mysql
