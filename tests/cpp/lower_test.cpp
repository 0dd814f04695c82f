#include "purgekit/lower.hpp"

#include "support/expect_error.hpp"

namespace purgekit {
namespace {

constexpr std::int64_t hour = 3'600'000'000'000;
constexpr std::int64_t now = 1'800'000'000'000'000'000;

sdk::Table table() {
  sdk::Table t;
  t.schema = "s";
  t.name = "T";
  t.columns = {{"ID", "bigint", PK_COLUMN_INT, false},      {"STATE", "text", PK_COLUMN_TEXT, true},
               {"MS", "bigint", PK_COLUMN_INT, true},       {"SECONDS", "numeric", PK_COLUMN_DECIMAL, true},
               {"AT", "timestamptz", PK_COLUMN_TIMESTAMP_ZONED, true}, {"LOCAL", "timestamp", PK_COLUMN_TIMESTAMP, true},
               {"BLOB", "bytea", PK_COLUMN_BYTES, true},    {"DOC", "json", PK_COLUMN_OTHER, true},
               {"Life", "int", PK_COLUMN_INT, true},        {"life", "int", PK_COLUMN_INT, true},
               {"FLAG", "boolean", PK_COLUMN_BOOL, true}};
  t.key = {0};
  return t;
}

class Lower : public ::testing::Test {
 protected:
  sdk::Table own = table();
  sdk::Table child = [] {
    sdk::Table t;
    t.name = "CHILD";
    t.columns = {{"T_ID", "bigint", PK_COLUMN_INT, true}, {"MS", "bigint", PK_COLUMN_INT, true}};
    return t;
  }();
  Zones zones = {{"Europe/Berlin", {{INT64_MIN, hour}, {1'774'746'000'000'000'000, 2 * hour}, {1'792'890'000'000'000'000, hour}}}};
  LowerInput input{own, now, 2 * hour, zones, [this](const std::string& name) -> const sdk::Table& {
                     if (name != "CHILD") bad_policy("no table " + name);
                     return child;
                   }};

  static rule::Time time(const std::string& column, Unit unit) {
    rule::Time t;
    t.column = column;
    t.unit = unit;
    return t;
  }
  static Predicate expired(const std::string& column, Unit unit) { return Predicate::expired({time(column, unit)}); }

  std::string refusal(const Predicate& p) {
    return message_of([&] { lower(p, input); });
  }
  pk_node leaf(const Predicate& p) {
    kept.push_back(std::make_unique<LoweredPredicate>(lower(p, input)));
    return kept.back()->view().nodes[0];
  }
  std::vector<std::unique_ptr<LoweredPredicate>> kept;
};

TEST_F(Lower, NegationsGoToTheLeaves) {
  const Predicate a = Predicate::compare("ID", PK_LT, Value::integer(1));
  const Predicate b = Predicate::in("STATE", {Value::string("x")});
  const Predicate c = Predicate::is_null("MS");
  const LoweredPredicate out = lower(Predicate::negation(Predicate::all_of({a, Predicate::any_of({b, Predicate::negation(c)})})), input);
  const pk_predicate p = out.view();
  ASSERT_EQ(p.node_count, 5u);
  EXPECT_EQ(p.nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_OR));
  EXPECT_EQ(p.nodes[1].kind, static_cast<std::uint32_t>(PK_NODE_COMPARE));
  EXPECT_EQ(p.nodes[1].op, static_cast<std::uint32_t>(PK_GE)) << "a negated comparison is the opposite comparison";
  EXPECT_EQ(p.nodes[2].kind, static_cast<std::uint32_t>(PK_NODE_AND));
  EXPECT_EQ(p.nodes[3].kind, static_cast<std::uint32_t>(PK_NODE_IN));
  EXPECT_EQ(p.nodes[3].flags, static_cast<std::uint32_t>(PK_NEGATED));
  EXPECT_EQ(p.nodes[4].kind, static_cast<std::uint32_t>(PK_NODE_NULL));
  EXPECT_EQ(p.nodes[4].flags, 0u) << "negated twice";
  EXPECT_EQ(p.root, 0u);
  EXPECT_EQ(p.nodes[0].first_child, 1u);
  EXPECT_EQ(p.nodes[2].first_child, 3u) << "children are neighbours";
}

TEST_F(Lower, ColumnsAreFoundExactlyThenWithoutCase) {
  EXPECT_EQ(resolve_column(own, "STATE").name, "STATE");
  EXPECT_EQ(resolve_column(own, "state").name, "STATE");
  EXPECT_EQ(resolve_column(own, "life").name, "life") << "the exact name wins over another case";
  EXPECT_HAS(message_of([&] { resolve_column(own, "LIFE"); }), "ambiguous: Life or life");
  EXPECT_HAS(message_of([&] { resolve_column(own, "STAET"); }), "did you mean STATE?");
}

TEST_F(Lower, CutoffsTakeTheRulesGraceElseThePolicys) {
  EXPECT_EQ(leaf(expired("MS", Unit::milliseconds)).cutoff_ns, now - 2 * hour);
  rule::Time own_grace = time("MS", Unit::milliseconds);
  own_grace.grace_ns = 0;
  EXPECT_EQ(leaf(Predicate::expired({own_grace})).cutoff_ns, now);
  rule::Created created;
  created.time = time("MS", Unit::milliseconds);
  created.lifetime_ns = 24 * hour;
  EXPECT_EQ(leaf(Predicate::created(created)).cutoff_ns, now - 26 * hour);
}

TEST_F(Lower, StorageFollowsFromTheColumn) {
  EXPECT_EQ(leaf(expired("MS", Unit::milliseconds)).storage, static_cast<std::uint32_t>(PK_STORED_EPOCH_INT));
  EXPECT_EQ(leaf(expired("MS", Unit::milliseconds)).unit_ns, 1'000'000);
  EXPECT_EQ(leaf(expired("SECONDS", Unit::seconds)).storage, static_cast<std::uint32_t>(PK_STORED_EPOCH_DECIMAL));
  EXPECT_EQ(leaf(expired("AT", Unit::timestamp)).storage, static_cast<std::uint32_t>(PK_STORED_ZONED));
  EXPECT_EQ(leaf(expired("LOCAL", Unit::timestamp)).storage, static_cast<std::uint32_t>(PK_STORED_UNZONED));
  EXPECT_EQ(leaf(expired("STATE", Unit::timestamp)).storage, static_cast<std::uint32_t>(PK_STORED_TEXT));
  rule::Time wall = time("AT", Unit::timestamp);
  wall.stored_wall = true;
  EXPECT_EQ(leaf(Predicate::expired({wall})).storage, static_cast<std::uint32_t>(PK_STORED_ZONED_WALL));
}

TEST_F(Lower, RefusesTypesThatDoNotFit) {
  EXPECT_HAS(refusal(expired("MS", Unit::timestamp)), "give its unit");
  EXPECT_HAS(refusal(expired("AT", Unit::milliseconds)), "write unit = \"timestamp\"");
  EXPECT_HAS(refusal(expired("BLOB", Unit::timestamp)), "can't be read as a time");
  rule::Time wall = time("LOCAL", Unit::timestamp);
  wall.stored_wall = true;
  EXPECT_HAS(refusal(Predicate::expired({wall})), "know their zone");
  EXPECT_HAS(refusal(Predicate::compare("ID", PK_EQ, Value::string("1"))), "T.ID is bigint and can't be compared with text");
  EXPECT_HAS(refusal(Predicate::compare("STATE", PK_EQ, Value::integer(1))), "a number");
  EXPECT_HAS(refusal(Predicate::compare("BLOB", PK_EQ, Value::string("x"))), "text");
  EXPECT_HAS(refusal(Predicate::in("DOC", {Value::string("x")})), "json");
  EXPECT_HAS(refusal(Predicate::compare("STATE", PK_EQ, Value::boolean(true))), "true or false");
  rule::Created created;
  created.time = time("MS", Unit::milliseconds);
  created.lifetime_column = "STATE";
  EXPECT_HAS(refusal(Predicate::created(created)), "must be a number");
  created.lifetime_column = "LIFETIME";
  EXPECT_HAS(refusal(Predicate::created(created)), "no column LIFETIME");
}

TEST_F(Lower, RefusesZonesNobodyKnowsAndAbsurdCutoffs) {
  rule::Time time_there = time("LOCAL", Unit::timestamp);
  time_there.timezone = "Europe/Bärlin";
  EXPECT_HAS(refusal(Predicate::expired({time_there})), "unknown time zone");
  rule::Created created;
  created.time = time("MS", Unit::milliseconds);
  created.lifetime_ns = INT64_MAX;
  const LowerInput long_ago{own, -now, 2 * hour, zones, input.other_table};
  EXPECT_HAS(message_of([&] { lower(Predicate::created(created), long_ago); }), "absurd");
}

TEST_F(Lower, AGapBecomesARangeOfItsOwn) {
  rule::Time local = time("LOCAL", Unit::timestamp);
  local.timezone = "Europe/Berlin";
  local.grace_ns = 0;
  const std::int64_t in_gap = 1'774'746'000'000'000'000 + hour / 2;  // half an hour after clocks went forward
  const LowerInput spring{own, in_gap, 0, zones, input.other_table};
  const LoweredPredicate out = lower(Predicate::expired({local}), spring);
  const pk_predicate p = out.view();
  ASSERT_EQ(p.node_count, 5u);
  EXPECT_EQ(p.nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_AND));
  EXPECT_EQ(p.nodes[1].wall_cutoff_ns, in_gap + 2 * hour);
  EXPECT_EQ(p.nodes[2].kind, static_cast<std::uint32_t>(PK_NODE_OR));
  EXPECT_EQ(p.nodes[3].op, static_cast<std::uint32_t>(PK_LT));
  EXPECT_EQ(p.values[p.nodes[3].first_value].i64, in_gap + hour);
  EXPECT_EQ(p.nodes[4].op, static_cast<std::uint32_t>(PK_GE));
  EXPECT_EQ(p.values[p.nodes[4].first_value].i64, 1'774'746'000'000'000'000 + 2 * hour);

  const LoweredPredicate negated = lower(Predicate::negation(Predicate::expired({local})), spring);
  EXPECT_EQ(negated.view().nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_OR));
  EXPECT_EQ(negated.view().nodes[2].kind, static_cast<std::uint32_t>(PK_NODE_AND));
}

TEST_F(Lower, LifetimeColumnsInAZoneCarryItsSteps) {
  rule::Created created;
  created.time = time("LOCAL", Unit::timestamp);
  created.time.timezone = "Europe/Berlin";
  created.lifetime_column = "MS";
  created.lifetime_unit = Unit::seconds;
  const LoweredPredicate out = lower(Predicate::created(created), input);
  const pk_node& n = out.view().nodes[0];
  EXPECT_EQ(n.zone_step_count, 3u);
  EXPECT_EQ(out.view().zone_step_count, 3u);
  EXPECT_EQ(n.lifetime_unit_ns, 1'000'000'000);
  EXPECT_EQ(n.wall_cutoff_ns, n.cutoff_ns + 2 * hour);
  created.time.column = "STATE";
  EXPECT_HAS(refusal(Predicate::created(created)), "UTC only");
}

TEST_F(Lower, GuardsAreAddedForEachReference) {
  const sdk::Reference fk{"fk", "s", "CHILD", {"T_ID"}, {"ID"}, PK_FK_RESTRICT, true, true};
  const Predicate rule = Predicate::is_null("STATE");
  const LoweredPredicate out = lower_guarded(rule, input, {fk, fk});
  const pk_predicate p = out.view();
  ASSERT_EQ(p.node_count, 4u);
  EXPECT_EQ(p.nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_AND));
  EXPECT_EQ(p.nodes[2].kind, static_cast<std::uint32_t>(PK_NODE_EXISTS));
  EXPECT_EQ(p.nodes[2].flags, static_cast<std::uint32_t>(PK_NEGATED));
  EXPECT_EQ(sdk::to_string(p.joins[p.nodes[3].first_join].other_column), "T_ID");
  const LoweredPredicate held = lower_held(rule, input, fk);
  EXPECT_EQ(held.view().nodes[2].flags, 0u) << "held: the reference is there";
}

TEST_F(Lower, OtherTablesAreResolvedThroughTheirOwnColumns) {
  const auto where = std::make_shared<const Predicate>(Predicate::expired({time("ms", Unit::milliseconds)}));
  const LoweredPredicate out = lower(Predicate::negation(Predicate::referenced_by({"CHILD", {{"t_id", PK_EQ, "id"}}, where})), input);
  const pk_predicate p = out.view();
  ASSERT_EQ(p.node_count, 2u);
  EXPECT_EQ(p.nodes[0].child_count, 1u);
  EXPECT_EQ(sdk::to_string(p.joins[0].other_column), "T_ID");
  EXPECT_EQ(sdk::to_string(p.joins[0].this_column), "ID");
  EXPECT_EQ(p.nodes[1].flags, 0u) << "the inner condition is not negated with the outer one";
  EXPECT_HAS(refusal(Predicate::referenced_by({"CHLD", {{"T_ID", PK_EQ, "ID"}}, nullptr})), "no table CHLD");
  EXPECT_HAS(refusal(Predicate::referenced_by({"CHILD", {{"X", PK_EQ, "ID"}}, nullptr})), "no column X in table CHILD");
}

TEST_F(Lower, KeepLatestBreaksTiesByTheKey) {
  const LoweredPredicate out = lower(Predicate::keep_latest({2, {"state"}, "MS"}), input);
  const pk_predicate p = out.view();
  const pk_node& n = p.nodes[0];
  EXPECT_EQ(n.count, 2);
  EXPECT_EQ(sdk::to_string(p.names[n.first_name]), "STATE");
  EXPECT_EQ(n.tie_count, 1u);
  EXPECT_EQ(sdk::to_string(p.names[n.first_tie]), "ID");
  EXPECT_EQ(sdk::to_string(n.other_table), "T");
}

TEST_F(Lower, AllRowsAndNoRows) {
  EXPECT_EQ(lower_all_rows().view().nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_TRUE));
  EXPECT_EQ(lower_no_rows().view().nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_FALSE));
  EXPECT_EQ(lower_unreadable(own, "state").view().nodes[0].kind, static_cast<std::uint32_t>(PK_NODE_UNREADABLE));
}

TEST_F(Lower, TellsWhichColumnsAreReadAsTimes) {
  rule::Created created;
  created.time = time("local", Unit::timestamp);
  created.lifetime_column = "MS";
  const auto where = std::make_shared<const Predicate>(Predicate::expired({time("MS", Unit::milliseconds)}));
  const auto uses = time_uses(Predicate::any_of({expired("MS", Unit::milliseconds), Predicate::negation(Predicate::created(created)),
                                                 Predicate::referenced_by({"CHILD", {{"T_ID", PK_EQ, "ID"}}, where})}),
                              input);
  ASSERT_EQ(uses.size(), 2u) << "those of other tables are not this table's";
  EXPECT_EQ(uses[0].column, "MS");
  EXPECT_FALSE(uses[0].created);
  EXPECT_EQ(uses[1].column, "LOCAL");
  EXPECT_TRUE(uses[1].created);
  EXPECT_TRUE(uses[1].has_lifetime_column);
}

}  // namespace
}  // namespace purgekit
