#include "hold.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "foreign_record.hpp"
#include "hold_rule.hpp"
#include "purgekit/error.hpp"
#include "purgekit/lower.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::string_view schema_family = "purgekit.hold/";
constexpr const char* hold_schema = "purgekit.hold/1";

[[noreturn]] void refuse_hold(const std::string& id, const std::string& what) {
  refuse(hold_unreadable, "hold " + printable(id) + " " + what + "; nothing is purged that it might protect: mend it, or let go of it with purgekit hold release");
}

bool equal_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Whether the hold's table is this one. Names that differ in their case only are asked about: who wrote the note may not have looked.
bool is_on(Catalogue& catalogue, const Hold& hold, const sdk::TableName& name, const std::string& schema, const std::string& table) {
  if (name.name == table && name.schema == schema) return true;
  if (!equal_name(name.name, table) || !(name.schema.empty() || equal_name(name.schema, schema))) return false;
  const sdk::Table* found = catalogue.find(hold.table);
  return found != nullptr && found->name == table && found->schema == schema;
}

// What two columns hold, as far as comparing them goes; 0: anything.
int family(pk_column_kind kind) {
  switch (kind) {
    case PK_COLUMN_INT:
    case PK_COLUMN_UINT:
    case PK_COLUMN_DECIMAL:
    case PK_COLUMN_REAL:
    case PK_COLUMN_BOOL:
    case PK_COLUMN_BIT: return 1;
    case PK_COLUMN_TEXT: return 2;
    case PK_COLUMN_UUID: return 3;
    case PK_COLUMN_BYTES: return 4;
    case PK_COLUMN_DATE:
    case PK_COLUMN_TIMESTAMP:
    case PK_COLUMN_TIMESTAMP_ZONED:
    case PK_COLUMN_TIME: return 5;
    default: return 0;
  }
}

void check_keys(Session& session, const rule::ReferencedBy& keys, const sdk::Table& table, const LowerInput& input) {
  const sdk::Table& holding = input.other_table(keys.table);
  for (const rule::Join& join : keys.on) {
    const sdk::Column& theirs = resolve_column(holding, join.other_column);
    const sdk::Column& ours = resolve_column(table, join.this_column);
    if (family(theirs.kind) != 0 && family(ours.kind) != 0 && family(theirs.kind) != family(ours.kind)) {
      bad_policy(holding.name + "." + theirs.name + " is " + theirs.type_name + " and " + table.name + "." + ours.name + " is " + ours.type_name + ", which do not compare; keep the keys in a column of the same type");
    }
    if (!theirs.nullable) continue;
    const Predicate no_key = Predicate::is_null(theirs.name);
    const LoweredPredicate lowered = lower(keys.where ? Predicate::all_of({*keys.where, no_key}) : no_key, LowerInput{holding, input.now_ns, input.grace_ns, input.zones, input.other_table});
    if (session.count(PurgeSpec(holding, lowered.view())) > 0) {
      bad_policy("table " + table_name_text(holding.schema, holding.name) + " has rows whose " + theirs.name + " is NULL, and nobody can tell what these hold; give them a key or delete them");
    }
  }
}

}  // namespace

std::string Hold::to_document() const {
  const Json json = {{"schema", hold_schema}, {"table", table}, {"form", form}, {"rule", Json::parse(rule.to_json())}, {"reason", reason}, {"by", by}, {"created_utc", created_utc}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Hold read_hold(const sdk::RunRecord& note) {
  const Json json = foreign_record(note.document);
  const std::string schema = foreign_text(json, "schema");
  if (schema != hold_schema && schema.rfind(schema_family, 0) == 0) refuse_hold(note.id, "was written by a newer version of purgekit (" + printable(schema) + "), and this one can't tell what it holds");
  const std::string table = foreign_text(json, "table");
  const auto rule = json.find("rule");
  if (schema != hold_schema || table.empty() || rule == json.end()) refuse_hold(note.id, "is damaged: its note in the ledger is no hold that this version can read");
  try {
    parse_table_name(table);
    return Hold{note.id, table, foreign_text(json, "form", "rule"), Predicate::from_json(rule->dump()), foreign_text(json, "reason"), foreign_text(json, "by"), foreign_text(json, "created_utc")};
  } catch (const EngineError& e) {
    refuse_hold(note.id, "is damaged: " + e.message());
  }
}

std::vector<sdk::RunRecord> hold_notes(Session& session) {
  try {
    return session.note_list(hold_note_kind);
  } catch (const sdk::Error& e) {
    if (e.code() == PK_NOT_SUPPORTED) return {};  // a backend without notes has no holds
    throw;
  }
}

void check_hold(Session& session, Catalogue& catalogue, const Hold& hold, const sdk::Table& table) {
  std::vector<std::string> zones;
  collect_zones(hold.rule, zones);
  if (!zones.empty()) bad_policy("the times of a hold are read in UTC: leave timezone out, or give instants");
  const Zones no_zones;
  const LowerInput input = catalogue.input(table, 0, std::int64_t{0}, no_zones);
  if (has_raw_sql(hold.rule)) bad_policy("raw SQL is trusted like code and not taken from a ledger, which others may write; say it by columns, by a table of keys, or in the hold of a policy");
  lower(not_held(hold.rule), input);
  if (const auto* keys = std::get_if<rule::ReferencedBy>(&hold.rule.node().rule)) check_keys(session, *keys, table, input);
}

namespace {

// Of a row of the purge's own table: it would take such rows of the dependent along.
Predicate goes_with(const sdk::Dependent& d, const Predicate& rows, const std::vector<sdk::Dependent>& dependents) {
  rule::ReferencedBy child{table_name_text(d.schema, d.table), {}, std::make_shared<const Predicate>(rows)};
  for (std::size_t i = 0; i < d.columns.size(); ++i) child.on.push_back({d.columns[i], PK_EQ, d.parent_columns[i]});
  const Predicate here = Predicate::referenced_by(std::move(child));
  return d.parent == 0 ? here : goes_with(dependents.at(d.parent - 1), here, dependents);
}

}  // namespace

std::vector<HoldInForce> holds_in_force(Session& session, Catalogue& catalogue, const std::vector<sdk::RunRecord>& notes, const sdk::Table& table,
                                        const std::vector<sdk::Dependent>& dependents) {
  std::vector<HoldInForce> out;
  for (const sdk::RunRecord& note : notes) {
    const Hold hold = read_hold(note);
    try {
      const sdk::TableName name = parse_table_name(hold.table);
      if (is_on(catalogue, hold, name, table.schema, table.name)) {
        check_hold(session, catalogue, hold, table);
        out.push_back({hold.id, hold.form, hold.reason, not_held(hold.rule)});
      }
      for (const sdk::Dependent& d : dependents) {
        if (!is_on(catalogue, hold, name, d.schema, d.table)) continue;
        const std::string child = table_name_text(d.schema, d.table);
        check_hold(session, catalogue, hold, catalogue.table(child));
        out.push_back({hold.id, hold.form, hold.reason, Predicate::negation(goes_with(d, perhaps_held(hold.rule), dependents))});
      }
    } catch (const EngineError& e) {
      refuse_hold(hold.id, "on " + printable(hold.table) + " can't be followed: " + e.message());
    } catch (const sdk::Error& e) {
      if (e.connection_lost() || e.retryable() || e.code() == PK_CANCELLED) throw;
      refuse_hold(hold.id, "on " + printable(hold.table) + " can't be followed: " + e.message());
    }
  }
  return out;
}

Predicate purgeable(const Policy& policy, const std::vector<HoldInForce>& holds) {
  std::vector<Predicate> all{policy.purgeable()};
  for (const HoldInForce& hold : holds) all.push_back(hold.unless);
  return Predicate::all_of(all);
}

Predicate deletable(const Policy& policy, const std::vector<HoldInForce>& holds) {
  std::vector<Predicate> all{policy.deletable()};
  for (const HoldInForce& hold : holds) all.push_back(hold.unless);
  return Predicate::all_of(all);
}

}  // namespace purgekit
