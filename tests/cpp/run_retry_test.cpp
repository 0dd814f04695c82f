// Errors that leave the connection alive: what is tried again, in which size, and what ends the run.
#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

class Retry : public RunTest, public ::testing::WithParamInterface<pk_code> {};

TEST_P(Retry, PassingTroubleIsTriedAgain) {
  fill(40);
  db.at("delete_range", 1, raise(GetParam()));
  db.at("checkpoint", 2, raise(GetParam()));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.retries, 2);
  EXPECT_EQ(expired(), 0);
  EXPECT_GE(db.calls["rollback"], 2);
}

// Cancelled without our asking: an administrator ended the statement.
INSTANTIATE_TEST_SUITE_P(Codes, Retry, ::testing::Values(PK_DEADLOCK, PK_SERIALIZATION, PK_CANCELLED, PK_SERVER_RESOURCES, PK_LOCK_TIMEOUT, PK_STATEMENT_TIMEOUT),
                         [](const auto& info) { return std::string(sdk::code_name(info.param)); });

class Fatal : public RunTest, public ::testing::WithParamInterface<pk_code> {};

TEST_P(Fatal, WhatTryingAgainCantMendEndsTheRun) {
  fill(100);
  const Plan planned = plan();
  db.at("delete_range", 3, raise(GetParam(), "it is broken"));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.exit_code(), 1);
  EXPECT_EQ(r.error_code, sdk::code_name(GetParam()));
  EXPECT_NE(r.error_message.find("it is broken; " + std::to_string(r.rows_deleted()) + " rows in 2 chunks deleted, committed and recorded"), std::string::npos) << r.error_message;
  EXPECT_GT(r.rows_deleted(), 0) << "earlier chunks stay done";
  EXPECT_EQ(r.rows_left, 50 - r.rows_deleted());
  EXPECT_EQ(db.slots.begin()->second.state, "stopped") << "resumable";
}

INSTANTIATE_TEST_SUITE_P(Codes, Fatal, ::testing::Values(PK_DATA, PK_PRIVILEGE, PK_READ_ONLY, PK_INTERNAL, PK_CORRUPT, PK_SCHEMA_CHANGED, PK_NOT_SUPPORTED, PK_INVALID_ARGUMENT),
                         [](const auto& info) { return std::string(sdk::code_name(info.param)); });

class Conflicts : public RunTest {};

TEST_F(Conflicts, AStatementTimeoutHalvesTheChunk) {
  fill(100);
  plan_options.chunk_rows = 64;
  db.most_rows_in_time = 5;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(expired(), 0);
  EXPECT_GE(r.retries, 4);
  EXPECT_GE(r.chunks, 20) << "at most five rows each";
}

TEST_F(Conflicts, AStatementTimeoutOnOneRowEndsTheRun) {
  fill(20);
  db.most_rows_in_time = 0;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "statement_timeout");
  EXPECT_EQ(r.rows_deleted(), 0);
}

TEST_F(Conflicts, ALockedDatabaseIsWaitedFor) {
  fill(40);
  for (const int call : {1, 2, 4}) db.at("begin", call, raise(PK_LOCK_TIMEOUT, "database is locked"));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.retries, 3);
  EXPECT_GT(r.throttled_s, 0);
  EXPECT_TRUE(r.blocked.empty());
}

TEST_F(Conflicts, AChunkThatMeetsManyKindsOfTroubleStillGetsDone) {
  fill(40);
  db.at("begin", 1, raise(PK_LOCK_TIMEOUT));
  db.at("delete_range", 1, raise(PK_DEADLOCK));
  db.at("delete_range", 2, raise(PK_STATEMENT_TIMEOUT));
  db.at("checkpoint", 1, raise(PK_CONNECTION_LOST));
  db.at("commit", 2, lose_commit(false));
  db.at("commit", 3, raise(PK_SERIALIZATION));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(expired(), 0);
}

TEST_F(Conflicts, TheClosingCountIsTriedAgain) {
  fill(20);
  const Plan planned = plan();
  db.at("count", 1, raise(PK_LOCK_TIMEOUT));
  EXPECT_EQ(only(run(planned)).status, "completed");
}

TEST_F(Conflicts, RowsThatComeBackAreTakenByFurtherPasses) {
  fill(40);
  const Plan planned = plan();
  // A row that had been live expires behind the cursor in the middle of the first pass.
  db.at("delete_range", 3, [](Connection& c) { c.db().rows[1].expires_ms = 1'700'000'000'000; });
  run(planned);
  EXPECT_EQ(expired(), 0);
  EXPECT_EQ(db.slots.begin()->second.pass, 2);
}

TEST_F(Conflicts, RowsThatAlwaysComeBackAreReported) {
  fill(20);
  const Plan planned = plan();
  // A trigger brings row 2 back after each commit.
  db.always["begin"] = [](Connection& c) { c.db().rows[2].expires_ms = 1'700'000'000'000; };
  db.always["count"] = db.always["begin"];
  const PolicyReport r = run(planned).policies[0];
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 1);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "remaining");
  EXPECT_EQ(r.blocked[0].sample_key, "ID=2");
  EXPECT_LE(db.slots.begin()->second.pass, 20) << "passes are bounded";
}

}  // namespace
}  // namespace purgekit::fake
