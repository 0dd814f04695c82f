// What a plan finds out, refuses and warns about.
#include "purgekit/planner.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "fake/fixture.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

class Planner : public RunTest {
 protected:
  Planner() { fill(40); }
  std::string refusal() {
    return code_of([this] { plan(); });
  }
  static bool warns(const Plan& p, const std::string& code) {
    const auto& warnings = p.policies.at(0).warnings;
    return std::any_of(warnings.begin(), warnings.end(), [&](const Warning& w) { return w.code == code; });
  }
};

TEST_F(Planner, CountsAndChangesNothing) {
  const Plan p = plan();
  EXPECT_EQ(p.backend, "fake");
  const PolicyPlan& one = p.policies.at(0);
  EXPECT_EQ(one.rows_total, 40);
  EXPECT_EQ(one.rows_purgeable, 20);
  EXPECT_TRUE(one.exact);
  EXPECT_EQ(one.now_ns, db.now_ns);
  EXPECT_EQ(one.cutoff_ns, db.now_ns);
  EXPECT_EQ(one.walk.strategy, "key-range");
  EXPECT_EQ(one.statements, std::vector<std::string>{"DELETE by id"});
  EXPECT_EQ(db.calls["begin"] + db.calls["ledger_create"] + db.calls["slot_lock"] + db.calls["run_write"], 0);
}

TEST_F(Planner, JsonHasTheContractsShape) {
  const auto json = nlohmann::json::parse(plan().to_json());
  EXPECT_EQ(json["schema"], "purgekit.plan/1");
  for (const char* key : {"backend", "server_version", "clock_utc", "clock_skew_ms"}) EXPECT_TRUE(json["database"].contains(key)) << key;
  for (const char* key : {"policy", "table", "cutoff_utc", "rows_total", "rows_purgeable", "exact", "strategy", "index", "chunk_rows", "statements", "warnings"}) {
    EXPECT_TRUE(json["policies"][0].contains(key)) << key;
  }
  EXPECT_EQ(json["policies"][0]["cutoff_utc"], "2027-01-15T08:00:00Z");
}

TEST_F(Planner, TakesTheCheapestWalk) {
  db.walks = {{"scan", "scan", "", 3, ""}, {"id", "key-range", "", 0.6, ""}, {"matching", "index-range", "i", 1, ""}};
  EXPECT_EQ(plan().policies[0].walk.id, "id");
  db.walks.clear();
  EXPECT_EQ(refusal(), "no_walk");
}

TEST_F(Planner, AScanOfTheWholeTableForEachChunkIsRefusedUnlessItIsSmall) {
  db.walks = {{"scan", "scan", "", 1, "add a primary key"}};
  fill(500);
  EXPECT_EQ(plan().policies[0].walk.id, "scan");
  fill(600);
  EXPECT_EQ(refusal(), "scan") << "50 chunks of 10 rows and more";
}

TEST_F(Planner, RefusesTablesThatCantBePurgedSafely) {
  db.table.kind = PK_TABLE_VIEW;
  EXPECT_EQ(refusal(), "view");
  db.table.kind = PK_TABLE_FOREIGN;
  EXPECT_EQ(refusal(), "foreign_table");
  db.table.kind = PK_TABLE_SYSTEM;
  EXPECT_EQ(refusal(), "system_table");
  db.table.kind = PK_TABLE_BASE;
  db.table.transactional = false;
  EXPECT_EQ(refusal(), "not_transactional");
  db.table.transactional = true;
  db.table.rows_hidden = true;
  EXPECT_EQ(refusal(), "rows_hidden");
  db.table.rows_hidden = false;
  db.table.can_delete = false;
  db.table.grant_hint = "GRANT DELETE ON T TO me";
  EXPECT_HAS(message_of([this] { plan(); }), "GRANT DELETE ON T TO me");
}

TEST_F(Planner, RefusesReferencesThatActBehindItsBack) {
  sdk::Reference fk{"fk", "", "CHILD", {"T_ID"}, {"ID"}, PK_FK_CASCADE, true, true};
  db.table.references = {fk};
  EXPECT_EQ(refusal(), "cascade");
  db.table.references[0].action = PK_FK_SET_NULL;
  EXPECT_EQ(refusal(), "set_null");
  db.table.references[0].action = PK_FK_SET_DEFAULT;
  EXPECT_EQ(refusal(), "set_null");
  db.table.references[0].enforced = false;
  EXPECT_TRUE(plan().policies[0].guards.empty()) << "what the database does not check does not act";
  db.table.references = {fk};
  db.table.references[0].action = PK_FK_RESTRICT;
  db.table.references[0].child_indexed = false;
  const Plan p = plan();
  EXPECT_EQ(p.policies[0].guards.size(), 1u);
  EXPECT_TRUE(warns(p, "foreign_key"));
  EXPECT_TRUE(warns(p, "unindexed_reference"));
}

TEST_F(Planner, RefusesDependentsThatCascadeFurther) {
  with_children();
  EXPECT_EQ(plan().policies[0].dependents.size(), 1u);
  db.child.references = {{"fk2", "", "GRANDCHILD", {"X"}, {"T_ID"}, PK_FK_CASCADE, true, true}};
  EXPECT_EQ(refusal(), "cascade");
}

TEST_F(Planner, AForeignKeyByWhichADependentIsDeclaredIsNotInTheWay) {
  with_children();
  db.child.references = {{"fk2", "", "CHILD", {"T_ID"}, {"ID"}, PK_FK_RESTRICT, true, true}};
  for (const pk_fk_action action : {PK_FK_CASCADE, PK_FK_SET_NULL, PK_FK_RESTRICT}) {
    db.table.references = {{"fk", "", "CHILD", {"T_ID"}, {"ID"}, action, false, true}};
    const Plan p = plan();
    EXPECT_TRUE(p.policies[0].guards.empty()) << "its rows are gone before those they refer to";
    EXPECT_FALSE(p.policies[0].dependents.at(0).unless_referenced) << "what a foreign key refers to is unique";
    EXPECT_TRUE(warns(p, "unindexed_reference"));
  }
  db.table.references[0].child_columns = {"OTHER"};
  db.table.references[0].action = PK_FK_CASCADE;
  EXPECT_EQ(refusal(), "cascade") << "by another column, other rows would go";
}

TEST_F(Planner, DependentsOfADependentStandBehindIt) {
  policy.dependents = {{"CHILD", {{"T_ID", "ID"}}, true, false}, {"CHILD", {{"T_ID", "T_ID"}}, true, false, {}, "CHILD"}};
  const Plan p = plan();
  ASSERT_EQ(p.policies[0].dependents.size(), 2u);
  EXPECT_EQ(p.policies[0].dependents[0].parent, 0u);
  EXPECT_EQ(p.policies[0].dependents[1].parent, 1u);
  for (const sdk::Dependent& d : p.policies[0].dependents) EXPECT_FALSE(d.unless_referenced) << "both levels go before what they hang on";
}

TEST_F(Planner, AnOptionalDependentNeedsItsColumns) {
  policy.dependents = {{"CHILD", {{"SID", "ID"}}, true, true}, {"CHILD", {{"T_ID", "T_ID"}}, true, true, {}, "NOWHERE"}};
  policy.dependents.insert(policy.dependents.begin() + 1, {"NOWHERE", {{"X", "ID"}}, true, true});
  const Plan p = plan();
  EXPECT_TRUE(p.policies[0].dependents.empty());
  EXPECT_TRUE(warns(p, "dependent_absent"));
}

TEST_F(Planner, DependentsGetTheirExactNames) {
  policy.dependents = {{"CHILD", {{"t_id", "id"}}, true, false}, {"NOWHERE", {{"X", "ID"}}, true, true}};
  const Plan p = plan();
  ASSERT_EQ(p.policies[0].dependents.size(), 1u) << "an optional one that is absent is left out";
  EXPECT_EQ(p.policies[0].dependents[0].columns, std::vector<std::string>{"T_ID"});
  EXPECT_EQ(p.policies[0].dependents[0].parent_columns, std::vector<std::string>{"ID"});
  policy.dependents[1].optional = false;
  EXPECT_EQ(refusal(), "unknown_table");
}

TEST_F(Planner, ASampleHasNoValuesUnlessTheyAreAskedFor) {
  EXPECT_TRUE(nlohmann::json::parse(plan().to_json())["policies"][0]["sample"].is_null());
  EXPECT_EQ(db.calls["sample_rows"], 0);
  plan_options.sample = 2;
  const Plan masked = plan();
  ASSERT_EQ(masked.policies[0].sample->rows.size(), 2u);
  EXPECT_EQ(masked.policies[0].sample->rows[0][0].text, "");
  const auto json = nlohmann::json::parse(masked.to_json())["policies"][0]["sample"];
  EXPECT_EQ(json, nlohmann::json::parse(R"({"masked":true,"columns":[{"name":"ID","type":"bigint"},{"name":"EXPIRES_MS","type":"bigint"}],
                                            "rows":[[{"length":1},null],[{"length":1},null]]})"));
  plan_options.unmask = true;
  EXPECT_EQ(nlohmann::json::parse(plan().to_json())["policies"][0]["sample"]["rows"][0][0], nlohmann::json::parse(R"({"length":1,"text":"2"})"));
}

TEST_F(Planner, APlanIsWorthHavingWithoutASample) {
  plan_options.sample = 2;
  db.always["sample_rows"] = raise(PK_PRIVILEGE, "column NOTE may not be read");
  const Plan without = plan();
  EXPECT_TRUE(warns(without, "sample"));
  EXPECT_EQ(without.policies[0].rows_purgeable, 20);
  EXPECT_TRUE(without.policies[0].sample->rows.empty());
  db.always["sample_rows"] = raise(PK_CONNECTION_LOST);
  EXPECT_EQ(refusal(), "connection_lost");
}

TEST_F(Planner, AnUnknownTableIsNamedWithTheNearestRightOne) {
  policy.table = "CHLD";
  EXPECT_HAS(message_of([this] { plan(); }), "did you mean CHILD?");
  policy.optional = true;
  const Plan p = plan();
  EXPECT_TRUE(p.policies[0].skipped);
  EXPECT_TRUE(warns(p, "table_absent"));
}

TEST_F(Planner, EstimatesWhenCountingTakesTooLong) {
  plan_options.count_budget_ms = 30;
  db.estimate = 7;
  db.table.rows_estimate = 1'000;
  db.always["count"] = [](Connection& c) {
    for (int i = 0; i < 5'000 && !c.cancelled(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    throw sdk::Error(PK_CANCELLED, "cancelled");
  };
  const Plan p = plan();
  EXPECT_FALSE(p.policies[0].exact);
  EXPECT_EQ(p.policies[0].rows_purgeable, 7);
  EXPECT_EQ(p.policies[0].rows_total, 1'000);
  EXPECT_TRUE(warns(p, "estimated"));
}

TEST_F(Planner, ABackendThatCantEstimateSaysNothingFalse) {
  plan_options.count_budget_ms = 0;
  const Plan p = plan();
  EXPECT_FALSE(p.policies[0].exact);
  EXPECT_GE(p.policies[0].rows_purgeable, 0);
}

TEST_F(Planner, ExactCountsWithoutABudget) {
  plan_options.count_budget_ms = 0;
  plan_options.exact = true;
  EXPECT_TRUE(plan().policies[0].exact);
}

TEST_F(Planner, WarnsAboutTheLineAndTheServer) {
  db.server.loopback = false;
  db.server.warnings = {"a setting hurts"};
  const Plan p = plan();
  EXPECT_TRUE(warns(p, "tls_unverified"));
  EXPECT_TRUE(warns(p, "server"));
  db.server.tls_verified = true;
  EXPECT_FALSE(warns(plan(), "tls_unverified"));
}

TEST_F(Planner, WarnsAboutTriggersAndLargeShares) {
  db.table.delete_triggers = {"audit"};
  plan_options.max_fraction = 0.1;
  const Plan p = plan();
  EXPECT_TRUE(warns(p, "delete_trigger"));
  EXPECT_TRUE(warns(p, "max_fraction"));
}

TEST_F(Planner, WarnsAboutCreationTimesThatLagWholeHours) {
  rule::Created created;
  created.time.column = "EXPIRES_MS";
  created.time.unit = Unit::milliseconds;
  created.lifetime_ns = 0;
  policy.where = Predicate::created(created);
  db.now_ns += 2 * 3'600'000'000'000;
  EXPECT_TRUE(warns(plan(), "created_lags_whole_hours"));
  db.now_ns -= 4 * 3'600'000'000'000;
  EXPECT_TRUE(warns(plan(), "created_in_future"));
}

TEST_F(Planner, NowMayLookAhead) {
  plan_options.now_ns = db.now_ns + 30'000'000;  // 30 ms: 15 of the live rows will have expired
  EXPECT_EQ(plan().policies[0].rows_purgeable, 35);
}

TEST_F(Planner, ErrorsNameThePolicyAndTheTable) {
  policy.where = Predicate::is_null("NOWHERE");
  try {
    plan();
    FAIL();
  } catch (const EngineError& e) {
    EXPECT_EQ(e.policy(), "p");
    EXPECT_EQ(e.table(), "T");
    EXPECT_EQ(e.kind(), ErrorKind::policy);
  }
}

TEST(Fingerprint, ChangesWithTheShape) {
  sdk::Table table;
  table.name = "T";
  table.identity = "1";
  table.columns = {{"ID", "int", PK_COLUMN_INT, false}};
  const std::string before = fingerprint(table);
  table.rows_estimate = 5;
  EXPECT_EQ(fingerprint(table), before) << "not with its size";
  table.columns[0].nullable = true;
  EXPECT_NE(fingerprint(table), before);
}

}  // namespace
}  // namespace purgekit::fake
