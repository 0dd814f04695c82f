/// \file move.hpp
/// One stroke of a move, from its lock to the ledger's commit. Statements that define tables commit whatever is open, so they go over
/// a line of their own; the main one keeps the ledger's transaction.
///
/// What others see is decided by one statement in carry_out(). Until then undo() leaves the table as it was. What became of a
/// stroke whose client died is told by the tables beside it (see Leftovers):
///
///   the client dies ...                     the table     aside          note            what the next one does
///   while the tables are made               as before     none or empty  none or empty   drops them
///   waiting for the lock, under it          as before     empty          none or empty   drops them; the server undoes what was under way
///   after the note, before the statement    as before     empty          rows            drops them
///   after the statement                     as after      the old rows   rows            counts the rows of the note, then as below
///   after the ledger's commit               as after      the old rows   empty           drops them
///   between those drops                     as after      none           empty           drops the rest
///
/// The note loses its row in the transaction that counts it in the ledger. "The old rows" are there if the table aside holds a row: a
/// stroke is only carried out where rows go.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "line.hpp"
#include "move_names.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/table.hpp"
#include "time_limit.hpp"

namespace purgekit::mysql {

/// What a move is about, as prepare() was told.
struct MoveOrder {
  std::string schema;
  std::string table;
  std::string columns;  ///< those that hold values of their own, quoted, in their order
  bool has_primary_key = false;
  sdk::Sql purged;      ///< condition deleted by
};

/// The lines a stroke works over. They live as long as the connection, so that cancel() finds them at any time.
struct MoveLines {
  Line& main;
  Line& hand;     ///< holds the lock and does the work
  Line& renamer;  ///< waits behind it
};

class Move {
 public:
  Move(MoveLines lines, MoveOrder order) : lines_(lines), order_(std::move(order)) {}
  Move(const Move&) = delete;
  Move& operator=(const Move&) = delete;
  virtual ~Move() = default;

  /// Do all that can be undone. When it returns rows the table is locked until commit or undo.
  sdk::Deleted stroke(const sdk::Range& range);

  /// Something waits to be carried out with the ledger's commit.
  bool in_hand() const { return stage_ == Stage::locked; }
  /// Make it true and let others in again. Then the note's row goes, in the main line's open transaction.
  void carry_out();
  /// After the ledger's commit: drop what is no longer needed. What can't be dropped now is found by the next stroke.
  void tidy() noexcept;
  /// After a rollback: as if there had been no stroke. One that was carried out stays, for the next one to count.
  void undo() noexcept;

  /// For people: what a stroke runs.
  virtual std::vector<std::string> statements() const = 0;

 protected:
  enum class Stage { idle, begun, locked, carried_out };

  virtual sdk::Deleted work(const sdk::Range& range) = 0;
  /// The statement that decides, and letting others in. Throws when it was not carried out.
  virtual void decide() = 0;
  /// Before the lock is given up by undo().
  virtual void stop_others() noexcept {}

  /// The purged table, quoted.
  std::string target() const;
  /// The tables of this stroke, which nobody sees yet.
  void begin_tables();
  /// Lock the table and those beside it. From here on others wait.
  void lock(const std::vector<std::string>& beside);
  void unlock();
  /// Rows that go, written down before they do. Then the stroke is in hand.
  void write_note(std::int64_t rows);

  /// "`before` (condition) `after`".
  sdk::Sql around(const std::string& before, const std::string& after) const;
  /// A row of `from` is to stay, or to go.
  bool finds(const std::string& from, bool staying);
  struct Count {
    std::int64_t rows;
    std::int64_t staying;
  };
  Count count(const std::string& from);
  /// Longest time that a session of ours has to be silent, or to wait, for the sake of the others.
  int patience_s() const;

  MoveLines lines_;
  MoveOrder order_;
  MoveNames names_;
  Stage stage_ = Stage::idle;

 private:
  sdk::Error told(const sdk::Error& e);
  void drop_tables();
  void let_main_wait(bool long_wait);
  void close() noexcept;

  sdk::Range range_;
  bool locks_ = false;
  std::unique_ptr<TimeLimit> limit_;
};

/// The id of a walk is a move's.
bool is_move(const std::string& walk);

/// Settings of a session that a stroke works in.
void settle_move_session(Line& line, std::uint32_t lock_wait_ms);

/// Whether a stroke that nobody goes on with was carried out; from now on it can't be any more.
bool was_carried_out(Line& line, const MoveNames& names);
bool holds_rows(Line& line, const std::string& name);

std::unique_ptr<Move> make_swap(MoveLines lines, MoveOrder order, bool whole);
std::unique_ptr<Move> make_partition_move(MoveLines lines, MoveOrder order);

}  // namespace purgekit::mysql
