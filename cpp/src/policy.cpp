#include "purgekit/policy.hpp"

#include <algorithm>
#include <cmath>

#include "fuses.hpp"
#include "hold_rule.hpp"
#include "json.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"

namespace purgekit {
namespace {

const std::vector<std::string> strategies = {"auto", "partition", "swap", "truncate"};
constexpr std::int64_t least_move_window_ns = 10'000'000;
constexpr std::int64_t most_move_window_ns = 86'400'000'000'000;

// One part of a dotted name; `quoted` tells whether it stood in double quotes.
std::string next_part(std::string_view& rest, bool& quoted, std::string_view whole) {
  std::string part;
  quoted = !rest.empty() && rest[0] == '"';
  if (!quoted) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    part = rest.substr(0, end);
    rest.remove_prefix(end);
    if (part.find('"') != std::string::npos) bad_policy("table name " + printable(whole) + ": a name with a quote stands in double quotes, the quote doubled");
    return part;
  }
  rest.remove_prefix(1);
  while (!rest.empty()) {
    if (rest[0] == '"') {
      if (rest.size() > 1 && rest[1] == '"') {
        part += '"';
        rest.remove_prefix(2);
        continue;
      }
      rest.remove_prefix(1);
      return part;
    }
    part += rest[0];
    rest.remove_prefix(1);
  }
  bad_policy("table name " + printable(whole) + " has a double quote that is not closed");
}

}  // namespace

std::string name_text(std::string_view name) {
  const bool plain = name.find_first_of(".\"") == std::string_view::npos;
  if (plain) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += c;
    out += c;
  }
  return out + "\"";
}

sdk::TableName parse_table_name(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) bad_policy("a table name holds a NUL character");
  sdk::TableName out;
  std::string_view rest = text;
  out.name = next_part(rest, out.name_quoted, text);
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    out.schema = std::move(out.name);
    out.schema_quoted = out.name_quoted;
    if (out.schema.empty()) bad_policy("table name " + printable(text) + " has an empty schema");
    out.name = next_part(rest, out.name_quoted, text);
  }
  if (!rest.empty()) bad_policy("table name " + printable(text) + " has too many parts: write schema.table, and names with a dot in double quotes");
  if (out.name.empty()) bad_policy("a table name is empty");
  return out;
}

std::string table_name_text(std::string_view schema, std::string_view name) {
  return (schema.empty() ? "" : name_text(schema) + ".") + name_text(name);
}

void Policy::check() const {
  if (name.empty()) bad_policy("a policy needs a name");
  parse_table_name(table);
  if (grace_ns < 0) bad_policy("policy " + printable(name) + ": grace is negative");
  if (std::find(strategies.begin(), strategies.end(), strategy) == strategies.end()) {
    bad_policy("policy " + printable(name) + ": unknown strategy " + printable(strategy) + did_you_mean(strategy, strategies) + "; it is auto, partition, swap or truncate");
  }
  if (move_window_ns < least_move_window_ns || move_window_ns > most_move_window_ns) {
    bad_policy("policy " + printable(name) + ": move_window must lie between 10ms and 1d");
  }
  if (max_fraction && !(*max_fraction > 0 && *max_fraction <= 1)) bad_policy("policy " + printable(name) + ": max_fraction must lie above 0 and at most at 1");
  for (const DependentRule& d : dependents) {
    parse_table_name(d.table);
    if (d.on.empty()) bad_policy("policy " + printable(name) + ": dependent " + printable(d.table) + " needs on = { CHILD_COLUMN = \"COLUMN\" }");
    const auto before = std::find_if(dependents.begin(), dependents.end(), [&](const DependentRule& other) { return &other == &d || other.table == d.of; });
    if (!d.of.empty() && &*before == &d) {
      bad_policy("policy " + printable(name) + ": dependent " + printable(d.table) + " is of " + printable(d.of) + ", which must stand before it among the dependents");
    }
  }
  if (moved_to && !archive.empty()) bad_policy("policy " + printable(name) + " has two archives");
  const auto mapped = std::find_if(dependents.begin(), dependents.end(), [](const DependentRule& d) { return d.moved_to.has_value(); });
  if (mapped != dependents.end() && !moved_to) {
    bad_policy("policy " + printable(name) + ": dependent " + printable(mapped->table) + " is moved into another table, so its parents need that too: archive = { table = … } of the policy");
  }
  if (evidence_retention_ns && *evidence_retention_ns <= 0) bad_policy("policy " + printable(name) + ": evidence_retention must be above 0; leave it out to keep evidence for ever");
  check_fuses(*this);
}

Predicate Policy::purgeable() const { return hold ? Predicate::all_of({where, not_held(*hold)}) : where; }

Predicate Policy::deletable() const { return held_while ? Predicate::all_of({purgeable(), Predicate::negation(*held_while)}) : purgeable(); }

std::string Policy::to_json() const {
  Json out = {{"name", name}, {"table", table}, {"grace", format_duration(grace_ns)}, {"where", Json::parse(where.to_json())}};
  if (max_fraction) out["max_fraction"] = *max_fraction;
  if (optional) out["optional"] = true;
  if (held_while) out["held_while"] = Json::parse(held_while->to_json());
  if (hold) out["hold"] = Json::parse(hold->to_json());
  if (!archive.empty()) out["archive"] = archive;
  if (moved_to) out["archive"] = Json::parse(moved_to->to_json());
  // What is as by default is left out: the text is hashed, and walks begun by an earlier version go on.
  if (strategy != "auto") out["strategy"] = strategy;
  if (move_window_ns != default_move_window_ns) out["move_window"] = format_duration(move_window_ns);
  write_fuses(fuses, out);
  if (evidence_retention_ns) out["evidence_retention"] = format_duration(*evidence_retention_ns);
  if (!dependents.empty()) {
    out["dependents"] = Json::array();
    for (const DependentRule& d : dependents) {
      Json on = Json::object();
      for (const auto& [child, parent] : d.on) on[child] = parent;
      out["dependents"].push_back({{"table", d.table}, {"on", on}, {"unless_referenced", d.unless_referenced}, {"optional", d.optional}});
      if (d.moved_to) out["dependents"].back()["archive"] = Json::parse(d.moved_to->to_json());
      if (!d.of.empty()) out["dependents"].back()["of"] = d.of;
    }
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Policy Policy::from_json(std::string_view text) {
  const Json json = parse_json(text, "the policy");
  only_keys(json, {"name", "table", "grace", "where", "max_fraction", "optional", "dependents", "held_while", "hold", "archive", "strategy", "move_window", "approval", "within", "min_retention", "evidence_retention"}, "the policy");
  if (!json.contains("where")) bad_policy("a policy without a rule would take every row; give it one");
  Policy out{text_member(json, "name", "the policy"), text_member(json, "table", "the policy"), Predicate::from_json(json["where"].dump()), default_grace_ns, {}, {}, false, {}, ""};
  if (json.contains("held_while")) out.held_while = Predicate::from_json(json["held_while"].dump());
  if (json.contains("hold")) out.hold = Predicate::from_json(json["hold"].dump());
  if (json.contains("archive") && json["archive"].is_object()) out.moved_to = ArchiveMapping::from_json(json["archive"].dump());
  else if (json.contains("archive")) out.archive = text_member(json, "archive", "the policy");
  out.fuses = read_fuses(json);
  if (json.contains("evidence_retention")) out.evidence_retention_ns = duration_of(json["evidence_retention"], "evidence_retention");
  out.strategy = text_member(json, "strategy", "the policy", "auto");
  if (json.contains("move_window")) out.move_window_ns = duration_of(json["move_window"], "move_window");
  if (json.contains("grace")) out.grace_ns = duration_of(json["grace"], "grace");
  if (json.contains("max_fraction")) {
    if (!json["max_fraction"].is_number()) bad_policy("max_fraction must be a number");
    out.max_fraction = json["max_fraction"].get<double>();
  }
  out.optional = bool_member(json, "optional", "the policy", false);
  const Json dependents = json.value("dependents", Json::array());
  if (!dependents.is_array()) bad_policy("dependents must be a list");
  for (const Json& d : dependents) {
    only_keys(d, {"table", "on", "unless_referenced", "optional", "archive", "of"}, "a dependent");
    DependentRule rule;
    rule.table = text_member(d, "table", "a dependent");
    const Json on = d.value("on", Json::object());
    if (!on.is_object()) bad_policy("on in a dependent must be a table of columns");
    for (const auto& [child, parent] : on.items()) {
      if (!parent.is_string()) bad_policy("on in a dependent must name columns");
      rule.on.emplace_back(child, parent.get<std::string>());
    }
    rule.unless_referenced = bool_member(d, "unless_referenced", "a dependent", true);
    rule.optional = bool_member(d, "optional", "a dependent", false);
    if (d.contains("archive")) rule.moved_to = ArchiveMapping::from_json(d["archive"].dump());
    rule.of = text_member(d, "of", "a dependent", "");
    out.dependents.push_back(std::move(rule));
  }
  out.check();
  return out;
}

}  // namespace purgekit
