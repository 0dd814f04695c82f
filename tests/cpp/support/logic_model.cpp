#include "support/logic_model.hpp"

#include <algorithm>

namespace purgekit::test {
namespace {

Truth both(Truth a, Truth b) { return std::min(a, b); }
Truth either(Truth a, Truth b) { return std::max(a, b); }
Truth opposite(Truth a) { return a == Truth::yes ? Truth::no : a == Truth::no ? Truth::yes : Truth::unknown; }
Truth known(bool value) { return value ? Truth::yes : Truth::no; }

template <class T>
bool holds(pk_op op, const T& a, const T& b) {
  switch (op) {
    case PK_EQ: return a == b;
    case PK_NE: return a != b;
    case PK_LT: return a < b;
    case PK_LE: return a <= b;
    case PK_GT: return a > b;
    case PK_GE: return a >= b;
  }
  return false;
}

std::optional<std::int64_t> number(const std::string& column, const ModelRow& row) {
  if (column == "ID") return row.id;
  if (column == "A") return row.a;
  if (column == "T_MS") return row.t_ms;
  return row.life_s;
}

Truth compare(const std::string& column, pk_op op, const Value& value, const ModelRow& row) {
  if (column == "S") return row.s ? known(holds(op, *row.s, value.text)) : Truth::unknown;
  const auto stored = number(column, row);
  return stored ? known(holds(op, *stored, value.i64)) : Truth::unknown;
}

// Zero and negative instants count as NULL; sums in 128 bits, as the contract's arithmetic knows no overflow.
Truth time(const rule::Time& t, std::optional<std::int64_t> lifetime_ns, bool never, const ModelRow& row, const ModelData& data) {
  const auto stored = number(t.column, row);
  if (!stored || *stored <= 0) return t.purge_null ? Truth::yes : Truth::unknown;
  if (never) return Truth::unknown;
  __extension__ using Wide = __int128;
  const Wide instant = static_cast<Wide>(*stored) * unit_ns(t.unit) + lifetime_ns.value_or(0) + t.grace_ns.value_or(data.grace_ns);
  return known(instant < data.now_ns);
}

Truth created(const rule::Created& r, const ModelRow& row, const ModelData& data) {
  if (r.lifetime_ns) return time(r.time, r.lifetime_ns, false, row, data);
  const auto life = number(r.lifetime_column, row);
  const bool positive = life && *life > 0;
  const auto life_ns = positive ? *life * unit_ns(r.lifetime_unit) : 0;
  return time(r.time, life_ns, !positive && !r.purge_never, row, data);
}

Truth referenced(const rule::ReferencedBy& r, const ModelRow& row, const ModelData& data) {
  for (const ModelChild& child : data.children) {
    Truth match = Truth::yes;
    for (const rule::Join& join : r.on) {
      const auto theirs = join.other_column == "T_ID" ? child.t_id : child.a;
      const auto ours = number(join.this_column, row);
      match = both(match, theirs && ours ? known(holds(join.op, *theirs, *ours)) : Truth::unknown);
    }
    if (r.where) {
      ModelRow as_row;
      as_row.a = child.a;
      match = both(match, evaluate(*r.where, as_row, data));
    }
    if (match == Truth::yes) return Truth::yes;
  }
  return Truth::no;
}

// NULL is the oldest; ties by the key.
Truth keep_latest(const rule::KeepLatest& r, const ModelRow& row, const ModelData& data) {
  std::int64_t newer = 0;
  for (const ModelRow& other : data.rows) {
    const bool same_group = std::all_of(r.per.begin(), r.per.end(), [&](const std::string& column) {
      return column == "S" ? other.s == row.s : number(column, other) == number(column, row);
    });
    const auto mine = number(r.order_by, row);
    const auto theirs = number(r.order_by, other);
    const bool is_newer = theirs > mine || (theirs == mine && other.id > row.id);  // an empty optional is less than any value
    if (same_group && is_newer) ++newer;
  }
  return known(newer >= r.n);
}

int pick(std::mt19937& random, int choices) { return std::uniform_int_distribution<int>(0, choices - 1)(random); }

std::optional<std::int64_t> some(std::mt19937& random, const std::vector<std::int64_t>& values) {
  if (pick(random, 5) == 0) return std::nullopt;
  return values[static_cast<std::size_t>(pick(random, static_cast<int>(values.size())))];
}

}  // namespace

Truth evaluate(const Predicate& predicate, const ModelRow& row, const ModelData& data) {
  const auto& rule = predicate.node().rule;
  if (const auto* r = std::get_if<rule::Compare>(&rule)) return compare(r->column, r->op, r->value, row);
  if (const auto* r = std::get_if<rule::In>(&rule)) {
    Truth out = Truth::no;
    for (const Value& value : r->values) out = either(out, compare(r->column, PK_EQ, value, row));
    return out;
  }
  if (const auto* r = std::get_if<rule::IsNull>(&rule)) return known(r->column == "S" ? !row.s : !number(r->column, row));
  if (const auto* r = std::get_if<rule::Expired>(&rule)) return time(r->time, std::nullopt, false, row, data);
  if (const auto* r = std::get_if<rule::Created>(&rule)) return created(*r, row, data);
  if (const auto* r = std::get_if<rule::ReferencedBy>(&rule)) return referenced(*r, row, data);
  if (const auto* r = std::get_if<rule::KeepLatest>(&rule)) return keep_latest(*r, row, data);
  if (const auto* r = std::get_if<rule::Not>(&rule)) return opposite(evaluate(r->child[0], row, data));
  if (const auto* r = std::get_if<rule::All>(&rule)) {
    Truth out = Truth::yes;
    for (const Predicate& child : r->children) out = both(out, evaluate(child, row, data));
    return out;
  }
  Truth out = Truth::no;
  for (const Predicate& child : std::get<rule::Any>(rule).children) out = either(out, evaluate(child, row, data));
  return out;
}

ModelData random_data(std::mt19937& random) {
  ModelData data;
  data.now_ns = 1'800'000'000'123'456'789;
  data.grace_ns = pick(random, 2) == 0 ? 0 : 7'200'000'000'000;
  const std::int64_t cutoff_ms = (data.now_ns - data.grace_ns) / 1'000'000;
  for (std::int64_t id = 1; id <= 60; ++id) {
    ModelRow row;
    row.id = id;
    row.a = some(random, {-1, 0, 1, 2});
    if (pick(random, 4) != 0) row.s = std::string(1, static_cast<char>('a' + pick(random, 3)));
    row.t_ms = some(random, {-5, 0, 1, cutoff_ms - 1, cutoff_ms, cutoff_ms + 1, cutoff_ms - 3'600'000, cutoff_ms - 3'600'001, INT64_MAX / 2'000'000});
    row.life_s = some(random, {-1, 0, 1, 3'600, 1'000'000'000});
    data.rows.push_back(row);
  }
  for (int i = 0; i < 40; ++i) data.children.push_back({some(random, {1, 2, 3, 20, 21, 40, 99}), some(random, {-1, 0, 1})});
  return data;
}

Predicate random_predicate(std::mt19937& random, const ModelData& data, int depth) {
  const auto column = [&] { return std::string(pick(random, 2) == 0 ? "A" : "LIFE_S"); };
  const auto time = [&] {
    rule::Time t;
    t.column = "T_MS";
    t.unit = Unit::milliseconds;
    t.purge_null = pick(random, 4) == 0;
    if (pick(random, 3) == 0) t.grace_ns = 0;
    return t;
  };
  switch (pick(random, depth > 0 ? 11 : 8)) {
    case 0: return Predicate::compare(column(), static_cast<pk_op>(1 + pick(random, 6)), Value::integer(pick(random, 3) - 1));
    case 1: return Predicate::compare("S", static_cast<pk_op>(1 + pick(random, 6)), Value::string("b"));
    case 2: return Predicate::in(column(), {Value::integer(1), Value::integer(2)});
    case 3: return Predicate::is_null(pick(random, 2) == 0 ? "S" : column());
    case 4: return Predicate::expired({time()});
    case 5: {
      rule::Created r;
      r.time = time();
      if (pick(random, 2) == 0) {
        r.lifetime_ns = 3'600'000'000'000;
      } else {
        r.lifetime_column = "LIFE_S";
        r.purge_never = pick(random, 2) == 0;
      }
      return Predicate::created(r);
    }
    case 6: {
      rule::ReferencedBy r{"CHILD", {{"T_ID", PK_EQ, "ID"}}, nullptr};
      if (pick(random, 3) == 0) r.on.push_back({"A", static_cast<pk_op>(1 + pick(random, 6)), "A"});
      if (pick(random, 3) == 0) r.where = std::make_shared<const Predicate>(Predicate::negation(Predicate::compare("A", PK_EQ, Value::integer(0))));
      return Predicate::referenced_by(r);
    }
    case 7: return Predicate::keep_latest({1 + pick(random, 3), pick(random, 2) == 0 ? std::vector<std::string>{"S"} : std::vector<std::string>{"A", "S"}, "T_MS"});
    case 8: return Predicate::negation(random_predicate(random, data, depth - 1));
    case 9: return Predicate::all_of({random_predicate(random, data, depth - 1), random_predicate(random, data, depth - 1)});
    default: return Predicate::any_of({random_predicate(random, data, depth - 1), random_predicate(random, data, depth - 1), random_predicate(random, data, depth - 1)});
  }
}

}  // namespace purgekit::test
