#include "purgekit/planner.hpp"

#include <algorithm>
#include <chrono>

#include "archive.hpp"
#include "clock_check.hpp"
#include "hold.hpp"
#include "hold_rule.hpp"
#include "json.hpp"
#include "moves.hpp"
#include "purgekit/deadline.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/sdk/error.hpp"
#include "rehearsal.hpp"
#include "row_sample.hpp"

namespace purgekit {
namespace {

using sdk::Table;

std::int64_t now_here_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string full_name(const Table& table) { return table_name_text(table.schema, table.name); }

void check_kind(const Table& table) {
  const std::string name = full_name(table);
  if (table.kind == PK_TABLE_VIEW) refuse("view", name + " is a view; name the table behind it");
  if (table.kind == PK_TABLE_FOREIGN) refuse("foreign_table", name + " is a foreign or virtual table; purge it where it lives");
  if (table.kind == PK_TABLE_SYSTEM) refuse("system_table", name + " belongs to the database itself");
  if (!table.transactional) {
    refuse("not_transactional", name + " is stored by " + table.storage + ", which can't roll back: a purge of it could not be made safe; convert it to a transactional engine first");
  }
  if (table.rows_hidden) {
    refuse("rows_hidden", "row security hides rows of " + name + " from this user, so nothing could be said about what is left; use a user with BYPASSRLS or the owner without FORCE");
  }
  if (!table.can_select || !table.can_delete) {
    const std::string hint = table.grant_hint.empty() ? "GRANT SELECT, DELETE ON " + name : table.grant_hint;
    refuse("privilege", "this user may not " + std::string(table.can_select ? "delete from " : "read ") + name + "; an administrator can run: " + hint);
  }
}

// Tables that a condition looks at, and nothing is deleted from.
const Table& readable(const Table& table) {
  if (table.can_select) return table;
  std::string hint = table.grant_hint.empty() ? "GRANT SELECT ON " + full_name(table) : table.grant_hint;
  // The backend's hint is for a table to purge; here reading is enough.
  constexpr std::string_view both = "SELECT, DELETE";
  if (const std::size_t at = hint.find(both); at != std::string::npos) hint.replace(at, both.size(), "SELECT");
  refuse("privilege", "this user may not read " + full_name(table) + ", which decides what may go; an administrator can run: " + hint);
}

void warn_unless_indexed(const sdk::Reference& r, PolicyPlan& plan) {
  if (r.child_indexed) return;
  std::string columns;
  for (const std::string& c : r.child_columns) columns += (columns.empty() ? "" : ", ") + c;
  plan.warnings.push_back({"unindexed_reference", table_name_text(r.child_schema, r.child_table) + " has no index on (" + columns + "): each chunk may scan it; add one"});
}

// The foreign key is what a dependent is declared by: its rows are gone before those it refers to.
bool is_declared(const sdk::Reference& r, const std::vector<sdk::Dependent>& dependents, std::size_t parent) {
  return std::any_of(dependents.begin(), dependents.end(), [&](const sdk::Dependent& d) {
    if (d.parent != parent || d.schema != r.child_schema || d.table != r.child_table || d.columns.size() != r.child_columns.size()) return false;
    for (std::size_t i = 0; i < d.columns.size(); ++i) {
      const auto at = std::find(r.child_columns.begin(), r.child_columns.end(), d.columns[i]);
      if (at == r.child_columns.end() || r.parent_columns.at(static_cast<std::size_t>(at - r.child_columns.begin())) != d.parent_columns[i]) return false;
    }
    return true;
  });
}

// What a delete of these rows would do to other tables behind our back.
void check_references(Catalogue& catalogue, const Table& table, PolicyPlan& plan) {
  for (const sdk::Reference& r : table.references) {
    if (!r.enforced) continue;
    const std::string child = table_name_text(r.child_schema, r.child_table);
    if (is_declared(r, plan.dependents, 0)) {
      warn_unless_indexed(r, plan);
      continue;
    }
    if (r.action == PK_FK_CASCADE) {
      refuse("cascade", "foreign key " + r.name + " of " + child + " cascades from " + full_name(table) +
                            ": the database would delete its rows uncounted and outside the chunk's budget; name " + child + " among the policy's dependents, or change the constraint");
    }
    if (r.action != PK_FK_RESTRICT) {
      refuse("set_null", "foreign key " + r.name + " of " + child + " would change its rows when rows of " + full_name(table) + " go (SET NULL or SET DEFAULT); change the constraint first");
    }
    if (const Table* referring = catalogue.find(child)) readable(*referring);
    plan.guards.push_back(r);
    plan.warnings.push_back({"foreign_key", "rows that " + child + " refers to (" + r.name + ") stay and are reported as blocked"});
    warn_unless_indexed(r, plan);
  }
  for (std::size_t i = 0; i < plan.dependents.size(); ++i) {
    const sdk::Dependent& d = plan.dependents[i];
    for (const sdk::Reference& r : catalogue.table(table_name_text(d.schema, d.table)).references) {
      if (r.enforced && is_declared(r, plan.dependents, i + 1)) warn_unless_indexed(r, plan);
    }
  }
}

void warn_of_absent(const std::vector<std::string>& absent, PolicyPlan& plan) {
  if (absent.empty()) return;
  std::string names;
  for (const std::string& name : absent) names += (names.empty() ? "" : ", ") + name;
  plan.warnings.push_back({"dependent_absent", "passed over, because there is no such table or column here: " + names});
}

void refuse_undeclared(Catalogue& catalogue, const std::vector<sdk::Dependent>& dependents) {
  for (std::size_t i = 0; i < dependents.size(); ++i) {
    const std::string name = table_name_text(dependents[i].schema, dependents[i].table);
    for (const sdk::Reference& r : catalogue.table(name).references) {
      if (!r.enforced || r.action == PK_FK_RESTRICT || is_declared(r, dependents, i + 1)) continue;
      refuse("cascade", "foreign key " + r.name + " of " + r.child_table + " would change or delete rows when rows of the dependent " + name +
                            " go; name " + r.child_table + " as a dependent of it, or change the constraint first");
    }
  }
}

bool looks_elsewhere(const Predicate& p) {
  const auto& node = p.node().rule;
  if (std::holds_alternative<rule::ReferencedBy>(node) || std::holds_alternative<rule::KeepLatest>(node)) return true;
  const auto any = [](const std::vector<Predicate>& list) { return std::any_of(list.begin(), list.end(), looks_elsewhere); };
  if (const auto* r = std::get_if<rule::All>(&node)) return any(r->children);
  if (const auto* r = std::get_if<rule::Any>(&node)) return any(r->children);
  if (const auto* r = std::get_if<rule::Not>(&node)) return looks_elsewhere(r->child[0]);
  return false;
}

// A table that the rule looks at and that is not there, as written.
std::optional<std::string> absent_table(Catalogue& catalogue, const Predicate& p) {
  const auto& node = p.node().rule;
  const auto first = [&](const std::vector<Predicate>& list) -> std::optional<std::string> {
    for (const Predicate& child : list) {
      if (auto found = absent_table(catalogue, child)) return found;
    }
    return std::nullopt;
  };
  if (const auto* r = std::get_if<rule::All>(&node)) return first(r->children);
  if (const auto* r = std::get_if<rule::Any>(&node)) return first(r->children);
  if (const auto* r = std::get_if<rule::Not>(&node)) return first(r->child);
  const auto* reference = std::get_if<rule::ReferencedBy>(&node);
  if (reference == nullptr) return std::nullopt;
  if (catalogue.find(reference->table) == nullptr) return reference->table;
  return reference->where ? absent_table(catalogue, *reference->where) : std::nullopt;
}

// Rows that match, or nothing when the budget ran out.
std::optional<std::int64_t> count_within(Session& session, const PurgeSpec& spec, const PlanOptions& options, std::int64_t& budget_ms) {
  if (options.exact) return session.count(spec);
  if (budget_ms <= 0) return std::nullopt;
  const auto start = std::chrono::steady_clock::now();
  std::optional<std::int64_t> rows;
  {
    Deadline deadline(session, budget_ms);
    try {
      rows = session.count(spec);
    } catch (const sdk::Error& e) {
      if (e.code() != PK_CANCELLED && e.code() != PK_STATEMENT_TIMEOUT) throw;
    }
  }
  budget_ms -= std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
  return rows;
}

std::int64_t estimate(Session& session, const PurgeSpec& spec, std::int64_t fallback) {
  try {
    return session.estimate(spec);
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_SUPPORTED) throw;
    return fallback;
  }
}

void count_rows(Session& session, const PurgeSpec& matching, const PlanOptions& options, PolicyPlan& plan) {
  std::int64_t budget_ms = options.count_budget_ms;
  const LoweredPredicate all_rows = lower_all_rows();
  const PurgeSpec everything(plan.table, all_rows.view());
  const auto purgeable = count_within(session, matching, options, budget_ms);
  const auto total = count_within(session, everything, options, budget_ms);
  plan.exact = purgeable.has_value() && total.has_value();
  plan.rows_purgeable = purgeable ? *purgeable : std::max<std::int64_t>(0, estimate(session, matching, 0));
  // Counted after: others may have deleted in between, and more than all of a table is never purgeable.
  plan.rows_total = total ? std::max(*total, plan.rows_purgeable) : std::max(plan.rows_purgeable, std::max<std::int64_t>(0, plan.table.rows_estimate));
  if (!purgeable && plan.rows_total > 0) plan.rows_purgeable = std::min(plan.rows_purgeable, plan.rows_total);
  if (!plan.exact) {
    plan.warnings.push_back({"estimated", "counting took longer than " + std::to_string(options.count_budget_ms) + " ms, so the figures are estimates; --exact counts to the end"});
  }
}

void warn_about_fraction(const PlanOptions& options, PolicyPlan& plan) {
  const double most = effective_max_fraction(options.max_fraction, plan.policy);
  if (plan.rows_total == 0) return;
  const double share = static_cast<double>(plan.rows_purgeable) / static_cast<double>(plan.rows_total);
  if (share > most) {
    char text[160];
    std::snprintf(text, sizeof text, "%.4g of the table is purgeable, more than max-fraction %.4g allows: a run refuses; pass --max-fraction if it is right", share, most);
    plan.warnings.push_back({"max_fraction", text});
  }
}

void warn_about_server(const sdk::Server& server, PolicyPlan& plan) {
  if (!server.loopback && !server.tls_verified) {
    plan.warnings.push_back({"tls_unverified", server.tls ? "the connection is encrypted, but the server's certificate is not verified; set the TLS options of the URL"
                                                          : "the connection is not encrypted and the server is not on this machine; set the TLS options of the URL"});
  }
  if (server.read_only) plan.warnings.push_back({"read_only", "the database is read-only here: a run refuses"});
  for (const std::string& warning : server.warnings) plan.warnings.push_back({"server", warning});
}

std::int64_t common_cutoff(const std::vector<TimeUse>& uses, const Policy& policy, std::int64_t now_ns) {
  const bool same = !uses.empty() && std::all_of(uses.begin(), uses.end(), [&](const TimeUse& u) { return u.cutoff_ns == uses[0].cutoff_ns; });
  return same ? uses[0].cutoff_ns : cutoff_before(now_ns, policy.grace_ns, policy.table);
}

sdk::Walk best_walk(const std::vector<sdk::Walk>& walks, const Table& table) {
  if (walks.empty()) refuse("no_walk", "no safe way to walk through " + full_name(table) + " was found; add a primary key");
  return *std::min_element(walks.begin(), walks.end(), [](const sdk::Walk& a, const sdk::Walk& b) { return a.cost < b.cost; });
}

// Each chunk of such a walk reads from the start of the table up to the rows it finds.
void refuse_endless_scan(const PolicyPlan& plan) {
  constexpr std::int64_t most_chunks = 50;
  if (plan.walk.strategy != "scan" || plan.rows_total <= most_chunks * plan.chunk_rows) return;
  refuse("scan", full_name(plan.table) + " has about " + std::to_string(plan.rows_total) + " rows and can't be walked: " + plan.walk.reason);
}

std::vector<std::string> prepared(Session& session, const PurgeSpec& purge, const PolicyPlan& plan) {
  try {
    return session.prepare(purge);
  } catch (const sdk::Error& e) {
    if (!plan.files || e.code() != PK_NOT_SUPPORTED) throw;
    refuse("archive_not_offered", std::string("backend ") + session.backend().name + " can't give deleted rows away to files: " + e.message());
  }
}

// A ledger that can't be read is refused by the run; a plan says that it does not know of holds.
std::vector<sdk::RunRecord> find_holds(Session& session, const std::string& ledger, std::vector<Warning>& warnings) {
  if (ledger.empty() || ledger == "none") return {};
  try {
    const pk_ledger_state state = session.ledger_find(parse_table_name(ledger)).state;
    if (state == PK_LEDGER_PRESENT || state == PK_LEDGER_OLDER) return hold_notes(session);
    if (state == PK_LEDGER_ABSENT) return {};
    warnings.push_back({"holds_unknown", "the ledger " + ledger + " can't be read by this version, so nothing is known of holds: a run refuses"});
  } catch (const sdk::Error& e) {
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    warnings.push_back({"holds_unknown", "the ledger " + ledger + " can't be read, so nothing is known of holds: " + e.message()});
  }
  return {};
}

void count_held(Session& session, const LowerInput& input, const PlanOptions& options, PolicyPlan& plan) {
  if (plan.holds.empty() && !plan.policy.hold) return;
  std::int64_t budget_ms = options.count_budget_ms;
  const LoweredPredicate whole = lower(plan.policy.where, input);
  const auto matching = plan.exact ? count_within(session, PurgeSpec(plan.table, whole.view()), options, budget_ms) : std::nullopt;
  if (matching) plan.rows_held = std::max<std::int64_t>(0, *matching - plan.rows_purgeable);
  std::string by;
  for (const HoldInForce& hold : plan.holds) by += (by.empty() ? "" : ", ") + hold.id + (hold.reason.empty() ? "" : " (" + hold.reason + ")");
  if (plan.policy.hold) by += std::string(by.empty() ? "" : ", ") + "the policy's own hold";
  plan.warnings.push_back({"held", (plan.rows_held ? std::to_string(*plan.rows_held) : std::string("an unknown number of")) + " rows that the rule takes are held and stay: " + by});
}

PolicyPlan plan_policy(Session& session, Catalogue& catalogue, const Policy& policy, const PlanOptions& options, const sdk::Server& server, const std::vector<sdk::RunRecord>& notes) {
  policy.check();
  PolicyPlan plan{policy, false, {}, 0, 0, 0, 0, false, {}, 0, {}, {}, {}, {}, {}, {}};
  plan.now_ns = options.now_ns.value_or(server.clock_utc_ns);
  plan.cutoff_ns = cutoff_before(plan.now_ns, policy.grace_ns, policy.table);
  const Table* table = policy.optional ? catalogue.find(policy.table) : &catalogue.table(policy.table);
  const std::optional<std::string> absent = table == nullptr ? policy.table : policy.optional ? absent_table(catalogue, policy.deletable()) : std::nullopt;
  if (absent) {
    plan.skipped = true;
    plan.exact = true;
    plan.warnings.push_back({"table_absent", "table " + printable(*absent) + (table == nullptr ? "" : ", which the rule looks at,") + " does not exist here; the policy is skipped"});
    return plan;
  }
  plan.table = *table;
  plan.chunk_rows = options.chunk_rows;
  check_kind(plan.table);
  const LowerInput input = catalogue.input(*table, plan.now_ns, policy, options.zones);
  const std::vector<TimeUse> uses = time_uses(policy.where, input);
  plan.cutoff_ns = common_cutoff(uses, policy, plan.now_ns);
  std::vector<std::string> passed_over;
  plan.dependents = resolve_dependents(catalogue, policy, plan.table, &passed_over);
  warn_of_absent(passed_over, plan);
  check_references(catalogue, plan.table, plan);
  plan.holds = holds_in_force(session, catalogue, notes, plan.table, plan.dependents);
  const LoweredPredicate predicate = lower(purgeable(policy, plan.holds), input);
  plan_archives(catalogue, policy, options.archive, options.zones, plan);
  warn_about_server(server, plan);
  if (!plan.table.delete_triggers.empty()) {
    plan.warnings.push_back({"delete_trigger", "trigger " + plan.table.delete_triggers[0] + " of " + full_name(plan.table) + " runs for each deleted row; what it does is not counted"});
  }
  const Predicate doomed = deletable(policy, plan.holds);
  if (has_raw_sql(policy.deletable())) plan.warnings.push_back({"raw_sql", "the rule holds raw SQL, which is trusted like code: " + policy.deletable().to_text()});
  if (looks_elsewhere(doomed) || !plan.dependents.empty()) {
    plan.warnings.push_back({"snapshot", "conditions on other rows hold as of each deleting statement's snapshot; those on the row itself are re-checked on its latest version"});
  }
  const PurgeSpec matching(plan.table, predicate.view(), "", plan.dependents);
  count_rows(session, matching, options, plan);
  count_held(session, input, options, plan);
  check_clocks(session, input, uses, plan);
  warn_about_fraction(options, plan);
  const LoweredPredicate guarded = lower_guarded(doomed, input, plan.guards);
  const PurgeSpec proposal(plan.table, guarded.view(), "", plan.dependents, plan.archives);
  check_archives(session, plan.archives, proposal, false, &plan.warnings);
  plan_move(session, proposal, options, plan);
  if (!plan.move) {
    plan.walks = session.propose(proposal, plan.rows_total, plan.rows_purgeable);
    plan.walk = best_walk(plan.walks, plan.table);
  }
  refuse_endless_scan(plan);
  const PurgeSpec chosen(plan.table, guarded.view(), plan.walk.id, plan.dependents, plan.archives, "", plan.files ? &planning_sink() : nullptr);
  plan.statements = prepared(session, chosen, plan);
  sample_rows(session, chosen, options, plan);
  std::optional<Rehearsal> rehearsal;
  if (options.rehearse && plan.rows_purgeable > 0) {
    try {
      rehearsal = rehearse(session, plan, guarded.view(), options.chunk_ms);
    } catch (const sdk::Error& e) {
      if (e.connection_lost()) throw;
      plan.warnings.push_back({"rehearsal", "the rehearsed chunk did not go through and was rolled back: " + e.message()});
    }
  }
  const bool sized = plan.table.bytes >= 0 && plan.table.index_bytes >= 0;
  const bool whole_walk = plan.walk.strategy != "index-range" && plan.walk.strategy != "scan";
  plan.forecast = forecast(plan.rows_total, plan.rows_purgeable, sized ? plan.table.bytes + plan.table.index_bytes : -1, whole_walk, rehearsal, options.chunk_ms);
  if (plan.move) forecast_move(plan);
  return plan;
}

}  // namespace

const Table* Catalogue::find(const std::string& written_name) {
  if (const auto known = tables_.find(written_name); known != tables_.end()) return &known->second;
  try {
    return &tables_.emplace(written_name, session_.describe(parse_table_name(written_name))).first->second;
  } catch (const sdk::Error& e) {
    if (e.code() == PK_NOT_FOUND) return nullptr;
    throw;
  }
}

const Table& Catalogue::table(const std::string& written_name) {
  if (const Table* found = find(written_name)) return *found;
  const sdk::TableName name = parse_table_name(written_name);
  std::vector<std::string> names;
  try {
    names = session_.tables(name);
  } catch (const sdk::Error&) {
    // Without suggestions the message is still right.
  }
  throw EngineError(ErrorKind::policy, "unknown_table", "no table " + printable(written_name) + " in this database" + did_you_mean(name.name, names)).table(written_name);
}

LowerInput Catalogue::input(const Table& table, std::int64_t now_ns, std::int64_t grace_ns, const Zones& zones) {
  return LowerInput{table, now_ns, grace_ns, zones, [this](const std::string& name) -> const Table& { return readable(this->table(name)); }};
}

std::vector<sdk::Dependent> resolve_dependents(Catalogue& catalogue, const Policy& policy, const Table& table, std::vector<std::string>* absent) {
  std::vector<sdk::Dependent> out;
  std::map<std::string, std::uint32_t> place_of;  // by the table as written; of those that are there
  for (const DependentRule& rule : policy.dependents) {
    const auto place = place_of.find(rule.of);
    const Table* child = rule.optional ? catalogue.find(rule.table) : &catalogue.table(rule.table);
    const bool has_parent = rule.of.empty() || place != place_of.end();
    const Table* parent = rule.of.empty() ? &table : nullptr;
    if (has_parent && parent == nullptr) parent = catalogue.find(table_name_text(out.at(place->second - 1).schema, out.at(place->second - 1).table));
    const bool joins = child != nullptr && parent != nullptr && std::all_of(rule.on.begin(), rule.on.end(), [&](const auto& on) { return !rule.optional || (has_column(*child, on.first) && has_column(*parent, on.second)); });
    if (!joins) {
      if (absent != nullptr) absent->push_back(printable(rule.table));
      continue;
    }
    check_kind(*child);
    sdk::Dependent d;
    d.schema = child->schema;
    d.table = child->name;
    d.unless_referenced = rule.unless_referenced;
    if (!rule.of.empty()) {
      // Both levels go before what they hang on, or nobody would know any more which rows hung on it.
      d.parent = place->second;
      d.unless_referenced = out.at(d.parent - 1).unless_referenced = false;
    }
    for (const auto& [child_column, parent_column] : rule.on) {
      d.columns.push_back(resolve_column(*child, child_column).name);
      d.parent_columns.push_back(resolve_column(*parent, parent_column).name);
    }
    out.push_back(std::move(d));
    const bool keyed = std::any_of(parent->references.begin(), parent->references.end(), [&](const sdk::Reference& r) { return r.enforced && is_declared(r, {out.back()}, out.back().parent); });
    if (keyed) out.back().unless_referenced = false;  // what a foreign key refers to is unique: no other row has its values
    place_of[rule.table] = static_cast<std::uint32_t>(out.size());
  }
  refuse_undeclared(catalogue, out);
  return out;
}

double effective_max_fraction(const std::optional<double>& given, const Policy& policy) {
  return given ? *given : policy.max_fraction.value_or(0.98);
}

Plan make_plan(Session& session, const std::vector<Policy>& policies, const PlanOptions& options) {
  Plan plan;
  plan.backend = session.backend().name;
  plan.server = session.inspect();
  plan.clock_skew_ns = plan.server.clock_utc_ns - now_here_ns();
  plan.zones = options.zones;
  Catalogue catalogue(session);
  std::vector<Warning> warnings;
  const std::vector<sdk::RunRecord> notes = find_holds(session, options.ledger, warnings);
  for (const Policy& policy : policies) {
    try {
      plan.policies.push_back(plan_policy(session, catalogue, policy, options, plan.server, notes));
      plan.policies.back().warnings.insert(plan.policies.back().warnings.end(), warnings.begin(), warnings.end());
    } catch (EngineError& e) {
      if (e.policy().empty()) e.policy(policy.name);
      if (e.table().empty()) e.table(policy.table);
      throw;
    } catch (const sdk::Error& e) {
      throw EngineError(e).policy(policy.name).table(policy.table);
    }
  }
  refuse_shared_archives(plan.policies);
  return plan;
}

}  // namespace purgekit
