// Making, listing and letting go of holds; and telling the purges under way.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "foreign_record.hpp"
#include "hold.hpp"
#include "hold_rule.hpp"
#include "purgekit/deadline.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/lower.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/sdk/error.hpp"
#include "slot_keeper.hpp"

namespace purgekit {
namespace {

constexpr std::uint32_t lock_slice_ms = 2'000;
constexpr std::int64_t count_budget_ms = 2'000;
constexpr std::size_t most_key_values = 1'000;
constexpr std::size_t most_composite_keys = 200;  // each is a condition of its own, and parsers have their depth
constexpr std::size_t most_holds_of_a_table = 100;
constexpr std::size_t most_text_bytes = 500;

using Clock = std::chrono::steady_clock;

std::string fresh_id(const std::vector<sdk::RunRecord>& notes) {
  std::random_device random;
  for (;;) {
    char id[16];
    std::snprintf(id, sizeof id, "h-%08x", static_cast<unsigned>(random()));
    if (std::none_of(notes.begin(), notes.end(), [&](const sdk::RunRecord& note) { return note.id == id; })) return id;
  }
}

/// Gives up when time is up, whatever the database's own patience is.
class Patience {
 public:
  explicit Patience(double wait_s) : until_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait_s))) {}

  sdk::Slot lock(Session& session, const std::string& key) const {
    for (;;) {
      try {
        return session.slot_lock(key, lock_slice_ms);
      } catch (const sdk::Error& e) {
        if (e.connection_lost()) throw;
        session.rollback();
        if (!e.retryable() || Clock::now() >= until_) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }

 private:
  Clock::time_point until_;
};

// A connection that is gone has rolled back.
void roll_back(Session& session) {
  try {
    session.rollback();
  } catch (const sdk::Error& e) {
    if (!e.connection_lost()) throw;
  }
}

// In a transaction of its own: whoever goes by the slot's epoch looks at the holds again.
void tell_run(Session& session, const Patience& patience, const std::string& slot_key) {
  sdk::Slot slot = patience.lock(session, slot_key);
  try {
    check_slot(slot);
    if (slot.state != "walking") return roll_back(session);
    slot.epoch += 1;
    session.slot_write(slot);
    session.commit();
  } catch (...) {
    roll_back(session);
    throw;
  }
}

bool may_delete_from(const Json& record, const std::string& table) {
  const auto dependents = record.find("dependents");
  if (dependents == record.end() || !dependents->is_array()) return true;  // an earlier version's, which did not say
  return std::any_of(dependents->begin(), dependents->end(), [&](const Json& name) { return name.is_string() && name.get<std::string>() == table; });
}

// A run writes its record before it reads the holds: one whose record is not there yet will see this one.
void tell_parents(Session& session, const Patience& patience, const std::string& table, const std::string& own_slot) {
  std::vector<std::string> told{own_slot};
  for (const sdk::RunRecord& stored : session.run_list()) {
    const Json record = foreign_record(stored.document);
    const std::string slot = foreign_text(record, "slot");
    const bool done = std::find(told.begin(), told.end(), slot) != told.end();
    if (foreign_text(record, "status") != "running" || slot.empty() || done || !may_delete_from(record, table)) continue;
    tell_run(session, patience, slot);
    told.push_back(slot);
  }
}

// The same rows of the same table; nothing when there is none. What can't be read is no reason not to keep another.
std::optional<Hold> same_hold(const std::vector<sdk::RunRecord>& notes, const Hold& wanted) {
  std::size_t of_table = 0;
  for (const sdk::RunRecord& note : notes) {
    try {
      Hold hold = read_hold(note);
      if (hold.table != wanted.table) continue;
      ++of_table;
      if (hold.rule == wanted.rule) return hold;
    } catch (const EngineError&) {
      continue;
    }
  }
  if (of_table >= most_holds_of_a_table) {
    refuse("hold", "there are " + std::to_string(of_table) + " holds on " + wanted.table + " already; nothing was changed: put their keys into a table and hold by that one");
  }
  return std::nullopt;
}

void need_ledger(const std::string& ledger) {
  if (ledger == "none") refuse("ledger", "holds are kept in the ledger: name it with --ledger");
}

// A ledger that holds can be kept in, or let go from: then it is not made.
void find_ledger(Session& session, const std::string& ledger, bool to_make) {
  const sdk::Ledger found = session.ledger_find(parse_table_name(ledger));
  const std::string grant = found.grant_hint.empty() ? "" : "; " + found.grant_hint;
  switch (found.state) {
    case PK_LEDGER_NEWER: refuse("ledger_newer", "the ledger " + ledger + " was written by a newer version of purgekit; use that version");
    case PK_LEDGER_FOREIGN: refuse("ledger_foreign", "table " + ledger + " is not a purgekit ledger; name another with --ledger");
    case PK_LEDGER_ABSENT:
      if (!to_make) return;
      if (!found.can_create) refuse("ledger_privilege", "this user may not create the ledger " + ledger + "; an administrator can run: " + found.ddl + grant);
      session.ledger_create();
      return;
    case PK_LEDGER_OLDER:
    case PK_LEDGER_PRESENT:
      if (!found.can_write) refuse("ledger_privilege", "this user may not write the ledger " + ledger + "; an administrator can run: " + found.grant_hint);
      // An earlier version would not see the hold; it refuses a ledger of this one.
      if (found.state == PK_LEDGER_OLDER) session.ledger_create();
  }
}

Predicate rule_of_keys(const HoldRequest& request, const sdk::Table& table) {
  std::vector<std::string> columns = request.key_columns;
  for (std::size_t i = 0; columns.empty() && i < table.key.size(); ++i) columns.push_back(table.columns.at(table.key[i]).name);
  if (columns.empty()) bad_policy("table " + table.name + " has no primary key: name the column of the keys");
  if (request.keys.size() * columns.size() > most_key_values || (columns.size() > 1 && request.keys.size() > most_composite_keys)) {
    bad_policy("more keys than one hold can list (" + std::to_string(most_key_values) + ", or " + std::to_string(most_composite_keys) + " of several columns); keep them in a table and hold by that one");
  }
  std::vector<Value> single;
  std::vector<Predicate> several;
  for (const std::vector<Value>& key : request.keys) {
    if (key.size() != columns.size()) bad_policy("a key has " + std::to_string(key.size()) + " values, but " + std::to_string(columns.size()) + " columns make it up");
    if (columns.size() == 1) {
      single.push_back(key[0]);
      continue;
    }
    std::vector<Predicate> equal;
    for (std::size_t i = 0; i < columns.size(); ++i) equal.push_back(Predicate::compare(columns[i], PK_EQ, key[i]));
    several.push_back(Predicate::all_of(equal));
  }
  if (request.keys.empty()) bad_policy("no key is given");
  return columns.size() == 1 ? Predicate::in(columns[0], std::move(single)) : Predicate::any_of(several);
}

std::string form_of(const HoldRequest& request) {
  if (!request.rule) return "keys";
  return std::holds_alternative<rule::ReferencedBy>(request.rule->node().rule) ? "table" : "rule";
}

// Rows of the table that the hold keeps now, those among them of which nobody can tell; nothing when that takes long.
std::optional<std::int64_t> rows_held(Session& session, const LowerInput& input, const Predicate& rule) {
  const auto count = [&](const LoweredPredicate& predicate) {
    Deadline deadline(session, count_budget_ms);
    return session.count(PurgeSpec(input.table, predicate.view()));
  };
  try {
    const std::int64_t rows = count(lower_all_rows());
    return std::max<std::int64_t>(0, rows - count(lower(not_held(rule), input)));
  } catch (const sdk::Error& e) {
    if (e.code() != PK_CANCELLED && e.code() != PK_STATEMENT_TIMEOUT) throw;
    return std::nullopt;
  }
}

Json to_json_value(const Hold& hold) {
  return {{"id", hold.id}, {"table", hold.table}, {"form", hold.form}, {"rule", Json::parse(hold.rule.to_json())}, {"rule_text", hold.rule.to_text()},
          {"reason", hold.reason}, {"by", hold.by}, {"created_utc", hold.created_utc}, {"problem", nullptr}};
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// A note as it is shown, whatever it holds.
Json shown(Session& session, Catalogue& catalogue, const sdk::RunRecord& note) {
  const Json unknown = {{"id", note.id}, {"table", foreign_text(foreign_record(note.document), "table")}, {"form", ""}, {"rule", nullptr}, {"rule_text", ""}, {"reason", ""}, {"by", ""}, {"created_utc", ""}};
  Json out = unknown;
  try {
    const Hold hold = read_hold(note);
    out = to_json_value(hold);
    if (const sdk::Table* table = catalogue.find(hold.table)) check_hold(session, catalogue, hold, *table);
    else out["problem"] = "table " + hold.table + " does not exist";
  } catch (const EngineError& e) {
    out["problem"] = e.message();
  } catch (const sdk::Error& e) {
    if (e.connection_lost()) throw;
    out["problem"] = e.message();
  }
  return out;
}

void check_text(const std::string& text, const char* what) {
  if (text.size() > most_text_bytes) bad_policy(std::string(what) + " of a hold may be " + std::to_string(most_text_bytes) + " bytes long");
}

template <class Work>
auto with_engine_errors(Work work) {
  try {
    return work();
  } catch (const sdk::Error& e) {
    throw EngineError(e);
  }
}

}  // namespace

void make_hold_gate(Session& session, std::uint32_t wait_ms) {
  session.slot_lock(hold_gate, wait_ms);
  session.commit();
}

void change_hold_gate(Session& session) {
  sdk::Slot gate;
  gate.key = hold_gate;
  gate.epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  session.slot_write(gate);
}

KeptHold keep_hold(Session& session, const sdk::Table& table, Hold hold, double wait_s) {
  const Patience patience(wait_s);
  const std::string own_slot = slot_key(table);
  bool added = false;
  patience.lock(session, hold_gate);
  session.commit();
  sdk::Slot slot = patience.lock(session, own_slot);
  try {
    check_slot(slot);
    const std::vector<sdk::RunRecord> notes = session.note_list(hold_note_kind);
    std::optional<Hold> same = same_hold(notes, hold);
    added = !same;
    if (same) {
      hold = std::move(*same);
    } else {
      hold.id = fresh_id(notes);
      if (hold.created_utc.empty()) hold.created_utc = now_utc();
      session.note_write(hold_note_kind, {hold.id, hold.to_document()});
    }
    slot.epoch += 1;
    session.slot_write(slot);
    change_hold_gate(session);
    session.commit();
  } catch (const sdk::Error& e) {
    roll_back(session);
    if (!e.in_doubt()) throw;
    throw EngineError(ErrorKind::failed, "hold_unsure", "whether the hold on " + hold.table + " was kept is not known, since no answer came (" + e.message() + "): add it again, it is not made twice").table(hold.table);
  } catch (...) {
    roll_back(session);
    throw;
  }
  try {
    tell_parents(session, patience, hold.table, own_slot);
  } catch (const sdk::Error& e) {
    throw EngineError(ErrorKind::failed, "hold_unsure",
                      "hold " + hold.id + " is kept, and every purge that starts from now on obeys it; but one that is running may still delete rows of " + hold.table +
                          " along with those of another table, since it could not be told: " + e.message() + "; add the same hold again to make sure")
        .table(hold.table);
  }
  return {std::move(hold), added};
}

std::string hold_add(Session& session, const HoldRequest& request) {
  return with_engine_errors([&] {
    need_ledger(request.ledger);
    check_text(request.reason, "the reason");
    check_text(request.by, "the name");
    Catalogue catalogue(session);
    const sdk::Table& table = catalogue.table(request.table);
    if (table.kind != PK_TABLE_BASE) refuse("hold", table_name_text(table.schema, table.name) + " is no table that rows are purged from; name the table behind it");
    Predicate rule = request.rule ? *request.rule : rule_of_keys(request, table);
    if (request.typed_as_text) rule = with_column_types(rule, table);
    const Hold wanted{"", table_name_text(table.schema, table.name), form_of(request), rule, request.reason, request.by, ""};
    check_hold(session, catalogue, wanted, table);
    const Zones no_zones;
    const std::int64_t now_ns = session.inspect().clock_utc_ns;
    const std::optional<std::int64_t> rows = rows_held(session, catalogue.input(table, now_ns, std::int64_t{0}, no_zones), rule);
    find_ledger(session, request.ledger, true);
    try {
      const KeptHold kept = keep_hold(session, table, wanted, request.wait_s);
      Json out = to_json_value(kept.hold);
      out["added"] = kept.added;
      out["rows_held"] = rows ? Json(*rows) : Json(nullptr);
      return text_of(out);
    } catch (const sdk::Error& e) {
      if (e.code() != PK_LOCK_TIMEOUT) throw;
      throw EngineError(ErrorKind::refused, "lock_timeout", "a chunk of a purge of " + wanted.table + " did not end in time, so the hold was not added; nothing was changed: try again, or wait for longer").table(wanted.table);
    }
  });
}

std::string hold_list(Session& session, const std::string& ledger) {
  return with_engine_errors([&] {
    need_ledger(ledger);
    const sdk::Ledger found = session.ledger_find(parse_table_name(ledger));
    Json out = {{"schema", "purgekit.holds/1"}, {"holds", Json::array()}};
    if (found.state == PK_LEDGER_ABSENT) return text_of(out);
    if (found.state == PK_LEDGER_FOREIGN) refuse("ledger_foreign", "table " + ledger + " is not a purgekit ledger; name another with --ledger");
    if (found.state == PK_LEDGER_NEWER) refuse("ledger_newer", "the ledger " + ledger + " was written by a newer version of purgekit; read it with that version");
    Catalogue catalogue(session);
    for (const sdk::RunRecord& note : hold_notes(session)) out["holds"].push_back(shown(session, catalogue, note));
    return text_of(out);
  });
}

std::string hold_release(Session& session, const std::string& ledger, const std::string& id) {
  return with_engine_errors([&] {
    need_ledger(ledger);
    find_ledger(session, ledger, false);
    const std::vector<sdk::RunRecord> notes = hold_notes(session);
    const auto note = std::find_if(notes.begin(), notes.end(), [&](const sdk::RunRecord& n) { return n.id == id; });
    if (note == notes.end()) {
      std::vector<std::string> ids;
      ids.reserve(notes.size());
      for (const sdk::RunRecord& n : notes) ids.push_back(n.id);
      refuse("not_found", "no hold " + printable(id) + " in the ledger " + ledger + did_you_mean(id, ids) + "; nothing was changed");
    }
    Catalogue catalogue(session);
    const Json out = shown(session, catalogue, *note);
    make_hold_gate(session, lock_slice_ms);
    session.begin("", 0, 0);
    try {
      session.note_delete(hold_note_kind, id);
      change_hold_gate(session);
      session.commit();
    } catch (...) {
      roll_back(session);
      throw;
    }
    return text_of(out);
  });
}

}  // namespace purgekit
