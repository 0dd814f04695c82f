// Takeover, continuation and history: what the ledger's slot makes of the next start.
#include <nlohmann/json.hpp>
#include <functional>
#include <set>
#include <vector>

#include "fake/fixture.hpp"
#include "slot_keeper.hpp"

namespace purgekit::fake {
namespace {

class Resume : public RunTest {
 protected:
  Resume() { fill(100); }
  /// A first run that stops after some rows.
  Report stopped_run() {
    run_options.max_rows = 12;
    Report report = run();
    EXPECT_EQ(report.policies[0].stop_reason, "max_rows");
    run_options.max_rows.reset();
    run_options.run_id = "run2";
    return report;
  }
  sdk::Slot& slot() { return db.slots.begin()->second; }
};

TEST_F(Resume, TheNextRunGoesOnWithTheOldCutoffAndCursor) {
  const std::int64_t first_now = db.now_ns;
  stopped_run();
  const std::string cursor = slot().cursor;
  EXPECT_FALSE(cursor.empty());
  db.now_ns += 30'000'000;  // another 30 ms: more rows have expired meanwhile, some behind the cursor
  const Plan planned = plan();
  const Report report = run(planned);
  const PolicyReport r = only(report);
  EXPECT_EQ(r.continues, "run1");
  EXPECT_EQ(nlohmann::json::parse(report.to_json())["continues"], "run1");
  EXPECT_EQ(r.status, "completed");
  ASSERT_GE(db.prepared_cutoffs_ns.size(), 2u);
  EXPECT_EQ(db.prepared_cutoffs_ns.front(), first_now) << "the unfinished walk ends with its own cutoff";
  EXPECT_EQ(db.prepared_cutoffs_ns.back(), db.now_ns) << "then a fresh pass with the new one";
  EXPECT_EQ(expired(), 0);
}

TEST_F(Resume, TheCursorIsWhereTheFirstRunEnded) {
  stopped_run();
  const std::int64_t cursor = std::stoll(slot().cursor);
  std::int64_t lowest = INT64_MAX;
  const Plan planned = plan();
  db.at("commit", 2, [&](Connection& c) {
    for (const auto& [id, record] : c.db().rows) {
      if (id % 2 == 0) lowest = std::min(lowest, id);
    }
  });
  only(run(planned));
  EXPECT_GT(lowest, cursor) << "nothing before the cursor was left by the first run";
  EXPECT_EQ(expired(), 0);
}

TEST_F(Resume, AnotherPolicyStartsAfresh) {
  stopped_run();
  policy.name = "other";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.continues, "");
  EXPECT_EQ(expired(), 0);
}

TEST_F(Resume, AnotherTableOfTheSameNameStartsAfresh) {
  stopped_run();
  db.table.identity = "t2";
  EXPECT_EQ(only(run()).continues, "");
  EXPECT_EQ(expired(), 0);
}

TEST_F(Resume, AnotherWalkStartsAfresh) {
  stopped_run();
  db.walks = {{"matching", "index-range", "by_expiry", 0.5, ""}};
  EXPECT_EQ(only(run()).continues, "") << "a cursor means something to its own walk only";
  EXPECT_EQ(expired(), 0);
}

TEST_F(Resume, ACursorOfTheWalkThatReplacedAnotherIsNotTakenForTheOthers) {
  db.walks = {{"matching", "index-range", "by_expiry", 0.5, ""}, {"id", "key-range", "", 1, ""}};
  db.rows[20].held_by = "fk";
  run_options.max_rows = 30;
  EXPECT_EQ(run().policies[0].stop_reason, "max_rows");
  EXPECT_EQ(nlohmann::json::parse(slot().document)["walk"], "id");
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  db.rows[20].held_by = "";
  EXPECT_EQ(only(run()).continues, "");
  EXPECT_EQ(expired(), 0);
}

TEST_F(Resume, AnEarlierNowDoesNotTakeUpALaterCutoff) {
  stopped_run();
  plan_options.now_ns = db.now_ns - 60'000'000'000;
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.continues, "") << "the old walk would delete more than this run may";
  for (const std::int64_t cutoff_ns : db.prepared_cutoffs_ns) EXPECT_LE(cutoff_ns, *plan_options.now_ns);
}

TEST_F(Resume, AFinishedWalkIsNotContinued) {
  only(run());
  run_options.run_id = "run2";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.continues, "");
  EXPECT_EQ(r.rows_deleted(), 0);
  EXPECT_EQ(slot().run_id, "run2");
}

TEST_F(Resume, EveryStartRaisesTheEpoch) {
  only(run());
  const std::int64_t epoch = slot().epoch;
  const std::int64_t seq = slot().seq;
  only(run());
  EXPECT_EQ(slot().epoch, epoch + 1);
  EXPECT_GE(slot().seq, seq) << "the sequence never goes back";
}

TEST_F(Resume, AKilledRunIsContinuedAndItsRecordMended) {
  const Plan planned = plan();
  run_options.max_rows = 12;
  run(planned);
  // As a kill would leave it: the outcome is not written.
  slot().state = "walking";
  nlohmann::json record = nlohmann::json::parse(db.runs.at("run1/000"));
  record["status"] = "running";
  record["rows_deleted"] = 0;
  db.runs["run1/000"] = record.dump();
  const std::int64_t first = 100 - static_cast<std::int64_t>(db.rows.size());

  run_options.max_rows.reset();
  run_options.run_id = "run2";
  const PolicyReport r = run().policies[0];
  EXPECT_EQ(r.continues, "run1");
  const auto mended = nlohmann::json::parse(db.runs.at("run1/000"));
  EXPECT_EQ(mended["status"], "failed");
  EXPECT_EQ(mended["stop_reason"], "interrupted");
  EXPECT_EQ(mended["exit_code"], 1);
  EXPECT_EQ(mended["rows_deleted"], first);
  const auto own = nlohmann::json::parse(db.runs.at("run2/000"));
  EXPECT_EQ(own["rows_deleted"], 50 - first);
}

TEST_F(Resume, WhatARunLeftUnwrittenIsWrittenByTheNextThatCan) {
  const Plan planned = plan();
  run_options.max_rows = 12;
  run(planned);
  slot().state = "walking";  // killed
  const std::int64_t first = slot().rows_deleted;
  // The next one is killed right after it took over.
  run_options.run_id = "run2";
  for (int call = 1; call <= 40; ++call) db.at("run_write", call, raise(PK_DATA, "killed here"));
  for (int call = 2; call <= 40; ++call) db.at("slot_write", call, raise(PK_DATA, "killed here"));
  run(planned);
  db.script.clear();
  ASSERT_EQ(slot().run_id, "run2");
  db.runs.clear();
  run_options.run_id = "run3";
  run_options.max_rows.reset();
  const PolicyReport r = run(planned).policies[0];
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(nlohmann::json::parse(db.runs.at("run1/000"))["rows_deleted"], first);
  EXPECT_EQ(nlohmann::json::parse(db.runs.at("run2/000"))["rows_deleted"], 0);
  EXPECT_EQ(nlohmann::json::parse(db.runs.at("run3/000"))["rows_deleted"], 50 - first);
}

TEST_F(Resume, AnOutcomeThatWasNotRecordedIsKnownFromTheSlot) {
  // Killed between the two writes at its end.
  for (int call = 2; call <= 40; ++call) db.at("run_write", call, raise(PK_DATA, "killed here"));
  run();
  db.script.clear();
  ASSERT_EQ(slot().state, "done");
  EXPECT_EQ(nlohmann::json::parse(db.runs.at("run1/000"))["status"], "running");
  run_options.run_id = "run2";
  run();
  const auto record = nlohmann::json::parse(db.runs.at("run1/000"));
  EXPECT_EQ(record["status"], "completed");
  EXPECT_EQ(record["rows_deleted"], 50);
}

class Garbage : public Resume {
 protected:
  Garbage() { stopped_run(); }
};

TEST_F(Garbage, NumbersThatCantBeAreRefused) {
  for (const auto& spoil : std::vector<std::function<void(sdk::Slot&)>>{[](sdk::Slot& s) { s.epoch = -1; }, [](sdk::Slot& s) { s.epoch = INT64_MAX; }, [](sdk::Slot& s) { s.seq = INT64_MAX; },
                                                                        [](sdk::Slot& s) { s.rows_deleted = -5; }}) {
    const sdk::Slot good = slot();
    spoil(slot());
    const std::size_t rows = db.rows.size();
    const PolicyReport r = run().policies[0];
    EXPECT_EQ(r.status, "failed");
    EXPECT_EQ(r.error_code, "corrupt");
    EXPECT_NE(r.error_message.find("impossible numbers"), std::string::npos) << r.error_message;
    EXPECT_EQ(db.rows.size(), rows);
    slot() = good;
  }
  EXPECT_EQ(only(run()).status, "completed");
}

TEST_F(Garbage, APlaceThatCantBeUsedCostsAWalkFromTheStart) {
  db.at("delete_range", 1, raise(PK_CORRUPT, "the cursor in the ledger can't be read"));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(expired(), 0);
}

TEST_F(Garbage, ACutoffOrPassFromNowhereIsNotContinued) {
  slot().cutoff_ns = INT64_MIN;
  EXPECT_EQ(only(run()).continues, "");
  EXPECT_EQ(expired(), 0);
}

TEST_F(Garbage, ADocumentOfAnyShapeIsReadWithoutHarm) {
  for (const char* text : {"", "null", "[]", "{", R"({"record": 5, "identity": {}, "walk": [], "record_id": 7, "taken_over": {"a": 1}})",
                           R"({"record": {"status": 9}, "taken_over": [1, {"id": 2}, {"id": "x", "record": []}, {"id": "y", "seq": "z", "record": {}}]})"}) {
    slot().document = text;
    slot().state = "walking";
    run_options.run_id += "x";
    const PolicyReport r = run().policies[0];
    EXPECT_EQ(r.status, "completed") << text << r.error_message;
  }
  EXPECT_EQ(expired(), 0);
  for (const char* text : {"", "[]", R"({"run_id": 5, "rows_deleted": "many", "status": {}, "exit_code": "x", "slot": 4, "policy": []})"}) db.runs[std::string("odd") + text] = text;
  EXPECT_NO_THROW(ledger_history(*session, "purgekit_ledger"));
}

TEST_F(Resume, ATakeoverFencesTheRunThatWasThere) {
  const Plan planned = plan();
  db.at("begin", 3, [](Connection& c) {
    sdk::Slot& taken = c.db().slots.begin()->second;
    taken.epoch += 1;
    taken.run_id = "other run";
    taken.state = "walking";
  });
  const PolicyReport r = run(planned).policies[0];
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "fenced");
  EXPECT_EQ(r.exit_code(), 3);
  EXPECT_EQ(r.chunks, 2);
  EXPECT_EQ(slot().run_id, "other run") << "the winner's slot is not written to";
  EXPECT_EQ(slot().state, "walking");
  EXPECT_EQ(r.rows_deleted(), 100 - static_cast<std::int64_t>(db.rows.size()));
}

TEST_F(Resume, ATakeoverWhileAChunkIsOpenRollsItBack) {
  const Plan planned = plan();
  db.at("checkpoint", 2, raise(PK_FENCED, "another run has taken this table over"));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.stop_reason, "fenced");
  EXPECT_EQ(r.chunks, 1);
}

TEST_F(Resume, HistoryTellsEveryRun) {
  stopped_run();
  only(run());
  const auto history = nlohmann::json::parse(ledger_history(*session, "purgekit_ledger"));
  EXPECT_EQ(history["schema"], "purgekit.history/1");
  ASSERT_EQ(history["runs"].size(), 2u);
  EXPECT_EQ(history["runs"][0]["run_id"], "run1");
  EXPECT_EQ(history["runs"][0]["status"], "stopped");
  EXPECT_EQ(history["runs"][0]["exit_code"], 3);
  EXPECT_EQ(history["runs"][1]["status"], "completed");
  EXPECT_EQ(history["runs"][0]["rows_deleted"].get<int>() + history["runs"][1]["rows_deleted"].get<int>(), 50);
  EXPECT_EQ(history["runs"][1]["policies"][0], "p");
}

TEST_F(Resume, HistoryAsksTheSlotAboutARunThatWasKilled) {
  stopped_run();
  nlohmann::json record = nlohmann::json::parse(db.runs.at("run1/000"));
  record["status"] = "running";
  record["rows_deleted"] = 0;
  db.runs["run1/000"] = record.dump();
  db.runs["broken"] = "not json";
  const auto history = nlohmann::json::parse(ledger_history(*session, "purgekit_ledger"));
  ASSERT_EQ(history["runs"].size(), 1u);
  EXPECT_EQ(history["runs"][0]["rows_deleted"], 100 - static_cast<int>(db.rows.size()));
}

TEST_F(Resume, HistoryWithoutALedgerIsEmpty) {
  session = nullptr;
  db.ledger.state = PK_LEDGER_ABSENT;
  run_options.ledger = "none";
  run();
  EXPECT_TRUE(nlohmann::json::parse(ledger_history(*session, "purgekit_ledger"))["runs"].empty());
}

TEST(SlotKey, IsReadableBoundedAndDifferent) {
  sdk::Table table;
  table.schema = "public";
  table.name = "sessions";
  EXPECT_EQ(slot_key(table), "tpublic,tsessions#0");
  sdk::Table joined;
  joined.schema = "public,tsessions";
  EXPECT_NE(slot_key(joined), slot_key(table));
  std::set<std::string> keys;
  for (const char* end : {"a", "b"}) {
    sdk::Table is_long;
    is_long.name = std::string(300, '\xc3') + end;
    keys.insert(slot_key(is_long));
    EXPECT_LE(slot_key(is_long).size(), 200u);
  }
  EXPECT_EQ(keys.size(), 2u);
}

}  // namespace
}  // namespace purgekit::fake
