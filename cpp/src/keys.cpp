#include "purgekit/keys.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "archive.hpp"
#include "archive_record.hpp"
#include "hold.hpp"
#include "mapped_archive.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/lower.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::size_t most_keys_a_call = 1'000;
constexpr std::size_t most_composite_keys_a_call = 200;  // each is a condition of its own, and parsers have their depth
constexpr std::uint32_t gate_wait_ms = 10'000;
constexpr int most_call_tries = 4;
// What the catalogue says is asked for again after this: a foreign key may have come that nobody told us of.
constexpr std::chrono::minutes ready_for{5};

using Clock = std::chrono::steady_clock;

// Few sizes, so that a connection's prepared statements are few.
std::size_t padded(std::size_t keys, std::size_t most) {
  for (const std::size_t size : {1u, 8u, 64u, 256u}) {
    if (keys <= size && size < most) return size;
  }
  return most;
}

// The catalogue has changed since it was read, so that reading it anew may help.
bool may_be_stale(pk_code code) { return code == PK_SCHEMA_CHANGED || code == PK_NOT_FOUND || code == PK_INVALID_ARGUMENT; }

bool is_worth_another_try(pk_code code) { return code == PK_DEADLOCK || code == PK_SERIALIZATION; }

}  // namespace

KeyPurge::KeyPurge(Session& session, const sdk::ConnectParams& connection, const Policy& policy, KeyPurgeOptions options)
    : session_(session), connection_(connection), policy_(policy), options_(std::move(options)), table_(policy.table), started_utc_(now_utc()) {
  policy_.strategy = "auto";
  if (!options_.keeps_rows) {
    policy_.archive.clear();
    policy_.moved_to.reset();
  }
  try {
    try {
      make_ready();
    } catch (const EngineError& e) {
      if (e.kind() != ErrorKind::connection) throw;
      reconnect();  // it may have been lost long ago, and nobody has asked for anything since
      make_ready();
    }
  } catch (EngineError& e) {
    if (e.policy().empty()) e.policy(policy_.name);
    if (e.table().empty()) e.table(policy_.table);
    throw;
  }
}

// \throws EngineError
void KeyPurge::make_ready() {
  try {
    read_catalogue();
  } catch (const sdk::Error& e) {
    throw EngineError(e).policy(policy_.name).table(policy_.table);
  }
}

void KeyPurge::read_catalogue() {
  plan_.reset();
  catalogue_ = std::make_unique<Catalogue>(session_);
  const sdk::Table& described = catalogue_->table(policy_.table);
  if (described.key.empty()) refuse("no_key", table_name_text(described.schema, described.name) + " has no primary key that its rows could be named by; add one, or purge it with run");
  PlanOptions planning;
  planning.count_budget_ms = 0;
  planning.archive = options_.keeps_rows ? options_.archive : "";
  planning.zones = options_.zones;
  planning.ledger = options_.ledger;
  Plan plan = make_plan(session_, {policy_}, planning);
  PolicyPlan& p = plan.policies.at(0);
  if (p.skipped) refuse("table_absent", p.warnings.empty() ? "the table of this policy does not exist here" : p.warnings[0].message);
  if (p.files) refuse("archive_not_offered", "purge_keys keeps rows in archive tables only: give archive=\"table\", or archive=False");
  if (plan.server.read_only) refuse("read_only", "the database " + plan.server.database + " is read-only here; connect to the primary, or as a user who may write");
  if (!p.clock_doubt.empty() && !options_.accept_clock) refuse("implausible_clock", p.clock_doubt);
  if (has_ledger()) check_ledger();
  static const LoweredPredicate no_rows = lower_no_rows();
  const PurgeSpec archives(p.table, no_rows.view(), "", p.dependents, p.archives);
  if (check_archives(session_, p.archives, archives, true)) session_.archive_create(archives);
  table_ = table_name_text(p.table.schema, p.table.name);
  holds_ = p.holds;
  gate_ = -1;
  std::vector<std::string> names{table_};
  for (const sdk::Dependent& d : p.dependents) names.push_back(table_name_text(d.schema, d.table));
  if (!std::equal(names.begin(), names.end(), totals_.begin(), totals_.end(), [](const std::string& name, const TableCount& t) { return name == t.table; })) {
    start_record(names);
  }
  plan_ = std::move(plan);
  ready_since_ = Clock::now();
}

void KeyPurge::check_ledger() {
  const auto find = [&] { return session_.ledger_find(parse_table_name(options_.ledger)); };
  sdk::Ledger found = find();
  // One that another process of the application makes between two questions looks like somebody else's table.
  if (found.state == PK_LEDGER_FOREIGN) found = find();
  const std::string grant = found.grant_hint.empty() ? "" : "; " + found.grant_hint;
  switch (found.state) {
    case PK_LEDGER_NEWER: refuse("ledger_newer", "the ledger " + options_.ledger + " was written by a newer version of purgekit; use that version, or another ledger");
    case PK_LEDGER_FOREIGN: refuse("ledger_foreign", "table " + options_.ledger + " is not a purgekit ledger; name another");
    case PK_LEDGER_ABSENT:
      if (!found.can_create) refuse("ledger_privilege", "this user may not create the ledger " + options_.ledger + "; an administrator can run: " + found.ddl + grant + "; or give ledger=\"none\"");
      break;
    case PK_LEDGER_OLDER:
    case PK_LEDGER_PRESENT:
      if (!found.can_write) refuse("ledger_privilege", "this user may not write the ledger " + options_.ledger + "; an administrator can run: " + found.grant_hint);
      break;
  }
  for (int tries = 1; found.state != PK_LEDGER_PRESENT; ++tries) {
    try {
      session_.ledger_create();
    } catch (const sdk::Error& e) {
      // Another process of the application may be making it at this moment.
      if (e.connection_lost() || tries >= most_call_tries) throw;
    }
    found = find();
  }
  make_hold_gate(session_, gate_wait_ms);
}

void KeyPurge::start_record(const std::vector<std::string>& tables) {
  ++record_;
  calls_ = 0;
  totals_.clear();
  for (const std::string& table : tables) totals_.push_back({table, 0, 0});
}

std::vector<TableCount> KeyPurge::counted_nothing() const {
  std::vector<TableCount> out = totals_;
  for (TableCount& t : out) t.rows_deleted = t.rows_archived = 0;
  return out;
}

void KeyPurge::roll_back() {
  try {
    session_.rollback();
  } catch (const sdk::Error& e) {
    if (!e.connection_lost()) throw;
  }
}

void KeyPurge::reconnect() {
  session_.connect(connection_);
  plan_.reset();
}

// The holds are those of the gate's epoch, and nobody adds one before this transaction has ended.
void KeyPurge::begin(std::string& ledger_in_use, std::int64_t& now_ns) {
  if (has_ledger() && ledger_in_use != options_.ledger) {
    session_.ledger_find(parse_table_name(options_.ledger));
    ledger_in_use = options_.ledger;
  }
  now_ns = has_ledger() ? -1 : session_.inspect().clock_utc_ns;
  session_.begin("", 0, 0);
  if (!has_ledger()) return;
  sdk::SharedSlot gate = session_.slot_share(hold_gate);
  if (gate.epoch < 0) {  // somebody has emptied the ledger
    session_.rollback();
    make_hold_gate(session_, gate_wait_ms);
    session_.begin("", 0, 0);
    gate = session_.slot_share(hold_gate);
    if (gate.epoch < 0) throw sdk::Error(PK_SERIALIZATION, "the ledger " + options_.ledger + " is being emptied");
  }
  if (gate.epoch != gate_) {
    read_holds();
    gate_ = gate.epoch;
  }
  now_ns = gate.clock_utc_ns >= 0 ? gate.clock_utc_ns : session_.inspect().clock_utc_ns;
}

void KeyPurge::read_holds() {
  const PolicyPlan& p = plan_->policies[0];
  catalogue_->forget();
  holds_ = holds_in_force(session_, *catalogue_, hold_notes(session_), p.table, p.dependents);
}

Predicate KeyPurge::names(const std::vector<std::vector<Value>>& keys) const {
  const sdk::Table& table = plan_->policies[0].table;
  std::vector<std::string> columns;
  for (const std::uint32_t at : table.key) columns.push_back(table.columns.at(at).name);
  const std::size_t most = columns.size() == 1 ? most_keys_a_call : most_composite_keys_a_call;
  if (keys.size() > most) {
    bad_policy(std::to_string(keys.size()) + " keys are more than one call takes (" + std::to_string(most) + (columns.size() == 1 ? "" : " of several columns") + "); give them in several calls, or purge with run");
  }
  std::vector<Value> single;
  std::vector<Predicate> several;
  for (std::size_t i = 0; i < padded(keys.size(), most); ++i) {
    const std::vector<Value>& key = keys[std::min(i, keys.size() - 1)];
    if (key.size() != columns.size()) {
      std::string list;
      for (const std::string& column : columns) list += (list.empty() ? "" : ", ") + column;
      bad_policy("a key has " + std::to_string(key.size()) + (key.size() == 1 ? " value" : " values") + ", but the primary key of " + table_ + " is (" + list + ")");
    }
    std::vector<Predicate> equal;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (key[c].kind == PK_VALUE_NULL) bad_policy("a key is NULL in " + columns[c] + ", which no row of " + table_ + " is");
      if (columns.size() == 1) single.push_back(key[c]);
      else equal.push_back(Predicate::compare(columns[c], PK_EQ, key[c]));
    }
    if (columns.size() > 1) several.push_back(Predicate::all_of(equal));
  }
  return columns.size() == 1 ? Predicate::in(columns[0], std::move(single)) : Predicate::any_of(several);
}

KeyPurgeResult KeyPurge::attempt(const std::vector<std::vector<Value>>& keys, std::string& ledger_in_use) {
  const auto start = Clock::now();
  if (!plan_ || start - ready_since_ > ready_for) {
    make_ready();
    ledger_in_use = has_ledger() ? options_.ledger : ledger_in_use;
  }
  const PolicyPlan& p = plan_->policies[0];
  const Predicate given = names(keys);
  std::int64_t now_ns = 0;
  begin(ledger_in_use, now_ns);
  const LoweredPredicate predicate =
      lower_guarded(Predicate::all_of({given, deletable(policy_, holds_)}), catalogue_->input(p.table, now_ns, policy_, options_.zones), p.guards);
  const std::vector<sdk::ArchiveTable> archives = p.archive_clocks.empty() ? p.archives : archives_at(p, now_ns, options_.zones);
  session_.prepare(PurgeSpec(p.table, predicate.view(), sdk::keys_walk, p.dependents, archives, options_.run_id));
  KeyPurgeResult out{counted_nothing(), 0};
  const auto rows = static_cast<std::int64_t>(keys.size());
  out.tables[0].rows_deleted = session_.delete_range({"", rows, connection_.lock_wait_ms, chunk_ + 1, "", 0}).rows_deleted;
  for (std::size_t i = 0; out.tables[0].rows_deleted > 0 && i < p.dependents.size(); ++i) out.tables.at(i + 1).rows_deleted = session_.delete_children(i);
  std::vector<TableCount> totals = totals_;
  const bool deleted = out.tables[0].rows_deleted > 0;
  for (std::size_t i = 0; i < totals.size(); ++i) {
    if (!p.archives.empty()) out.tables[i].rows_archived = out.tables[i].rows_deleted;
    totals[i].rows_deleted += out.tables[i].rows_deleted;
    totals[i].rows_archived += out.tables[i].rows_archived;
  }
  if (deleted && has_ledger()) note(totals, calls_ + 1);
  session_.commit();
  if (deleted) {
    totals_ = std::move(totals);
    ++calls_;
    ++chunk_;
  }
  out.elapsed_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return out;
}

// One record for all calls, so that a ledger does not grow with them; written with the rows' own transaction.
void KeyPurge::note(const std::vector<TableCount>& totals, std::int64_t calls) {
  const PolicyPlan& p = plan_->policies[0];
  std::int64_t deleted = 0;
  std::int64_t archived = 0;
  Json tables = Json::object();
  Json dependents = Json::array();
  for (std::size_t i = 0; i < totals.size(); ++i) {
    deleted += totals[i].rows_deleted;
    archived += totals[i].rows_archived;
    tables[totals[i].table] = totals[i].rows_deleted;
    if (i > 0) dependents.push_back(totals[i].table);
  }
  const Json record = {{"kind", "keys"},
                       {"run_id", options_.run_id},
                       {"policy", policy_.name},
                       {"policy_sha256", options_.policy_hash},
                       {"table", table_},
                       {"started_utc", started_utc_},
                       {"last_utc", now_utc()},
                       {"database", plan_->server.database},
                       {"status", "completed"},
                       {"exit_code", 0},
                       {"calls", calls},
                       {"rows_deleted", deleted},
                       {"rows_archived", archived},
                       {"tables", tables},
                       {"dependents", dependents},
                       {"archive", p.archives.empty() ? "" : table_name_text(p.archives[0].schema, p.archives[0].table)},
                       {"archives", archive_record(kept_tables(p))},
                       {"continues", ""},
                       {"slot", ""}};
  char number[16];
  std::snprintf(number, sizeof number, "/%03d", record_);
  session_.note_write("run", {options_.run_id + number, record.dump(-1, ' ', false, Json::error_handler_t::replace)});
}

void KeyPurge::fail(const sdk::Error& error) {
  const auto with_names = [&](EngineError e) -> EngineError { return e.policy(policy_.name).table(table_); };
  if (error.in_doubt()) {
    std::vector<std::string> names;
    for (const TableCount& t : totals_) names.push_back(t.table);
    start_record(names);  // what the last one says is not known
    ++chunk_;
    throw with_names({ErrorKind::failed, "in_doubt", "no answer came to COMMIT (" + error.message() + "), so whether the rows of these keys went is not known; call again: what is gone stays gone"});
  }
  sdk::Error told(error.code(), error.message() + "; nothing was changed" + (error.code() == PK_LOCK_TIMEOUT ? ": a transaction of somebody holds a row of these keys, call again when it has ended" : ""));
  told.vendor_code(error.vendor_code()).constraint(error.constraint()).sqlstate(error.sqlstate());
  throw with_names(EngineError(told));
}

KeyPurgeResult KeyPurge::purge(const std::vector<std::vector<Value>>& keys, std::string& ledger_in_use) {
  if (keys.empty()) return {counted_nothing(), 0};
  bool is_fresh = false;
  for (int tries = 1;; ++tries) {
    try {
      return attempt(keys, ledger_in_use);
    } catch (EngineError& e) {
      roll_back();
      if (e.kind() == ErrorKind::connection && tries == 1) {
        try {
          reconnect();
          continue;
        } catch (const sdk::Error& again) {
          fail(again);
        }
      }
      if (e.policy().empty()) e.policy(policy_.name);
      if (e.table().empty()) e.table(table_);
      throw;
    } catch (const sdk::Error& e) {
      ledger_in_use.clear();
      roll_back();
      if (e.in_doubt() || tries >= most_call_tries) fail(e);
      if (e.connection_lost() && tries == 1) {
        try {
          reconnect();
        } catch (const sdk::Error& again) {
          fail(again);
        }
      } else if (may_be_stale(e.code()) && !is_fresh) {
        plan_.reset();
        is_fresh = true;
      } else if (!is_worth_another_try(e.code())) {
        fail(e);
      }
    }
  }
}

}  // namespace purgekit
