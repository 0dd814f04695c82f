// The connection is lost in each verb: the run goes on on a new one, and every count is exact.
#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

class LostIn : public RunTest, public ::testing::WithParamInterface<std::pair<const char*, int>> {};

TEST_P(LostIn, TheRunGoesOn) {
  const auto [verb, call] = GetParam();
  fill(100, 2, 3);
  with_children();
  const Plan planned = plan();
  db.at(verb, call, raise(PK_CONNECTION_LOST, "the server went away"));
  const PolicyReport r = only(run(planned));
  EXPECT_GE(db.calls["connect"], 1) << "the script was not reached";
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.exit_code(), 0);
  EXPECT_EQ(expired(), 0);
  EXPECT_EQ(db.children_deleted, 150);
}

INSTANTIATE_TEST_SUITE_P(Verbs, LostIn,
                         ::testing::Values(std::pair{"begin", 1}, std::pair{"begin", 3}, std::pair{"delete_range", 1}, std::pair{"delete_range", 4}, std::pair{"delete_children", 2},
                                           std::pair{"checkpoint", 1}, std::pair{"checkpoint", 3}, std::pair{"count", 1},
                                           // The first commit is the takeover's.
                                           std::pair{"commit", 2}, std::pair{"commit", 4}),
                         [](const auto& info) { return std::string(info.param.first) + "_" + std::to_string(info.param.second); });

class LostAtStart : public RunTest, public ::testing::WithParamInterface<std::pair<const char*, int>> {};

TEST_P(LostAtStart, TheRunGoesOn) {
  const auto [verb, call] = GetParam();
  fill(40);
  const Plan planned = plan();
  db.at(verb, call, raise(PK_CONNECTION_LOST, "the server went away"));
  const PolicyReport r = only(run(planned));
  EXPECT_GE(db.calls["connect"], 1) << "the script was not reached";
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.continues, "");
  EXPECT_EQ(expired(), 0);
}

class LostForGood : public LostAtStart {};

TEST_P(LostForGood, IsAFailureThatSaysSo) {
  const auto [verb, call] = GetParam();
  fill(40);
  const Plan planned = plan();
  for (int again = call; again < call + 20; ++again) db.at(verb, again, raise(PK_CONNECTION_LOST, "the server went away"));
  const PolicyReport failed = only(run(planned));
  EXPECT_EQ(failed.status, "failed");
  EXPECT_EQ(failed.exit_code(), 1);
  EXPECT_EQ(failed.error_code, "connection_lost");
  EXPECT_NE(failed.error_message.find("nothing was deleted by this policy; run the same command again"), std::string::npos) << failed.error_message;
  EXPECT_EQ(expired(), 20);
  db.script.clear();
  run_options.run_id = "run2";
  EXPECT_EQ(only(run(planned)).status, "completed");
  EXPECT_EQ(expired(), 0);
}

INSTANTIATE_TEST_SUITE_P(Verbs, LostForGood, ::testing::Values(std::pair{"slot_lock", 1}, std::pair{"slot_write", 1}, std::pair{"run_write", 1}),
                         [](const auto& info) { return std::string(info.param.first); });

INSTANTIATE_TEST_SUITE_P(Verbs, LostAtStart,
                         ::testing::Values(std::pair{"lock_run", 1}, std::pair{"slot_lock", 1}, std::pair{"slot_write", 1}, std::pair{"run_write", 1}, std::pair{"prepare", 1}),
                         [](const auto& info) { return std::string(info.param.first); });

class LostTakeover : public RunTest, public ::testing::WithParamInterface<bool> {};

TEST_P(LostTakeover, IsFoundOut) {
  fill(40);
  run_options.max_rows = 8;
  EXPECT_EQ(run().policies[0].stop_reason, "max_rows");
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  const Plan planned = plan();
  const std::int64_t epoch = db.slots.begin()->second.epoch;
  db.at("commit", 1, lose_commit(GetParam()));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.continues, "run1");
  EXPECT_EQ(db.slots.begin()->second.epoch, epoch + 1) << "one takeover, whatever became of its answer";
  EXPECT_EQ(expired(), 0);
}

INSTANTIATE_TEST_SUITE_P(Fate, LostTakeover, ::testing::Bool(), [](const auto& info) { return std::string(info.param ? "committed" : "rolled_back"); });

class LostConnection : public RunTest {};

TEST_F(LostConnection, AgainAndAgainWhileConnecting) {
  fill(40);
  const Plan planned = plan();
  db.at("delete_range", 2, raise(PK_CONNECTION_LOST));
  db.at("connect", 1, raise(PK_CONNECT_FAILED));
  db.at("connect", 2, raise(PK_SERVER_SHUTDOWN));
  db.at("ledger_find", 3, raise(PK_CONNECTION_LOST));
  db.at("lock_run", 2, raise(PK_LOCK_TIMEOUT, "the old session still holds it"));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_GE(db.calls["connect"], 4);
  EXPECT_EQ(expired(), 0);
  EXPECT_GT(r.throttled_s, 0) << "it waits between tries";
}

TEST_F(LostConnection, TheLastTransactionIsNotDoneTwice) {
  fill(100, 2, 1);
  with_children();
  for (int call = 2; call <= 8; call += 2) db.at("commit", call, lose_commit(call % 4 == 0));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.rows_deleted(), 50);
  EXPECT_EQ(r.rows_deleted_all(), 100);
}

TEST_F(LostConnection, WhileRollingBack) {
  fill(40);
  const Plan planned = plan();
  db.at("delete_range", 2, raise(PK_DEADLOCK));
  db.at("rollback", 1, raise(PK_CONNECTION_LOST));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(expired(), 0);
}

TEST_F(LostConnection, ATableThatChangedMeanwhileIsLeftAlone) {
  fill(40);
  const Plan planned = plan();
  db.at("delete_range", 2, [](Connection& c) {
    c.db().table.identity = "t2";
    throw sdk::Error(PK_CONNECTION_LOST, "gone");
  });
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "schema_changed");
  EXPECT_GT(expired(), 0);
}

TEST_F(LostConnection, APasswordThatIsRefusedNowEndsTheRun) {
  fill(40);
  const Plan planned = plan();
  db.at("delete_range", 2, raise(PK_CONNECTION_LOST));
  db.at("connect", 1, raise(PK_AUTHENTICATION));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "authentication");
}

TEST_F(LostConnection, TheOldCutoffIsPreparedAgain) {
  fill(40);
  const Plan planned = plan();
  db.at("delete_range", 2, raise(PK_CONNECTION_LOST));
  only(run(planned));
  for (const std::int64_t cutoff_ns : db.prepared_cutoffs_ns) EXPECT_EQ(cutoff_ns, planned.policies[0].now_ns);
}

}  // namespace
}  // namespace purgekit::fake
