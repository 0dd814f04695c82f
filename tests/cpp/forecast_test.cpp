#include "purgekit/forecast.hpp"

#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

TEST(Forecast, WithoutARehearsalOnlyTheSpaceIsKnown) {
  const Forecast f = forecast(1'000, 800, 1'000'000, true, std::nullopt, 100);
  EXPECT_FALSE(f.seconds.has_value());
  EXPECT_FALSE(f.transactions.has_value());
  EXPECT_EQ(f.freed_bytes, 800'000);
  EXPECT_FALSE(forecast(1'000, 800, -1, true, std::nullopt, 100).freed_bytes.has_value());
}

TEST(Forecast, NothingToDoTakesNoTime) {
  const Forecast f = forecast(1'000, 0, 1'000'000, true, std::nullopt, 100);
  EXPECT_EQ(f.seconds, 0);
  EXPECT_EQ(f.transactions, 0);
  EXPECT_EQ(f.freed_bytes, 0);
}

TEST(Forecast, ScalesTheRehearsedChunkByTheRowsThatGo) {
  const Forecast f = forecast(1'000'000, 1'000'000, -1, true, Rehearsal{1'000, 1'000, 0, 50}, 100);
  EXPECT_NEAR(*f.seconds, 50, 1e-6);
  EXPECT_EQ(f.transactions, 500);
}

TEST(Forecast, AChunkOfLiveRowsTellsWhatDeadOnesWillCost) {
  const Forecast f = forecast(1'000'000, 500'000, -1, true, Rehearsal{1'000, 0, 0, 2}, 100);
  EXPECT_NEAR(*f.seconds, 0.002 / 20 * 510'000, 1e-6);
}

TEST(Forecast, AnIndexWalkPassesNoOtherRows) {
  const Forecast whole = forecast(1'000'000, 1'000, -1, true, Rehearsal{100, 100, 0, 10}, 100);
  const Forecast sparse = forecast(1'000'000, 1'000, -1, false, Rehearsal{100, 100, 0, 10}, 100);
  EXPECT_NEAR(*sparse.seconds, 0.1, 1e-9);
  EXPECT_GT(*whole.seconds, 10 * *sparse.seconds);
}

class Rehearsed : public RunTest {
 protected:
  Rehearsed() { plan_options.rehearse = true; }
};

TEST_F(Rehearsed, AChunkIsRolledBackAndMeasured) {
  fill(500, 2, 3);
  policy.dependents = {{"CHILD", {{"T_ID", "ID"}}, false, false}};
  const PolicyPlan planned = plan().policies.at(0);
  EXPECT_EQ(db.rows.size(), 500u);
  EXPECT_EQ(db.children_deleted, 0);
  EXPECT_TRUE(db.slots.empty()) << "the ledger is not touched";
  ASSERT_TRUE(planned.forecast.rehearsal.has_value());
  EXPECT_GT(planned.forecast.rehearsal->rows_deleted, 0);
  EXPECT_EQ(planned.forecast.rehearsal->rows_of_dependents, 3 * planned.forecast.rehearsal->rows_deleted);
  EXPECT_GT(*planned.forecast.seconds, 0);
  EXPECT_EQ(db.calls["commit"], 0);
  EXPECT_GE(db.calls["rollback"], 1);
}

TEST_F(Rehearsed, WhatTheRunSaysStandsBesideWhatThePlanSaid) {
  fill(100);
  const PolicyReport r = only(run());
  ASSERT_TRUE(r.forecast_s.has_value());
  EXPECT_GT(*r.forecast_s, 0);
}

TEST_F(Rehearsed, AChunkThatFailsIsAWarning) {
  fill(100);
  db.rows[2].locked = true;
  const PolicyPlan planned = plan().policies.at(0);
  EXPECT_FALSE(planned.forecast.rehearsal.has_value());
  ASSERT_FALSE(planned.warnings.empty());
  EXPECT_EQ(planned.warnings.back().code, "rehearsal");
  EXPECT_GE(db.calls["rollback"], 1);
}

}  // namespace
}  // namespace purgekit::fake
