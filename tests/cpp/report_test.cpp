#include "purgekit/report.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "gtest/gtest.h"

namespace purgekit {
namespace {

PolicyReport with(const std::string& status, std::int64_t rows_left = 0) {
  PolicyReport r;
  r.policy = "p";
  r.table = "T";
  r.status = status;
  r.rows_left = rows_left;
  r.tables = {{"T", 10, 0}, {"CHILD", 25, 0}};
  return r;
}

Report of(std::vector<PolicyReport> policies) {
  Report r;
  r.run_id = "r1";
  r.policies = std::move(policies);
  return r;
}

TEST(ChunkTimes, PercentilesAreRightWithinThreePercent) {
  std::mt19937 random(3);
  std::lognormal_distribution<double> time_ms(3, 1.5);
  ChunkTimes times;
  std::vector<double> all;
  for (int i = 0; i < 20'000; ++i) {
    const double ms = time_ms(random);
    all.push_back(ms);
    times.record(ms);
  }
  std::sort(all.begin(), all.end());
  for (const double share : {0.01, 0.25, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = all[static_cast<std::size_t>(std::ceil(share * 20'000)) - 1];
    EXPECT_NEAR(times.percentile(share), exact, exact * 0.03) << share;
  }
  EXPECT_EQ(times.max(), all.back());
  EXPECT_LE(times.percentile(1), times.max());
}

TEST(ChunkTimes, NothingAndExtremes) {
  ChunkTimes times;
  EXPECT_EQ(times.percentile(0.5), 0);
  EXPECT_EQ(times.max(), 0);
  times.record(0);
  EXPECT_EQ(times.percentile(0.99), 0);
  times.record(1e12);
  EXPECT_EQ(times.max(), 1e12);
  EXPECT_LE(times.percentile(1), 1e12);
}

TEST(Report, ExitCodeOfOnePolicy) {
  EXPECT_EQ(with("completed").exit_code(), 0);
  EXPECT_EQ(with("completed", 3).exit_code(), 4);
  EXPECT_EQ(with("failed").exit_code(), 1);
  EXPECT_EQ(with("stopped", 3).exit_code(), 3);
  EXPECT_EQ(with("skipped").exit_code(), 0);
}

TEST(Report, ExitCodeIsTheFirstThatAppliesOfOneThreeFourZero) {
  const PolicyReport done = with("completed");
  const PolicyReport left = with("completed", 1);
  const PolicyReport stopped = with("stopped");
  const PolicyReport failed = with("failed");
  EXPECT_EQ(of({}).exit_code(), 0);
  EXPECT_EQ(of({done, done}).exit_code(), 0);
  EXPECT_EQ(of({done, left}).exit_code(), 4);
  EXPECT_EQ(of({left, stopped}).exit_code(), 3);
  EXPECT_EQ(of({stopped, failed, left}).exit_code(), 1);
  EXPECT_EQ(of({stopped, failed}).status(), "failed");
  EXPECT_EQ(of({stopped, done}).status(), "stopped");
  EXPECT_EQ(of({left}).status(), "completed");
}

TEST(Report, CountsOwnTableAndAllTables) {
  const Report report = of({with("completed"), with("completed")});
  EXPECT_EQ(report.policies[0].rows_deleted(), 10);
  EXPECT_EQ(report.rows_deleted(), 70);
  EXPECT_EQ(PolicyReport{}.rows_deleted(), 0);
}

TEST(Report, JsonHasTheContractsShape) {
  PolicyReport p = with("stopped", 4);
  p.strategy = "key-range";
  p.stop_reason = "deadline";
  p.continues = "r0";
  p.chunks = 2;
  p.retries = 1;
  p.elapsed_s = 2;
  p.chunk_ms.record(10);
  p.blocked = {{"T", "foreign_key", "fk", 3, "ID=1", "CHILD refers to them"}, {"T", "lock", "", 1, "", ""}};
  const auto json = nlohmann::json::parse(of({p}).to_json());
  EXPECT_EQ(json["schema"], "purgekit.run/1");
  EXPECT_EQ(json["run_id"], "r1");
  EXPECT_EQ(json["continues"], "r0");
  EXPECT_EQ(json["status"], "stopped");
  EXPECT_EQ(json["stop_reason"], "deadline");
  EXPECT_EQ(json["exit_code"], 3);
  EXPECT_EQ(json["rows_deleted"], 35);
  EXPECT_TRUE(json.contains("rows_archived") && json.contains("elapsed_s"));
  const auto& policy = json["policies"][0];
  for (const char* key : {"policy", "table", "strategy", "rows_deleted", "rows_archived", "rows_left", "chunks", "retries", "elapsed_s", "rows_per_s", "throttled_s"}) {
    EXPECT_TRUE(policy.contains(key)) << key;
  }
  EXPECT_EQ(policy["rows_deleted"], 10);
  EXPECT_EQ(policy["rows_per_s"], 5);
  EXPECT_EQ(policy["chunk_ms"]["max"], 10);
  EXPECT_EQ(policy["blocked"][0]["constraint"], "fk");
  EXPECT_TRUE(policy["blocked"][1]["constraint"].is_null());
  EXPECT_TRUE(policy["blocked"][1]["sample_key"].is_null());
  EXPECT_EQ(policy["tables"][1]["rows_deleted"], 25);
}

TEST(Report, JsonTellsNoContinuationAndNoReason) {
  const auto json = nlohmann::json::parse(of({with("completed")}).to_json());
  EXPECT_TRUE(json["continues"].is_null());
  EXPECT_TRUE(json["stop_reason"].is_null());
  EXPECT_FALSE(json.contains("error"));
}

TEST(Report, JsonSurvivesTextThatIsNoUtf8) {
  PolicyReport p = with("failed");
  p.error_code = "internal";
  p.error_message = "bad \xff byte";
  const auto json = nlohmann::json::parse(of({p}).to_json());
  EXPECT_EQ(json["error"]["code"], "internal");
  EXPECT_EQ(json["error"]["policy"], "p");
}

}  // namespace
}  // namespace purgekit
