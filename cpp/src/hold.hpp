/// \file hold.hpp
/// Holds as they are kept in the ledger, and what they mean for a policy. Internal; see purgekit/hold.hpp for what people call.
///
/// A hold is a note of kind "hold" (note_write, note_list), its id 1 to 64 letters, digits and "-", its document:
///
///   {"schema": "purgekit.hold/1",
///    "table": "main.SESSIONS",        the table whose rows are held: exact names as described, as table_name_text writes them
///    "form": "rule"|"keys"|"table",   for people: the rule is what counts
///    "rule": {...},                   which of its rows, as Predicate::to_json writes it
///    "reason": "case 2026-17", "by": "alice", "created_utc": "2026-11-22T13:00:00.000Z"}      any text
///
/// By a table of keys:  "form": "table", "rule": {"referenced_by": {"table": "HOLDS", "on": [["HOLDS_COLUMN", "=", "COLUMN"]], "where": {...}}}
/// with `where` a condition on the rows of that table, or left out. A rule with raw SQL is refused: a ledger may be written by others. The other
/// members are read leniently; a reader that knows a later schema writes that. Notes are written by keep_hold, which sees to it that no purge under
/// way misses one, and by a restore in the transaction that puts the first rows back (restore_hold.hpp), which moves the table's own slot on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "purgekit/hold.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/planner.hpp"

namespace purgekit {

constexpr const char* hold_note_kind = "hold";
/// The slot that purges by keys share while they delete, and that whoever changes the holds changes too: its epoch tells that they did.
constexpr const char* hold_gate = "purge_keys:holds";
/// Code of every refusal because of a hold that can't be read, and the stop reason of a run that comes upon one.
constexpr const char* hold_unreadable = "hold_unreadable";

struct Hold {
  std::string id;
  std::string table;
  std::string form;
  Predicate rule;
  std::string reason;
  std::string by;
  std::string created_utc;

  std::string to_document() const;
};

/// \throws EngineError (refused, hold_unreadable) when it is damaged or of a later schema.
Hold read_hold(const sdk::RunRecord& note);

/// The notes of the ledger that the session has found; none where the backend keeps no notes.
std::vector<sdk::RunRecord> hold_notes(Session& session);

/// What the holds among `notes` mean for a purge of `table` and its dependents: a row of a dependent that is held keeps the rows that
/// it goes with. `catalogue` must be a fresh one, so that a table that is gone is missed.
/// \throws EngineError (refused, hold_unreadable) naming the hold, when one can't be read or its rule can't be followed here.
std::vector<HoldInForce> holds_in_force(Session& session, Catalogue& catalogue, const std::vector<sdk::RunRecord>& notes, const sdk::Table& table,
                                        const std::vector<sdk::Dependent>& dependents);

/// Holds on one table, as those of a hold that is to be made are checked: \throws EngineError (policy or refused) when the rule can't be followed.
void check_hold(Session& session, Catalogue& catalogue, const Hold& hold, const sdk::Table& table);

/// Rows that may go as far as rule and holds are concerned; and, of these, those that a deleting statement takes.
Predicate purgeable(const Policy& policy, const std::vector<HoldInForce>& holds);
Predicate deletable(const Policy& policy, const std::vector<HoldInForce>& holds);

/// Make it when it is absent, in a transaction of its own.
void make_hold_gate(Session& session, std::uint32_t wait_ms);
/// In the open transaction that changes the holds: wait for those that share the gate, and tell those that come after.
void change_hold_gate(Session& session);

struct KeptHold {
  Hold hold;
  bool added = false;  ///< false: there was one of the same rows already, which is `hold`
};

/// Keep a hold on `table` in the ledger that the session has found, under an id of its own; outside of a transaction, before whatever
/// the hold is to protect. When it returns, no chunk that began without knowing of the hold can be committed any more: the table's
/// slot was locked, so that the chunk in hand was waited for, and its epoch raised, so that a purge under way takes up its holds again.
/// 	hrows sdk::Error; PK_LOCK_TIMEOUT: a chunk took longer than `wait_s` and nothing was kept.
/// \throws EngineError (failed, hold_unsure) when it is kept, but a purge that deletes such rows as dependents could not be told in time.
KeptHold keep_hold(Session& session, const sdk::Table& table, Hold hold, double wait_s);

}  // namespace purgekit
