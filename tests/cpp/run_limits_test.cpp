// What ends a run early, and that nothing is done beyond it.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

class Limits : public RunTest {};

class MaxRows : public RunTest, public ::testing::WithParamInterface<std::int64_t> {};

TEST_P(MaxRows, CountsEveryRowOfEveryTable) {
  fill(60, 2, 0);
  std::int64_t children = 0;
  for (auto& [id, record] : db.rows) record.children = id % 5;
  for (const auto& [id, record] : db.rows) children += id % 2 == 0 ? record.children : 0;
  with_children();
  run_options.max_rows = GetParam();
  const PolicyReport r = only(run());
  EXPECT_LE(r.rows_deleted_all(), GetParam());
  const bool enough = GetParam() >= 30 + children;
  EXPECT_EQ(r.status, enough && expired() == 0 && r.stop_reason.empty() ? "completed" : "stopped");
  if (r.status == "stopped") {
    EXPECT_EQ(r.stop_reason, "max_rows");
    EXPECT_EQ(r.exit_code(), 3);
    EXPECT_LT(GetParam() - r.rows_deleted_all(), 6) << "it stops for want of room for the next row, not earlier";
  }
}

INSTANTIATE_TEST_SUITE_P(Budgets, MaxRows, ::testing::Values(0, 1, 2, 5, 7, 13, 40, 89, 90, 91, 200));

TEST_F(Limits, MaxRowsIsSharedByAllPolicies) {
  fill(40);
  Plan planned = plan();
  planned.policies.push_back(planned.policies[0]);
  run_options.max_rows = 5;
  const Report report = run(planned);
  EXPECT_EQ(report.rows_deleted(), 5);
  EXPECT_EQ(report.policies[1].stop_reason, "max_rows");
  EXPECT_EQ(report.policies[1].rows_deleted(), 0);
}

TEST_F(Limits, APastDeadlineBeginsNothing) {
  fill(40);
  run_options.deadline_s = 0;
  const Report report = run();
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(report.policies[0].stop_reason, "deadline");
  EXPECT_EQ(expired(), 20);
  EXPECT_EQ(db.calls["begin"], 0);
  EXPECT_EQ(db.calls["ledger_create"], 0);
}

TEST_F(Limits, NoChunkBeginsAfterTheDeadline) {
  fill(400);
  run_options.deadline_s = 0.05;
  db.always["delete_range"] = [](Connection&) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  plan_options.chunk_rows = 5;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.stop_reason, "deadline");
  EXPECT_GT(r.rows_deleted(), 0);
  EXPECT_LE(db.calls["begin"], 4);
}

TEST_F(Limits, AStopFileThatIsThereDeletesNothing) {
  fill(40);
  const auto file = std::filesystem::path(::testing::TempDir()) / "purgekit_stop_there";
  std::ofstream(file) << "";
  run_options.stop_file = file.string();
  const Report report = run();
  std::filesystem::remove(file);
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(report.policies[0].stop_reason, "stop_file");
  EXPECT_EQ(expired(), 20);
}

TEST_F(Limits, AStopFileThatAppearsEndsAfterTheChunk) {
  fill(100);
  const auto file = std::filesystem::path(::testing::TempDir()) / "purgekit_stop_later";
  std::filesystem::remove(file);
  run_options.stop_file = file.string();
  db.at("delete_range", 2, [file](Connection&) { std::ofstream(file) << ""; });
  const PolicyReport r = only(run());
  std::filesystem::remove(file);
  EXPECT_EQ(r.stop_reason, "stop_file");
  EXPECT_EQ(r.chunks, 2);
}

TEST_F(Limits, StopEndsAfterTheChunkInHand) {
  fill(100);
  db.at("delete_range", 2, [this](Connection&) { control.stop("signal"); });
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "signal");
  EXPECT_EQ(r.chunks, 2) << "the chunk in hand was committed";
  EXPECT_EQ(db.slots.begin()->second.state, "stopped");
}

TEST_F(Limits, TheFirstReasonToStopStays) {
  control.stop("signal");
  control.stop("another");
  control.cancel();
  EXPECT_EQ(control.reason(), "signal");
}

TEST_F(Limits, CancelRollsTheChunkInHandBack) {
  fill(100);
  const Plan planned = plan();
  std::thread other;
  db.at("delete_range", 2, [&](Connection& c) {
    other = std::thread([this] { control.cancel(); });
    for (int i = 0; i < 5'000 && !c.cancelled(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(c.cancelled()) << "cancel did not reach the call under way";
    throw sdk::Error(PK_CANCELLED, "cancelled");
  });
  const PolicyReport r = only(run(planned));
  other.join();
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "cancelled");
  EXPECT_EQ(r.chunks, 1) << "only the chunk before it is committed";
  EXPECT_EQ(r.exit_code(), 3);
}

TEST_F(Limits, ACommitUnderCancelIsStillResolved) {
  fill(100);
  db.at("commit", 3, [this](Connection& c) {
    control.cancel();
    c.apply();
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  });
  const Report report = run();
  const PolicyReport& r = report.policies[0];
  EXPECT_EQ(r.exit_code(), 3) << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 100 - static_cast<std::int64_t>(db.rows.size()));
  EXPECT_EQ(r.chunks, 2);
}

TEST_F(Limits, ADoubtThatStaysUnderCancelIsAFailure) {
  fill(100);
  db.at("commit", 3, [this](Connection& c) {
    control.cancel();
    c.apply();
    c.db().always["connect"] = raise(PK_CONNECT_FAILED, "nobody there");
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  });
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.exit_code(), 1) << "a commit still in doubt";
}

TEST_F(Limits, AnotherRunOfTheTableGoesFirst) {
  fill(40);
  db.run_locked = true;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "another_run");
  EXPECT_EQ(r.exit_code(), 3);
  EXPECT_EQ(db.calls["slot_lock"], 0) << "its slot is not touched";
}

TEST_F(Limits, AnEstimateIsMadeExactBeforeMaxFractionStopsARun) {
  fill(100);  // half of them are expired
  Plan planned = plan();
  planned.policies[0].exact = false;
  planned.policies[0].rows_total = 10;  // statistics far too low
  run_options.max_fraction = 0.6;
  EXPECT_EQ(only(run(planned)).status, "completed");
}

TEST_F(Limits, MaxFractionStopsARunThatWasEstimated) {
  fill(100);
  Plan planned = plan();
  planned.policies[0].exact = false;
  run_options.max_fraction = 0.2;
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "max_fraction");
  EXPECT_LE(r.rows_deleted(), 20);
  EXPECT_GT(r.rows_deleted(), 0);
}

TEST_F(Limits, TheRateIsKept) {
  fill(60);
  run_options.max_rows_per_s = 60;
  const auto start = std::chrono::steady_clock::now();
  const PolicyReport r = only(run());
  const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(r.rows_deleted(), 30);
  EXPECT_GE(elapsed_s, 0.3) << "the last chunk needs no pause behind it";
  EXPECT_GT(r.throttled_s, 0.2);
  EXPECT_TRUE(std::any_of(progress.begin(), progress.end(), [](const Progress& p) { return p.waiting == "max_rows_per_s"; }));
}

TEST_F(Limits, ReplicaLagIsWaitedOut) {
  fill(40);
  db.replica_lags_s = {0, 9, 9, 1};
  run_options.max_replica_lag_s = 5;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_GE(r.throttled_s, 0.9);
  EXPECT_TRUE(std::any_of(progress.begin(), progress.end(), [](const Progress& p) { return p.waiting.find("9.0 s > 5.0 s") != std::string::npos; }));
}

TEST_F(Limits, ProgressNeverGoesBack) {
  fill(200, 2, 1);
  with_children();
  only(run());
  ASSERT_FALSE(progress.empty());
  std::int64_t last = 0;
  double share = -1;
  for (const Progress& p : progress) {
    EXPECT_GE(p.rows_deleted, last);
    EXPECT_GE(p.share_done, share);
    EXPECT_EQ(p.rows_purgeable, 100);
    last = p.rows_deleted;
    share = p.share_done;
  }
  EXPECT_EQ(progress.back().rows_deleted, 100);
  EXPECT_EQ(progress.back().rows_total_deleted, 200);
  EXPECT_EQ(progress.back().share_done, 1);
}

}  // namespace
}  // namespace purgekit::fake
