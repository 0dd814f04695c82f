// COMMIT was sent and no answer came: the ledger decides, once the old transaction is gone.
#include <nlohmann/json.hpp>

#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

class Doubt : public RunTest {
 protected:
  Doubt() {
    fill(60, 2, 2);
    with_children();
  }
  static constexpr int first_chunk = 2;  // the first commit is the takeover's
};

TEST_F(Doubt, CommittedIsCountedOnce) {
  db.at("commit", first_chunk, lose_commit(true));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.rows_deleted(), 30);
  EXPECT_GE(r.retries, 1);
}

TEST_F(Doubt, NotCommittedIsDoneAgain) {
  db.at("commit", first_chunk + 1, lose_commit(false));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.rows_deleted(), 30);
  EXPECT_EQ(expired(), 0);
}

TEST_F(Doubt, OneAfterTheOther) {
  for (int call = first_chunk; call < first_chunk + 5; ++call) db.at("commit", call, lose_commit(call % 3 != 0));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(expired(), 0);
}

TEST_F(Doubt, HangingThenCommitted) {
  db.at("commit", first_chunk, hang_commit(true, 2));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 30);
}

TEST_F(Doubt, HangingThenRolledBack) {
  db.at("commit", first_chunk, hang_commit(false, 2));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 30);
}

class DoubtForGood : public Doubt, public ::testing::WithParamInterface<bool> {};

TEST_P(DoubtForGood, TheNextStartResolvesIt) {
  const Plan planned = plan();
  db.at("commit", first_chunk + 1, hang_commit(GetParam(), 1'000));
  const Report first = run(planned);
  EXPECT_EQ(first.exit_code(), 1);
  EXPECT_EQ(first.policies[0].status, "failed");
  EXPECT_EQ(first.policies[0].error_code, "lock_timeout");
  db.script.clear();
  db.hanging_waits = 0;
  run_options.run_id = "run2";
  const Report second = run(planned);
  EXPECT_EQ(second.policies[0].status, "completed") << second.policies[0].error_message;
  EXPECT_EQ(second.policies[0].continues, "run1");
  EXPECT_EQ(expired(), 0);
  EXPECT_EQ(db.children_deleted, 60);
  const auto record = nlohmann::json::parse(db.runs.at("run1/000"));
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["rows_deleted"].get<std::int64_t>() + db.slots.begin()->second.rows_deleted, 90) << "the first run's record gets what it truly deleted";
}

INSTANTIATE_TEST_SUITE_P(Fate, DoubtForGood, ::testing::Bool(), [](const auto& info) { return std::string(info.param ? "committed" : "rolled_back"); });

TEST_F(Doubt, TakenOverMeanwhileIsLeft) {
  db.at("commit", first_chunk, [](Connection& c) {
    c.apply();
    c.db().slots.begin()->second.epoch += 1;
    c.db().slots.begin()->second.run_id = "another";
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  });
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "fenced");
  EXPECT_EQ(r.exit_code(), 3);
}

// What another run's takeover leaves: a higher epoch, and in the document where the run before it stood.
void take_over(Connection& c) {
  sdk::Slot& slot = c.db().slots.begin()->second;
  const auto document = nlohmann::json::parse(slot.document);
  nlohmann::json record = document["record"];
  record["rows_deleted"] = slot.rows_deleted;
  record["status"] = "failed";
  c.db().runs["run1/000"] = record.dump();
  slot.document = nlohmann::json{{"taken_over", {{{"id", "run1/000"}, {"seq", slot.seq}, {"record", record}}}}}.dump();
  slot.epoch += 1;
  slot.run_id = "run2";
  slot.rows_deleted = 0;
}

class DoubtTakenOver : public Doubt, public ::testing::WithParamInterface<bool> {};

TEST_P(DoubtTakenOver, TheWinnersSlotTellsHowFarItGot) {
  const bool committed = GetParam();
  db.at("commit", first_chunk + 1, [committed](Connection& c) {
    if (committed) c.apply();
    take_over(c);
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  });
  const PolicyReport r = only(run());
  EXPECT_EQ(r.stop_reason, "fenced");
  EXPECT_FALSE(r.at_least);
  EXPECT_EQ(r.chunks, committed ? 2 : 1);
  const auto record = nlohmann::json::parse(db.runs.at("run1/000"));
  EXPECT_EQ(record["rows_deleted"], r.rows_deleted_all());
  EXPECT_EQ(record["stop_reason"], "fenced");
  EXPECT_EQ(db.slots.begin()->second.run_id, "run2");
}

INSTANTIATE_TEST_SUITE_P(Fate, DoubtTakenOver, ::testing::Bool(), [](const auto& info) { return std::string(info.param ? "committed" : "rolled_back"); });

TEST_F(Doubt, ACountThatIsNotSureNeverReplacesTheOneThatIs) {
  db.at("commit", first_chunk + 1, [](Connection& c) {
    c.apply();
    take_over(c);
    c.db().slots.begin()->second.document = "{}";  // and then a third run came, which knows the second only
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  });
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.stop_reason, "fenced");
  EXPECT_TRUE(r.at_least);
  const auto record = nlohmann::json::parse(db.runs.at("run1/000"));
  EXPECT_EQ(record["rows_deleted"], 60 - static_cast<int>(db.rows.size()) + static_cast<int>(db.children_deleted));
  EXPECT_LT(r.rows_deleted_all(), record["rows_deleted"].get<std::int64_t>());
}

TEST_F(Doubt, ThatEndsWhileTheOutcomeIsRecordedIsCountedInTheReport) {
  const Plan planned = plan();
  db.at("commit", first_chunk, lose_commit(true));
  for (int tries = 1; tries <= 12; ++tries) db.at("connect", tries, raise(PK_CONNECT_FAILED, "still away"));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "connect_failed");
  EXPECT_EQ(r.chunks, 1) << "committed, as the ledger told in the end";
  EXPECT_FALSE(r.at_least);
  EXPECT_EQ(db.slots.begin()->second.rows_deleted, r.rows_deleted_all());
}

TEST_F(Doubt, ASlotThatIsNeitherIsAnAlarm) {
  db.at("commit", first_chunk, [](Connection& c) {
    c.apply();
    c.db().slots.begin()->second.seq += 7;
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  });
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "corrupt");
}

TEST_F(Doubt, WithoutALedgerItStaysDoubt) {
  run_options.ledger = "none";
  db.at("commit", 1, lose_commit(true));
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.exit_code(), 1);
  EXPECT_EQ(r.error_code, "in_doubt");
  EXPECT_TRUE(r.at_least);
}

TEST_F(Doubt, WithoutALedgerALostChunkIsSimplyDoneAgain) {
  run_options.ledger = "none";
  db.at("delete_range", 2, raise(PK_CONNECTION_LOST));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_TRUE(r.at_least);
  EXPECT_EQ(expired(), 0);
  EXPECT_TRUE(db.slots.empty());
  EXPECT_TRUE(db.runs.empty());
}

}  // namespace
}  // namespace purgekit::fake
