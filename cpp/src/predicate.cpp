#include "purgekit/predicate.hpp"

#include <algorithm>
#include <cmath>

#include "purgekit/error.hpp"

namespace purgekit {
namespace {

template <class Rule>
std::shared_ptr<const Predicate::Node> make(Rule rule, int levels = 0) {
  if (levels > Predicate::most_levels) {
    bad_policy("rules are nested deeper than " + std::to_string(Predicate::most_levels) + " levels of all, any and referenced_by (which counts twice); write them flatter, or as two policies");
  }
  return std::make_shared<const Predicate::Node>(Predicate::Node{std::move(rule), levels});
}

int levels_above(const std::vector<Predicate>& children) {
  int most = 0;
  for (const Predicate& child : children) most = std::max(most, child.node().levels);
  return most + 1;
}

void need_column(const std::string& column, const char* where) {
  if (column.empty()) bad_policy(std::string(where) + " needs a column name");
}

void check_time(const rule::Time& time, const char* where) {
  need_column(time.column, where);
  if (time.grace_ns && *time.grace_ns < 0) bad_policy(std::string(where) + ": grace is negative");
  if (time.unit != Unit::timestamp && (time.timezone != "UTC" || time.stored_wall)) {
    bad_policy(std::string(where) + " of " + time.column + ": timezone and stored go with unit = \"timestamp\" only; a number counts from the epoch in UTC");
  }
}

// "-12.5": a sign, digits, a point among or before them.
bool is_decimal(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const std::size_t point = text.find('.');
  const bool has_point = point != std::string_view::npos;
  const std::string digits = std::string(text.substr(0, point)) + std::string(has_point ? text.substr(point + 1) : "");
  return !digits.empty() && text.size() <= 80 && digits.find_first_not_of("0123456789") == std::string::npos;
}

// What every database can be given, and JSON can hold.
void check_number(const Value& value, const std::string& where) {
  if (value.kind == PK_VALUE_REAL && !std::isfinite(value.f64)) bad_policy(where + ": NaN and infinity can't be compared with; leave the rule out, or use a finite number");
  if (value.kind == PK_VALUE_DECIMAL && !is_decimal(value.text)) bad_policy(where + ": a decimal is a number of at most 80 digits, such as -12.5");
}

void check_value(const Value& value, const std::string& column) {
  if (value.kind == PK_VALUE_NULL) bad_policy("a comparison of " + column + " with NULL is never true: write null = true");
  check_number(value, "a comparison of " + column);
}

// Children of the same connective are drawn up, so that (a & b) & c equals all = [a, b, c].
template <class List>
std::vector<Predicate> flattened(const std::vector<Predicate>& children) {
  std::vector<Predicate> out;
  for (const Predicate& child : children) {
    if (const auto* list = std::get_if<List>(&child.node().rule)) {
      out.insert(out.end(), list->children.begin(), list->children.end());
    } else {
      out.push_back(child);
    }
  }
  return out;
}

}  // namespace

Unit parse_unit(std::string_view text) {
  static const std::vector<std::string> names = {"s", "ms", "us", "ns", "timestamp"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return static_cast<Unit>(i);
  }
  if (text.empty()) bad_policy("a unit is needed: s, ms, us, ns (since the epoch) or timestamp");
  static const std::vector<std::pair<std::string, std::string>> words = {
      {"sec", "s"}, {"secs", "s"}, {"second", "s"}, {"seconds", "s"}, {"milli", "ms"}, {"millis", "ms"}, {"milliseconds", "ms"}, {"micros", "us"},
      {"microseconds", "us"}, {"nano", "ns"}, {"nanos", "ns"}, {"nanoseconds", "ns"}, {"datetime", "timestamp"}, {"date", "timestamp"}};
  for (const auto& [word, unit] : words) {
    if (word == text) bad_policy("unknown unit \"" + std::string(text) + "\" (did you mean " + unit + "?): s, ms, us, ns or timestamp");
  }
  bad_policy("unknown unit \"" + std::string(text) + "\"" + did_you_mean(text, names) + ": s, ms, us, ns or timestamp");
}

const char* unit_text(Unit unit) {
  switch (unit) {
    case Unit::seconds: return "s";
    case Unit::milliseconds: return "ms";
    case Unit::microseconds: return "us";
    case Unit::nanoseconds: return "ns";
    case Unit::timestamp: return "timestamp";
  }
  return "timestamp";
}

std::int64_t unit_ns(Unit unit) {
  switch (unit) {
    case Unit::seconds: return 1'000'000'000;
    case Unit::milliseconds: return 1'000'000;
    case Unit::microseconds: return 1'000;
    case Unit::nanoseconds: return 1;
    case Unit::timestamp: return 0;
  }
  return 0;
}

pk_op parse_op(std::string_view text) {
  if (text == "=" || text == "==") return PK_EQ;
  if (text == "<>" || text == "!=") return PK_NE;
  if (text == "<") return PK_LT;
  if (text == "<=") return PK_LE;
  if (text == ">") return PK_GT;
  if (text == ">=") return PK_GE;
  bad_policy("unknown comparison \"" + std::string(text) + "\": write =, <>, <, <=, > or >=");
}

const char* op_symbol(pk_op op) {
  switch (op) {
    case PK_EQ: return "=";
    case PK_NE: return "<>";
    case PK_LT: return "<";
    case PK_LE: return "<=";
    case PK_GT: return ">";
    case PK_GE: return ">=";
  }
  return "=";
}

bool rule::ReferencedBy::operator==(const ReferencedBy& other) const {
  if (table != other.table || on != other.on || (where == nullptr) != (other.where == nullptr)) return false;
  return where == nullptr || *where == *other.where;
}

bool Predicate::operator==(const Predicate& other) const { return node_ == other.node_ || node_->rule == other.node_->rule; }

Predicate Predicate::compare(std::string column, pk_op op, Value value) {
  need_column(column, "a comparison");
  check_value(value, column);
  return Predicate(make(rule::Compare{std::move(column), op, std::move(value)}));
}

Predicate Predicate::in(std::string column, std::vector<Value> values) {
  need_column(column, "a list of values");
  if (values.empty()) bad_policy("the list of values for " + column + " is empty");
  if (values.size() > 1'000) bad_policy("the list of values for " + column + " is longer than 1000; keep it in a table and use not_referenced_by");
  for (const Value& value : values) check_value(value, column);
  return Predicate(make(rule::In{std::move(column), std::move(values)}));
}

Predicate Predicate::is_null(std::string column) {
  need_column(column, "a null rule");
  return Predicate(make(rule::IsNull{std::move(column)}));
}

Predicate Predicate::expired(rule::Expired rule) {
  check_time(rule.time, "expired");
  return Predicate(make(std::move(rule)));
}

Predicate Predicate::created(rule::Created rule) {
  check_time(rule.time, "created");
  if (rule.lifetime_ns.has_value() == !rule.lifetime_column.empty()) {
    bad_policy("created of " + rule.time.column + " needs a lifetime: a duration (\"14d\") or a column with its unit");
  }
  if (rule.lifetime_ns && *rule.lifetime_ns < 0) bad_policy("created of " + rule.time.column + ": the lifetime is negative");
  if (!rule.lifetime_column.empty() && rule.lifetime_unit == Unit::timestamp) {
    bad_policy("the lifetime column " + rule.lifetime_column + " needs a unit: s, ms, us or ns");
  }
  if (rule.lifetime_column.empty()) rule.lifetime_unit = Unit::seconds;  // unused; one form for equal rules
  return Predicate(make(std::move(rule)));
}

Predicate Predicate::referenced_by(rule::ReferencedBy rule) {
  if (rule.table.empty()) bad_policy("not_referenced_by needs a table");
  if (rule.on.empty()) bad_policy("not_referenced_by " + rule.table + " needs on = { CHILD_COLUMN = \"COLUMN\" }");
  std::sort(rule.on.begin(), rule.on.end(), [](const rule::Join& a, const rule::Join& b) {
    return std::tie(a.other_column, a.this_column, a.op) < std::tie(b.other_column, b.this_column, b.op);
  });
  const bool has_equal = std::any_of(rule.on.begin(), rule.on.end(), [](const rule::Join& j) { return j.op == PK_EQ; });
  if (!has_equal) bad_policy("not_referenced_by " + rule.table + " needs at least one pair of equal columns");
  const int levels = rule.where ? rule.where->node().levels + 2 : 2;
  return Predicate(make(std::move(rule), levels));
}

Predicate Predicate::keep_latest(rule::KeepLatest rule) {
  if (rule.n < 1) bad_policy("keep_latest needs n of at least 1");
  need_column(rule.order_by, "keep_latest");
  return Predicate(make(std::move(rule)));
}

Predicate Predicate::sql(rule::RawSql rule) {
  if (rule.text.find_first_not_of(" \t\r\n") == std::string::npos) bad_policy("the sql rule is empty");
  if (rule.text.find('\0') != std::string::npos) bad_policy("the sql rule holds a NUL character");
  for (const auto& [name, value] : rule.parameters) check_number(value, "parameter " + name + " of the sql rule");
  std::sort(rule.parameters.begin(), rule.parameters.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return Predicate(make(std::move(rule)));
}

Predicate Predicate::all_of(const std::vector<Predicate>& children) {
  if (children.empty()) bad_policy("all = [] holds no rule; a policy without a rule would take every row");
  std::vector<Predicate> flat = flattened<rule::All>(children);
  if (flat.size() == 1) return flat[0];
  const int levels = levels_above(flat);
  return Predicate(make(rule::All{std::move(flat)}, levels));
}

Predicate Predicate::any_of(const std::vector<Predicate>& children) {
  if (children.empty()) bad_policy("any = [] holds no rule");
  std::vector<Predicate> flat = flattened<rule::Any>(children);
  if (flat.size() == 1) return flat[0];
  const int levels = levels_above(flat);
  return Predicate(make(rule::Any{std::move(flat)}, levels));
}

Predicate Predicate::negation(const Predicate& child) {
  if (const auto* inner = std::get_if<rule::Not>(&child.node().rule)) return inner->child[0];
  return Predicate(make(rule::Not{{child}}, child.node().levels));
}

void collect_zones(const Predicate& predicate, std::vector<std::string>& zones) {
  const auto add = [&](const rule::Time& time) {
    if (time.timezone != "UTC" && std::find(zones.begin(), zones.end(), time.timezone) == zones.end()) zones.push_back(time.timezone);
  };
  const auto& node = predicate.node().rule;
  if (const auto* r = std::get_if<rule::Expired>(&node)) add(r->time);
  if (const auto* r = std::get_if<rule::Created>(&node)) add(r->time);
  if (const auto* r = std::get_if<rule::ReferencedBy>(&node); r != nullptr && r->where) collect_zones(*r->where, zones);
  if (const auto* r = std::get_if<rule::All>(&node)) {
    for (const Predicate& child : r->children) collect_zones(child, zones);
  }
  if (const auto* r = std::get_if<rule::Any>(&node)) {
    for (const Predicate& child : r->children) collect_zones(child, zones);
  }
  if (const auto* r = std::get_if<rule::Not>(&node)) collect_zones(r->child[0], zones);
}

}  // namespace purgekit
