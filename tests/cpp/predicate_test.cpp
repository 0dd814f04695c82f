#include "purgekit/predicate.hpp"

#include <cmath>

#include "support/expect_error.hpp"

namespace purgekit {
namespace {

Predicate a() { return Predicate::compare("A", PK_EQ, Value::integer(1)); }
Predicate b() { return Predicate::in("B", {Value::string("x"), Value::string("y")}); }
Predicate c() { return Predicate::is_null("C"); }

rule::Time time(const std::string& column, Unit unit = Unit::milliseconds) {
  rule::Time t;
  t.column = column;
  t.unit = unit;
  return t;
}

rule::Created created(const std::string& column) {
  rule::Created r;
  r.time = time(column);
  return r;
}

TEST(Predicate, NestedConnectivesOfOneKindBecomeOne) {
  const Predicate left = Predicate::all_of({Predicate::all_of({a(), b()}), c()});
  const Predicate right = Predicate::all_of({a(), Predicate::all_of({b(), c()})});
  EXPECT_EQ(left, Predicate::all_of({a(), b(), c()}));
  EXPECT_EQ(left, right);
  EXPECT_EQ(Predicate::any_of({Predicate::any_of({a()}), Predicate::any_of({b(), c()})}), Predicate::any_of({a(), b(), c()}));
}

TEST(Predicate, ConnectivesOfOneChildAreTheChild) {
  EXPECT_EQ(Predicate::all_of({a()}), a());
  EXPECT_EQ(Predicate::any_of({Predicate::all_of({a()})}), a());
}

TEST(Predicate, DifferentConnectivesStayApart) {
  const Predicate mixed = Predicate::any_of({Predicate::all_of({a(), b()}), c()});
  EXPECT_EQ(std::get<rule::Any>(mixed.node().rule).children.size(), 2u);
  EXPECT_FALSE(mixed == Predicate::all_of({Predicate::any_of({a(), b()}), c()}));
}

TEST(Predicate, NotTwiceIsNone) {
  EXPECT_EQ(Predicate::negation(Predicate::negation(a())), a());
  EXPECT_FALSE(Predicate::negation(a()) == a());
}

TEST(Predicate, OrderOfChildrenAndOfValuesMatters) {
  EXPECT_FALSE(Predicate::all_of({a(), b()}) == Predicate::all_of({b(), a()}));
  EXPECT_FALSE(Predicate::in("A", {Value::integer(1), Value::integer(2)}) == Predicate::in("A", {Value::integer(2), Value::integer(1)}));
}

TEST(Predicate, OrderOfJoinsAndParametersDoesNot) {
  rule::ReferencedBy one{"CHILD", {{"X", PK_EQ, "A"}, {"Y", PK_NE, "B"}}, nullptr};
  rule::ReferencedBy two{"CHILD", {{"Y", PK_NE, "B"}, {"X", PK_EQ, "A"}}, nullptr};
  EXPECT_EQ(Predicate::referenced_by(one), Predicate::referenced_by(two));
  rule::RawSql first{"A = :b AND C = :a", {{"b", Value::integer(1)}, {"a", Value::integer(2)}}};
  rule::RawSql second{"A = :b AND C = :a", {{"a", Value::integer(2)}, {"b", Value::integer(1)}}};
  EXPECT_EQ(Predicate::sql(first), Predicate::sql(second));
}

TEST(Predicate, KindOfAValueMatters) {
  EXPECT_FALSE(Predicate::compare("A", PK_EQ, Value::integer(1)) == Predicate::compare("A", PK_EQ, Value::string("1")));
  EXPECT_FALSE(Predicate::compare("A", PK_EQ, Value::boolean(true)) == Predicate::compare("A", PK_EQ, Value::integer(1)));
}

TEST(Predicate, InnerConditionsTakePartInEquality) {
  const auto where = [](const Predicate& p) { return std::make_shared<const Predicate>(p); };
  const rule::ReferencedBy plain{"CHILD", {{"X", PK_EQ, "A"}}, nullptr};
  const rule::ReferencedBy with_a{"CHILD", {{"X", PK_EQ, "A"}}, where(a())};
  const rule::ReferencedBy with_b{"CHILD", {{"X", PK_EQ, "A"}}, where(b())};
  EXPECT_FALSE(Predicate::referenced_by(plain) == Predicate::referenced_by(with_a));
  EXPECT_FALSE(Predicate::referenced_by(with_a) == Predicate::referenced_by(with_b));
  EXPECT_EQ(Predicate::referenced_by(with_a), Predicate::referenced_by({"CHILD", {{"X", PK_EQ, "A"}}, where(a())}));
}

TEST(Predicate, RefusesWhatCanNeverBeMeant) {
  EXPECT_HAS(message_of([] { Predicate::all_of({}); }), "take every row");
  EXPECT_HAS(message_of([] { Predicate::any_of({}); }), "no rule");
  EXPECT_HAS(message_of([] { Predicate::compare("", PK_EQ, Value::integer(1)); }), "column");
  EXPECT_HAS(message_of([] { Predicate::compare("A", PK_EQ, Value::null()); }), "null = true");
  EXPECT_HAS(message_of([] { Predicate::compare("A", PK_LT, Value::real(std::nan(""))); }), "NaN");
  EXPECT_HAS(message_of([] { Predicate::in("A", {}); }), "empty");
  EXPECT_HAS(message_of([] { Predicate::in("A", {Value::null()}); }), "NULL");
  EXPECT_HAS(message_of([] { Predicate::in("A", std::vector<Value>(1'001, Value::integer(1))); }), "1000");
  EXPECT_HAS(message_of([] { Predicate::is_null(""); }), "column");
  EXPECT_HAS(message_of([] { Predicate::sql({" \n", {}}); }), "empty");
  EXPECT_HAS(message_of([] { Predicate::sql({std::string("A\0B", 3), {}}); }), "NUL");
  EXPECT_HAS(message_of([] { Predicate::keep_latest({0, {}, "A"}); }), "at least 1");
  EXPECT_HAS(message_of([] { Predicate::keep_latest({1, {}, ""}); }), "column");
  EXPECT_HAS(message_of([] { Predicate::referenced_by({"", {{"X", PK_EQ, "A"}}, nullptr}); }), "table");
  EXPECT_HAS(message_of([] { Predicate::referenced_by({"CHILD", {}, nullptr}); }), "CHILD");
  EXPECT_HAS(message_of([] { Predicate::referenced_by({"CHILD", {{"X", PK_NE, "A"}}, nullptr}); }), "equal");
}

TEST(Predicate, RefusesTimesThatContradictThemselves) {
  rule::Time negative = time("T");
  negative.grace_ns = -1;
  EXPECT_HAS(message_of([&] { Predicate::expired({negative}); }), "negative");
  rule::Time zoned_number = time("T");
  zoned_number.timezone = "Europe/Berlin";
  EXPECT_HAS(message_of([&] { Predicate::expired({zoned_number}); }), "timezone");
  rule::Time wall_number = time("T");
  wall_number.stored_wall = true;
  EXPECT_HAS(message_of([&] { Predicate::expired({wall_number}); }), "stored");
}

TEST(Predicate, CreatedNeedsOneLifetime) {
  EXPECT_HAS(message_of([] { Predicate::created(created("T")); }), "needs a lifetime");
  rule::Created both = created("T");
  both.lifetime_ns = 5;
  both.lifetime_column = "L";
  EXPECT_HAS(message_of([&] { Predicate::created(both); }), "needs a lifetime");
  rule::Created negative = created("T");
  negative.lifetime_ns = -5;
  EXPECT_HAS(message_of([&] { Predicate::created(negative); }), "negative");
  rule::Created no_unit = created("T");
  no_unit.lifetime_column = "L";
  no_unit.lifetime_unit = Unit::timestamp;
  EXPECT_HAS(message_of([&] { Predicate::created(no_unit); }), "L needs a unit");
  rule::Created literal = created("T");
  literal.lifetime_ns = 5;
  rule::Created same = literal;
  same.lifetime_unit = Unit::milliseconds;  // says nothing without a column
  EXPECT_EQ(Predicate::created(literal), Predicate::created(same));
}

TEST(Unit, WordsAndTheNearestRightOne) {
  for (const char* text : {"s", "ms", "us", "ns", "timestamp"}) EXPECT_STREQ(unit_text(parse_unit(text)), text);
  EXPECT_HAS(message_of([] { parse_unit("seconds"); }), "did you mean s?");
  EXPECT_HAS(message_of([] { parse_unit("millis"); }), "did you mean ms?");
  EXPECT_HAS(message_of([] { parse_unit("nanoseconds"); }), "did you mean ns?");
  EXPECT_HAS(message_of([] { parse_unit("datetime"); }), "did you mean timestamp?");
  EXPECT_HAS(message_of([] { parse_unit("timestmp"); }), "did you mean timestamp?");
  EXPECT_HAS(message_of([] { parse_unit(""); }), "a unit is needed");
  EXPECT_EQ(unit_ns(Unit::seconds), 1'000'000'000);
  EXPECT_EQ(unit_ns(Unit::timestamp), 0);
}

TEST(Op, SymbolsBothWays) {
  for (const char* text : {"=", "<>", "<", "<=", ">", ">="}) EXPECT_STREQ(op_symbol(parse_op(text)), text);
  EXPECT_EQ(parse_op("=="), PK_EQ);
  EXPECT_EQ(parse_op("!="), PK_NE);
  EXPECT_HAS(message_of([] { parse_op("=<"); }), "=<");
}

TEST(Predicate, NamesItsZonesOnce) {
  rule::Time berlin = time("T", Unit::timestamp);
  berlin.timezone = "Europe/Berlin";
  rule::Time utc = time("U", Unit::timestamp);
  rule::Created nested;
  nested.time = time("V", Unit::timestamp);
  nested.time.timezone = "Asia/Tokyo";
  nested.lifetime_ns = 1;
  const auto where = std::make_shared<const Predicate>(Predicate::negation(Predicate::created(nested)));
  std::vector<std::string> zones;
  collect_zones(Predicate::any_of({Predicate::expired({berlin}), Predicate::all_of({Predicate::expired({utc}), Predicate::expired({berlin})}),
                                   Predicate::referenced_by({"CHILD", {{"X", PK_EQ, "A"}}, where})}),
                zones);
  EXPECT_EQ(zones, (std::vector<std::string>{"Europe/Berlin", "Asia/Tokyo"}));
}

TEST(Predicate, IsReadable) {
  rule::Expired expired{time("EXPIRY", Unit::nanoseconds)};
  expired.time.grace_ns = 7'200'000'000'000;
  EXPECT_EQ(Predicate::all_of({b(), Predicate::any_of({c(), Predicate::expired(expired)})}).to_text(),
            "B IN ('x', 'y') AND (C IS NULL OR EXPIRY (ns) + 2h < now)");
  EXPECT_EQ(Predicate::negation(a()).to_text(), "NOT (A = 1)");
  rule::Created by_column = created("MADE");
  by_column.lifetime_column = "LIFE";
  EXPECT_EQ(Predicate::created(by_column).to_text(), "MADE (ms) + LIFE (s) < now");
  EXPECT_EQ(Predicate::keep_latest({3, {"USER", "APP"}, "AT"}).to_text(), "not among the newest 3 by AT per USER, APP");
  EXPECT_EQ(Predicate::negation(Predicate::referenced_by({"CHILD", {{"X", PK_EQ, "A"}}, std::make_shared<const Predicate>(c())})).to_text(),
            "NOT (referenced by CHILD (CHILD.X = A WHERE C IS NULL))");
}

}  // namespace
}  // namespace purgekit
