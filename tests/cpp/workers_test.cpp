// Several workers on one table: they share the ledger's slot, the limits and the outcome.
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

class Workers : public RunTest {
 protected:
  Workers() {
    db.can_be_cut = true;
    run_options.workers = 3;
    // Long enough that no worker is through before the others have begun.
    db.always["begin"] = [](Connection&) { std::this_thread::sleep_for(std::chrono::microseconds(300)); };
  }
  nlohmann::json document() { return nlohmann::json::parse(db.slots.begin()->second.document); }
};

TEST_F(Workers, EachRowGoesOnceAndIsCountedOnce) {
  fill(3'000, 2, 2);
  policy.dependents = {{"CHILD", {{"T_ID", "ID"}}, false, false}};
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.workers, 3u);
  EXPECT_EQ(r.rows_deleted(), 1'500);
  EXPECT_EQ(expired(), 0);
  EXPECT_GE(db.calls["fence"], 12);
}

TEST_F(Workers, OneIsEnoughWhereTheWalkCannotBeCut) {
  db.can_be_cut = false;
  fill(300);
  const PolicyReport r = only(run());
  EXPECT_EQ(r.workers, 1u);
  EXPECT_EQ(r.rows_deleted(), 150);
}

TEST_F(Workers, ChildrenThatSeveralParentsShareAreLeftToOne) {
  with_children();
  fill(300, 2, 1);
  EXPECT_EQ(only(run()).workers, 1u);
}

TEST_F(Workers, ThoseWithoutAConnectionAreDoneWithout) {
  fill(300);
  const Plan planned = plan();
  db.at("connect", 1, raise(PK_CONNECT_FAILED, "too many connections"));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.workers, 1u);
  EXPECT_EQ(r.rows_deleted(), 150);
}

TEST_F(Workers, ThoseThatCannotPrepareAreDoneWithout) {
  fill(300);
  const Plan planned = plan();
  // The first worker prepares when it takes the table; only then is the walk cut.
  db.always["split"] = [](Connection& connection) { connection.db().always["prepare"] = raise(PK_PRIVILEGE, "revoked meanwhile"); };
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.workers, 1u);
  EXPECT_EQ(r.rows_deleted(), 150);
}

TEST_F(Workers, ALineLostWhileCuttingIsMadeAnew) {
  fill(3'000);
  db.at("split", 1, raise(PK_CONNECTION_LOST, "gone"));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.workers, 3u);
  EXPECT_EQ(r.rows_deleted(), 1'500);
}

TEST_F(Workers, ATableThatCannotBeCutNowIsWalkedByOne) {
  fill(300);
  db.always["split"] = raise(PK_PRIVILEGE, "statistics are not for this user");
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.workers, 1u);
  EXPECT_EQ(r.rows_deleted(), 150);
}

TEST_F(Workers, MaxRowsIsNotExceeded) {
  fill(3'000);
  run_options.max_rows = 777;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "max_rows");
  EXPECT_LE(r.rows_deleted(), 777);
  EXPECT_GE(r.rows_deleted(), 700);
}

TEST_F(Workers, CommitsInDoubtAreSettledOneByOne) {
  fill(3'000);
  for (int call = 5; call < 60; call += 4) db.at("commit", call, lose_commit(call % 3 != 0));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 1'500);
}

TEST_F(Workers, ADoubtThatStaysEndsTheRunAndTheNextOneCountsIt) {
  fill(2'000);
  db.at("commit", 9, hang_commit(true, 1'000));
  const Plan planned = plan();
  const Report first = run(planned);
  EXPECT_EQ(first.status(), "failed");
  EXPECT_TRUE(first.policies[0].at_least);
  db.hanging_waits = 0;
  db.script.clear();
  run_options.run_id = "run2";
  const Report second = run(plan());
  EXPECT_EQ(second.status(), "completed") << second.policies[0].error_message;
  EXPECT_EQ(expired(), 0);
  std::int64_t told = 0;
  for (const auto& [id, record] : db.runs) told += nlohmann::json::parse(record)["rows_deleted"].get<std::int64_t>();
  EXPECT_EQ(told, 1'000);
}

TEST_F(Workers, AnErrorOfOneEndsAllAndWhatIsCommittedCounts) {
  fill(3'000);
  db.at("delete_range", 20, raise(PK_DATA, "a value can't be read"));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "data");
  EXPECT_GT(r.rows_deleted(), 0);
  EXPECT_GT(expired(), 0);
}

TEST_F(Workers, FencedOutAllLeave) {
  fill(3'000);
  db.at("fence", 15, [](Connection& c) {
    c.db().slots.begin()->second.epoch += 1;
    c.db().slots.begin()->second.run_id = "another";
  });
  const Report report = run();
  EXPECT_EQ(report.policies[0].status, "stopped");
  EXPECT_EQ(report.policies[0].stop_reason, "fenced");
  EXPECT_EQ(rows_before - static_cast<std::int64_t>(db.rows.size()), report.policies[0].rows_deleted());
}

TEST_F(Workers, AStoppedWalkGoesOnWithThePartsThatAreLeft) {
  fill(3'000);
  run_options.max_rows = 600;
  const PolicyReport first = only(run());
  EXPECT_EQ(first.status, "stopped");
  EXPECT_GE(document()["parts"].size(), 2u);
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    run_options.workers = workers;
    const Report report = run();
    EXPECT_EQ(report.status(), "completed") << report.policies[0].error_message;
    EXPECT_EQ(expired(), 0);
    if (workers == 1) { EXPECT_EQ(report.policies[0].continues, "run1"); }
    fill(3'000);
  }
}

TEST_F(Workers, OneWorkerThatGoesOnWithTheLastPartLeavesNoStalePlace) {
  fill(900);
  run_options.max_rows = 200;
  only(run());
  auto last = document();
  last["parts"] = nlohmann::json::array({{"600", ""}});
  db.slots.begin()->second.document = last.dump();
  run_options.workers = 1;
  run_options.run_id = "run2";
  run_options.max_rows = 30;
  EXPECT_EQ(only(run()).continues, "run1");
  EXPECT_FALSE(document().contains("parts"));
  EXPECT_GT(std::stoll(db.slots.begin()->second.cursor), 600);
}

TEST_F(Workers, PartsThatCannotBeReadCostAWalkFromTheStart) {
  fill(1'000);
  run_options.max_rows = 100;
  only(run());
  auto broken = document();
  for (const nlohmann::json& parts : {nlohmann::json::array({"x"}), nlohmann::json(7), nlohmann::json::array({{"1", 2}}), nlohmann::json(std::vector<int>(300, 1))}) {
    broken["parts"] = parts;
    db.slots.begin()->second.document = broken.dump();
    db.slots.begin()->second.state = "stopped";
    fill(1'000);
    run_options.max_rows.reset();
    run_options.run_id += "x";
    const Report report = run();
    EXPECT_EQ(report.status(), "completed") << report.policies[0].error_message;
    EXPECT_TRUE(report.policies[0].continues.empty());
    EXPECT_EQ(expired(), 0);
  }
}

class EndedFromOutside : public Workers, public ::testing::WithParamInterface<bool> {};

TEST_P(EndedFromOutside, ReachesThemAll) {
  fill(20'000);
  std::atomic<int> chunks{0};
  db.always["delete_range"] = [&](Connection&) {
    if (++chunks != 25) return;
    if (GetParam()) control.cancel();
    else control.stop("signal");
  };
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, GetParam() ? "cancelled" : "signal");
  EXPECT_GT(r.rows_deleted(), 0);
  EXPECT_GT(expired(), 0);
}

INSTANTIATE_TEST_SUITE_P(ByStopOrCancel, EndedFromOutside, ::testing::Bool());

TEST_F(Workers, LockedRowsAreSteppedOverByWhoeverMeetsThem) {
  fill(1'000);
  for (const std::int64_t id : {100, 101, 500, 900}) db.rows[id].locked = true;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.rows_left, 3);
  EXPECT_EQ(r.exit_code(), 4);
}

}  // namespace
}  // namespace purgekit::fake
