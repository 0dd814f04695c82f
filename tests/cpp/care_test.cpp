// What is done for tables after their purge, and that it never makes a purge fail.
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "fake/fixture.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

using Steps = std::vector<std::pair<std::string, pk_care>>;

constexpr std::int64_t mb = 1'000'000;

class Care : public RunTest {
 protected:
  Care() {
    fill(40);
    db.care_steps = 1;
    run_options.reclaim = Reclaim::space;
  }

  sdk::Space taking(std::int64_t bytes, std::int64_t needed_bytes = 0, std::int64_t free_bytes = -1) {
    return {bytes, bytes / 10, 0, needed_bytes, free_bytes, "do this"};
  }
};

TEST_F(Care, IsNotAskedForByItself) {
  run_options.reclaim = Reclaim::none;
  const Report report = run();
  EXPECT_EQ(only(report).care.asked, "");
  EXPECT_EQ(db.calls["reclaim"], 0);
  EXPECT_TRUE(nlohmann::json::parse(report.to_json())["policies"][0]["care"].is_null());
}

TEST_F(Care, GoesStepByStepToItsEnd) {
  db.care_steps = 3;
  const Report report = run();
  const PolicyReport r = only(report);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(r.care.status, "done");
  EXPECT_EQ(r.care.steps, 3);
  EXPECT_EQ(db.care, Steps(3, {"T", PK_CARE_SPACE}));
  const auto json = nlohmann::json::parse(report.to_json())["policies"][0]["care"];
  EXPECT_EQ(json["asked"], "space");
  EXPECT_TRUE(json["warning"].is_null());
}

TEST_F(Care, OfStatisticsAlone) {
  run_options.reclaim = Reclaim::statistics;
  EXPECT_EQ(only(run()).care.status, "done");
  EXPECT_EQ(db.care, Steps(1, {"T", PK_CARE_STATISTICS}));
}

TEST_F(Care, LooksAfterChildrenToo) {
  for (auto& [id, record] : db.rows) record.children = 2;
  with_children();
  EXPECT_EQ(only(run()).care.status, "done");
  EXPECT_EQ(db.care, (Steps{{"CHILD", PK_CARE_SPACE}, {"T", PK_CARE_SPACE}}));
}

TEST_F(Care, IsNotNeededWhereNothingWent) {
  db.rows.clear();
  EXPECT_EQ(only(run()).care.status, "not_needed");
  EXPECT_EQ(db.calls["reclaim"], 0);
}

TEST_F(Care, WaitsForTheLastPolicyOfATable) {
  Plan planned = plan();
  planned.policies.push_back(planned.policies[0]);
  const Report report = run(planned);
  EXPECT_EQ(report.policies[0].care.status, "later");
  EXPECT_EQ(report.policies[1].rows_deleted(), 0);
  EXPECT_EQ(report.policies[1].care.status, "done");
  EXPECT_EQ(db.care, Steps(1, {"T", PK_CARE_SPACE}));
}

TEST_F(Care, IsNotBegunWhereThePurgeWasStopped) {
  run_options.max_rows = 5;
  const Report report = run();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(only(report).care.status, "not_begun");
  EXPECT_EQ(db.calls["reclaim"], 0);
}

TEST_F(Care, ThatFailsIsAWarning) {
  db.always["reclaim"] = raise(PK_PRIVILEGE, "GRANT this");
  const Report report = run();
  const PolicyReport r = only(report);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.care.status, "failed");
  EXPECT_NE(r.care.warning.find("T: GRANT this"), std::string::npos) << r.care.warning;
  EXPECT_NE(r.care.warning.find("the purge itself is complete"), std::string::npos);
  EXPECT_EQ(db.calls["reclaim"], 1);
}

TEST_F(Care, OfABackendWithoutItIsAWarning) {
  db.care_steps = 0;
  EXPECT_EQ(only(run()).care.status, "failed");
}

TEST_F(Care, TriesAgainWhereOthersAreInTheWay) {
  db.at("reclaim", 1, raise(PK_LOCK_TIMEOUT));
  db.at("reclaim", 2, raise(PK_DEADLOCK));
  EXPECT_EQ(only(run()).care.status, "done");
  db.always["reclaim"] = raise(PK_LOCK_TIMEOUT);
  fill(40);
  EXPECT_EQ(only(run()).care.status, "failed");
  EXPECT_EQ(db.calls["reclaim"], 3);
}

TEST_F(Care, SurvivesALostLine) {
  db.care_steps = 2;
  db.at("reclaim", 1, raise(PK_CONNECTION_LOST));
  EXPECT_EQ(only(run()).care.status, "done");
  fill(40);
  db.always["reclaim"] = raise(PK_CONNECTION_LOST);
  const Report report = run();
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(only(report).care.status, "failed");
}

TEST_F(Care, IsEndedBetweenStepsByAStop) {
  db.care_steps = 100;
  db.at("reclaim", 3, [this](Connection&) { control.stop("signal"); });
  const Report report = run();
  const PolicyReport r = only(report);
  EXPECT_EQ(report.exit_code(), 0) << "the purge had come to its end";
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.care.status, "unfinished");
  EXPECT_EQ(r.care.steps, 3);
  EXPECT_NE(r.care.warning.find("signal"), std::string::npos);
}

TEST_F(Care, IsEndedWithinAStepByAStop) {
  db.at("reclaim", 1, [this](Connection& c) {
    control.stop("signal");
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!c.cancelled() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (c.cancelled()) throw sdk::Error(PK_CANCELLED, "cancelled");
  });
  const PolicyReport r = only(run());
  EXPECT_EQ(r.care.status, "unfinished");
  EXPECT_EQ(r.care.steps, 0) << "the step in hand was cancelled";
}

TEST_F(Care, SpaceIsToldBeforeAndAfter) {
  db.spaces = {taking(900 * mb), taking(900 * mb), taking(200 * mb)};  // before the run's first delete it is looked at for room as well
  const Report report = run();
  const PolicyReport r = only(report);
  EXPECT_EQ(r.space.before.bytes, 900 * mb);
  EXPECT_EQ(r.space.after.bytes, 200 * mb);
  EXPECT_EQ(r.space.returned_bytes(), 700 * mb);
  const auto json = nlohmann::json::parse(report.to_json())["policies"][0]["space"];
  EXPECT_EQ(json["after"]["reusable_bytes"], 20 * mb);
  EXPECT_EQ(json["returned_bytes"], 700 * mb);
  EXPECT_EQ(json["advice"], "do this");
}

TEST_F(Care, SpaceThatGrewMeanwhileWasNotReturned) {
  db.spaces = {taking(100 * mb), taking(100 * mb), taking(200 * mb)};
  EXPECT_EQ(only(run()).space.returned_bytes(), 0);
}

TEST_F(Care, UnknownSpaceIsNull) {
  for (const pk_code code : {PK_NOT_SUPPORTED, PK_LOCK_TIMEOUT, PK_PRIVILEGE}) {
    fill(40);
    db.always["space"] = raise(code);
    const Report report = run();
    EXPECT_EQ(report.exit_code(), 0);
    const auto json = nlohmann::json::parse(report.to_json())["policies"][0]["space"];
    EXPECT_TRUE(json["before"]["bytes"].is_null());
    EXPECT_TRUE(json["returned_bytes"].is_null());
    EXPECT_TRUE(json["advice"].is_null());
  }
}

TEST_F(Care, ALineLostWhileLookingIsMended) {
  run_options.reclaim = Reclaim::none;
  db.spaces = {taking(100 * mb)};
  db.at("space", 1, raise(PK_CONNECTION_LOST));
  const Report report = run();
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(only(report).rows_deleted(), 20);
}

TEST_F(Care, IsRefusedBeforehandWhereThereIsNoRoom) {
  db.spaces = {taking(900 * mb, 900 * mb, 400 * mb)};  // half of the rows stay
  EXPECT_EQ(code_of([&] { run(); }), "no_room");
  EXPECT_HAS(message_of([&] { run(); }), "about 450 MB, and 400 MB are free");
  EXPECT_EQ(db.calls["begin"], 0);
  EXPECT_EQ(expired(), 20);
  db.spaces = {taking(900 * mb, 900 * mb, 500 * mb)};
  EXPECT_EQ(only(run()).care.status, "done");
}

}  // namespace
}  // namespace purgekit::fake
