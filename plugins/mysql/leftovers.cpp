#include "leftovers.hpp"

#include "move.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Value;

// The server may not have noticed yet that their client is gone.
void end_sessions_of(Line& hand, const MoveNames& names) {
  const sdk::Rows rows = hand.query("SELECT CAST(ID AS CHAR) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND LOCATE(?, INFO) > 0", {Value::string(names.base)});
  for (const sdk::Row& row : rows) {
    try {
      hand.command("KILL " + row.at(0).text);
    } catch (const Error& e) {
      if (e.connection_lost()) throw;
      // It has ended by itself, or is another user's.
    }
  }
}

/// Carried out, and not yet counted. Asked on the line that drops: the main one would hold the note until its commit.
bool is_to_be_counted(Line& hand, const MoveNames& names) {
  if (!was_carried_out(hand, names)) return false;
  try {
    return !hand.query("SELECT 1 FROM " + names.note() + " LIMIT 1", {}).empty();
  } catch (const Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;
    throw Error(PK_CORRUPT, "table " + names.aside() + " holds rows that a move took away, and " + names.note() + ", which told whether they were counted, is gone: look at it, and drop it");
  }
}

// Nothing when another session has just counted it.
std::optional<std::int64_t> take_note(Line& main, const MoveNames& names) {
  const sdk::Rows rows = main.query("SELECT `rows_gone` FROM " + names.note() + " FOR UPDATE", {});
  if (rows.empty()) return std::nullopt;
  main.execute("DELETE FROM " + names.note(), {});
  return rows[0].at(0).i64;
}

}  // namespace

std::optional<std::int64_t> Leftovers::count(Line& main, Line& hand, std::uint32_t lock_wait_ms) {
  if (found_.empty()) return std::nullopt;
  constexpr int longest_read_s = 3600;
  hand.forget_cancel();
  hand.open_like(main, longest_read_s);
  settle_move_session(hand, lock_wait_ms);
  hand.command("SET SESSION foreign_key_checks = 1");
  std::optional<std::int64_t> rows;
  while (!found_.empty()) {
    const MoveNames names = found_.back();
    end_sessions_of(hand, names);
    if (is_to_be_counted(hand, names)) {
      rows = take_note(main, names);
      break;
    }
    hand.command("DROP TABLE IF EXISTS " + names.aside());
    hand.command("DROP TABLE IF EXISTS " + names.note());
    found_.pop_back();
  }
  hand.close();
  return rows;
}

}  // namespace purgekit::mysql
