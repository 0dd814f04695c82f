// The SQL of each node in the standard dialect, word for word: a change here is a change of what is deleted.
#include "purgekit/sdk/render.hpp"

#include "purgekit/lower.hpp"
#include "support/expect_error.hpp"

namespace purgekit {
namespace {

using sdk::Dialect;
using sdk::Sql;

constexpr std::int64_t second = 1'000'000'000;

/// Lowers and renders a rule on table s.T.
class Render : public ::testing::Test {
 protected:
  Render() {
    own.schema = "s";
    own.name = "T";
    own.columns = {{"ID", "bigint", PK_COLUMN_INT, false}, {"TENANT", "int", PK_COLUMN_INT, false},  {"STATE", "text", PK_COLUMN_TEXT, true},
                   {"MS", "bigint", PK_COLUMN_INT, true},  {"LIFE", "int", PK_COLUMN_INT, true},      {"AT", "timestamptz", PK_COLUMN_TIMESTAMP_ZONED, true},
                   {"LOCAL", "timestamp", PK_COLUMN_TIMESTAMP, true}};
    own.key = {0, 1};
    child.name = "C\"HILD";
    child.columns = {{"T_ID", "bigint", PK_COLUMN_INT, true}, {"STATE", "text", PK_COLUMN_TEXT, true}};
  }

  struct Rendered {
    std::string text;
    std::vector<Value> params;
  };

  Rendered render(const Predicate& p) {
    const Zones zones;
    const LowerInput input{own, 1'000 * second, 0, zones, [this](const std::string&) -> const sdk::Table& { return child; }};
    const LoweredPredicate lowered = lower(p, input);
    Sql sql(dialect);
    sdk::render_predicate(sql, lowered.view(), "T");
    return {sql.text(), sql.params()};
  }
  std::string text(const Predicate& p) { return render(p).text; }
  std::string negated(const Predicate& p) { return render(Predicate::negation(p)).text; }

  static rule::Time time(const std::string& column, Unit unit = Unit::milliseconds) {
    rule::Time t;
    t.column = column;
    t.unit = unit;
    return t;
  }
  static rule::Created by_column(bool purge_never = false) {
    rule::Created r;
    r.time = time("MS");
    r.lifetime_column = "LIFE";
    r.purge_never = purge_never;
    return r;
  }

  Dialect dialect;
  sdk::Table own;
  sdk::Table child;
};

TEST_F(Render, Comparisons) {
  EXPECT_EQ(text(Predicate::compare("ID", PK_EQ, Value::integer(1))), R"("ID" = ?)");
  EXPECT_EQ(negated(Predicate::compare("ID", PK_EQ, Value::integer(1))), R"("ID" <> ?)");
  EXPECT_EQ(text(Predicate::compare("ID", PK_LE, Value::integer(1))), R"("ID" <= ?)");
  EXPECT_EQ(negated(Predicate::compare("ID", PK_LE, Value::integer(1))), R"("ID" > ?)");
  EXPECT_EQ(text(Predicate::in("STATE", {Value::string("a"), Value::string("b")})), R"("STATE" IN (?, ?))");
  EXPECT_EQ(negated(Predicate::in("STATE", {Value::string("a")})), R"("STATE" NOT IN (?))");
  EXPECT_EQ(text(Predicate::is_null("STATE")), R"("STATE" IS NULL)");
  EXPECT_EQ(negated(Predicate::is_null("STATE")), R"("STATE" IS NOT NULL)");
  const Rendered instant = render(Predicate::compare("AT", PK_GE, Value::instant(second)));
  EXPECT_EQ(instant.text, R"("AT" >= ?)");
  EXPECT_EQ(instant.params.at(0).text, "1970-01-01 00:00:01.000000+00:00");
}

TEST_F(Render, Connectives) {
  const Predicate a = Predicate::is_null("ID");
  const Predicate b = Predicate::is_null("MS");
  EXPECT_EQ(text(Predicate::any_of({Predicate::all_of({a, b}), a})), R"((("ID" IS NULL AND "MS" IS NULL) OR "ID" IS NULL))");
  EXPECT_EQ(negated(Predicate::any_of({Predicate::all_of({a, b}), a})), R"((("ID" IS NOT NULL OR "MS" IS NOT NULL) AND "ID" IS NOT NULL))");
}

TEST_F(Render, ExpiredNumbersCountFromOne) {
  const Rendered r = render(Predicate::expired({time("MS")}));
  EXPECT_EQ(r.text, R"(("MS" < ? AND "MS" > 0))");
  EXPECT_EQ(r.params, std::vector<Value>{Value::integer(1'000'000)});
  EXPECT_EQ(negated(Predicate::expired({time("MS")})), R"(("MS" >= ? AND "MS" > 0))");
  rule::Time purge_null = time("MS");
  purge_null.purge_null = true;
  EXPECT_EQ(text(Predicate::expired({purge_null})), R"((("MS" < ? AND "MS" > 0) OR "MS" IS NULL OR NOT ("MS" > 0)))");
  EXPECT_EQ(negated(Predicate::expired({purge_null})), R"(("MS" >= ? AND "MS" > 0))");
}

TEST_F(Render, ExpiredTimes) {
  const Rendered zoned = render(Predicate::expired({time("AT", Unit::timestamp)}));
  EXPECT_EQ(zoned.text, R"(("AT" < ?))");
  EXPECT_EQ(zoned.params.at(0).text, "1970-01-01 00:16:40.000000+00:00");
  rule::Time local = time("LOCAL", Unit::timestamp);
  local.purge_null = true;
  EXPECT_EQ(text(Predicate::expired({local})), R"((("LOCAL" < ?) OR "LOCAL" IS NULL))");
}

TEST_F(Render, LifetimeColumns) {
  const Rendered r = render(Predicate::created(by_column()));
  EXPECT_EQ(r.text, R"(("MS" < ? AND "LIFE" > 0 AND CAST("LIFE" AS DECIMAL(38, 9)) * 1000000000 < (? - CAST("MS" AS DECIMAL(38, 9)) * 1000000) AND "MS" > 0))");
  EXPECT_EQ(r.params, (std::vector<Value>{Value::integer(1'000'000), Value::integer(1'000 * second)}));
  EXPECT_EQ(negated(Predicate::created(by_column())), R"(("LIFE" > 0 AND CAST("LIFE" AS DECIMAL(38, 9)) * 1000000000 >= (? - CAST("MS" AS DECIMAL(38, 9)) * 1000000) AND "MS" > 0))");
  EXPECT_EQ(text(Predicate::created(by_column(true))),
            R"(("MS" < ? AND CASE WHEN "LIFE" > 0 THEN CAST("LIFE" AS DECIMAL(38, 9)) ELSE 0 END * 1000000000 < (? - CAST("MS" AS DECIMAL(38, 9)) * 1000000) AND "MS" > 0))");
}

TEST_F(Render, ReferencesQualifyTheOuterRow) {
  const auto where = std::make_shared<const Predicate>(Predicate::in("STATE", {Value::string("live")}));
  const rule::ReferencedBy r{"C\"HILD", {{"T_ID", PK_EQ, "ID"}}, where};
  EXPECT_EQ(negated(Predicate::referenced_by(r)), R"(NOT EXISTS (SELECT 1 FROM "C""HILD" AS pk1 WHERE pk1."T_ID" = "T"."ID" AND pk1."STATE" IN (?)))");
  EXPECT_EQ(text(Predicate::all_of({Predicate::is_null("STATE"), Predicate::referenced_by({"C\"HILD", {{"STATE", PK_NE, "STATE"}, {"T_ID", PK_EQ, "ID"}}, nullptr})})),
            R"(("T"."STATE" IS NULL AND EXISTS (SELECT 1 FROM "C""HILD" AS pk1 WHERE pk1."STATE" <> "T"."STATE" AND pk1."T_ID" = "T"."ID")))");
}

TEST_F(Render, NestedReferencesHaveNamesOfTheirOwn) {
  const auto inner = std::make_shared<const Predicate>(Predicate::negation(Predicate::referenced_by({"C\"HILD", {{"STATE", PK_EQ, "STATE"}}, nullptr})));
  EXPECT_EQ(text(Predicate::referenced_by({"C\"HILD", {{"T_ID", PK_EQ, "ID"}}, inner})),
            R"(EXISTS (SELECT 1 FROM "C""HILD" AS pk1 WHERE pk1."T_ID" = "T"."ID" AND NOT EXISTS (SELECT 1 FROM "C""HILD" AS pk2 WHERE pk2."STATE" = pk1."STATE")))");
}

TEST_F(Render, KeepLatestOfOneIsAnExistence) {
  EXPECT_EQ(text(Predicate::keep_latest({1, {"TENANT"}, "MS"})),
            R"(EXISTS (SELECT 1 FROM "s"."T" AS pk1 WHERE (pk1."TENANT" = "T"."TENANT" OR (pk1."TENANT" IS NULL AND "T"."TENANT" IS NULL)) AND )"
            R"((pk1."MS" > "T"."MS" OR ("T"."MS" IS NULL AND pk1."MS" IS NOT NULL) OR ((pk1."MS" = "T"."MS" OR (pk1."MS" IS NULL AND "T"."MS" IS NULL)) AND )"
            R"((pk1."ID" > "T"."ID" OR (pk1."ID" = "T"."ID" AND pk1."TENANT" > "T"."TENANT"))))))");
}

TEST_F(Render, KeepLatestOfMoreIsACount) {
  own.key = {0};
  const std::string body = R"((SELECT COUNT(*) FROM "s"."T" AS pk1 WHERE (pk1."MS" > "T"."MS" OR ("T"."MS" IS NULL AND pk1."MS" IS NOT NULL) OR )"
                           R"(((pk1."MS" = "T"."MS" OR (pk1."MS" IS NULL AND "T"."MS" IS NULL)) AND (pk1."ID" > "T"."ID")))))";
  EXPECT_EQ(text(Predicate::keep_latest({3, {}, "MS"})), body + " >= 3");
  EXPECT_EQ(negated(Predicate::keep_latest({3, {}, "MS"})), body + " < 3");
}

TEST_F(Render, RawSqlBindsItsNames) {
  const Rendered r = render(Predicate::sql({"a = :b AND c::text = ':b' -- :b\n AND \"x:b\" = :b2 /* :b */", {{"b", Value::integer(1)}, {"b2", Value::integer(2)}}}));
  EXPECT_EQ(r.text, "(a = ? AND c::text = ':b' -- :b\n AND \"x:b\" = ? /* :b */\n)");
  EXPECT_EQ(r.params, (std::vector<Value>{Value::integer(1), Value::integer(2)}));
  EXPECT_EQ(negated(Predicate::sql({"a = 1", {}})), "NOT (a = 1)");
  EXPECT_EQ(text(Predicate::sql({"a = 1 -- the end", {}})), "(a = 1 -- the end\n)") << "a comment must not swallow the bracket";
  EXPECT_HAS(message_of([&] { render(Predicate::sql({"a = :missing", {}})); }), ":missing");
}

TEST_F(Render, RawSqlRepeatsAName) {
  const Rendered r = render(Predicate::sql({":x < a AND a < :x", {{"x", Value::integer(7)}}}));
  EXPECT_EQ(r.text, "(? < a AND a < ?)");
  EXPECT_EQ(r.params, (std::vector<Value>{Value::integer(7), Value::integer(7)}));
}

TEST(RenderNodes, RefusesWhatANewerHostMightSend) {
  const Dialect dialect;
  Sql sql(dialect);
  pk_node node{};
  node.kind = 99;
  const pk_predicate unknown{sizeof(pk_node), &node, 1, 0, 0, nullptr, 0, nullptr, 0, nullptr, 0, nullptr, 0};
  EXPECT_EQ(code_of([&] { sdk::render_predicate(sql, unknown, "T"); }), "not_supported");
  pk_predicate out_of_range = unknown;
  out_of_range.root = 1;
  EXPECT_EQ(code_of([&] { sdk::render_predicate(sql, out_of_range, "T"); }), "invalid_argument");
  node.kind = PK_NODE_COMPARE;
  node.op = PK_EQ;
  EXPECT_EQ(code_of([&] { sdk::render_predicate(sql, unknown, "T"); }), "invalid_argument") << "a value that is not there";
}

TEST(RenderNodes, FollowsTheHostsStride) {
  struct Longer {
    pk_node node;
    std::int64_t from_the_future;
  };
  Longer nodes[3] = {};
  nodes[0].node.kind = PK_NODE_OR;
  nodes[0].node.first_child = 1;
  nodes[0].node.child_count = 2;
  nodes[1].node.kind = PK_NODE_TRUE;
  nodes[2].node.kind = PK_NODE_FALSE;
  const pk_predicate p{sizeof(Longer), &nodes[0].node, 3, 0, 0, nullptr, 0, nullptr, 0, nullptr, 0, nullptr, 0};
  const Dialect dialect;
  Sql sql(dialect);
  sdk::render_predicate(sql, p, "T");
  EXPECT_EQ(sql.text(), "(1 = 1 OR 1 = 0)");
}

}  // namespace
}  // namespace purgekit
