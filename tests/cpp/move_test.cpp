// Purging by strokes under an exclusive lock: what a plan proposes and refuses, and how a run goes about it.
#include <nlohmann/json.hpp>

#include "fake/fixture.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

class Moves : public RunTest {
 protected:
  Moves() {
    fill(60);
    db.moves = {{{"move:partition", "partition", "", 0.1, "drops what is wholly expired"}, "", 20, 100, 0},
                {{"move:swap", "swap", "", 0.2, "keeps the few"}, "", 30, 4'000, 1'000'000},
                {{"move:truncate", "truncate", "", 0.1, "empties it"}, "30 rows would stay", 60, 10, 0}};
  }
  void ask_for(const std::string& strategy) { policy.strategy = strategy; }
  std::string refusal() {
    return code_of([this] { plan(); });
  }
  std::string run_refusal() {
    const Plan planned = plan();
    return code_of([&] { run(planned); });
  }
};

TEST_F(Moves, AreProposedAndNotTakenUnasked) {
  const Plan planned = plan();
  EXPECT_EQ(planned.policies[0].walk.id, "id");
  const auto json = nlohmann::json::parse(planned.to_json())["policies"][0];
  EXPECT_EQ(json["strategy"], "key-range");
  EXPECT_TRUE(json["move"].is_null());
  ASSERT_EQ(json["proposals"].size(), 3u);
  EXPECT_EQ(json["proposals"][1], nlohmann::json::parse(R"({"strategy":"swap","reason":"keeps the few","problem":null,"rows":30,"window_s":4.0,"needed_bytes":1000000})"));
  EXPECT_EQ(json["proposals"][2]["problem"], "30 rows would stay");
  EXPECT_EQ(only(run(planned)).strategy, "key-range");
  EXPECT_EQ(db.ranges[0].window_ms, 0u);
}

TEST_F(Moves, ABackendWithoutThemPlansAsEver) {
  db.always["moves"] = raise(PK_NOT_SUPPORTED);
  EXPECT_TRUE(plan().policies[0].proposals.empty());
  EXPECT_TRUE(plan().policies[0].warnings.empty());
  ask_for("swap");
  EXPECT_EQ(refusal(), "strategy");
}

TEST_F(Moves, WhatCanNotBeFoundOutIsAWarningAndNoRefusalUnlessAskedFor) {
  db.always["moves"] = raise(PK_PRIVILEGE, "the catalogue is closed");
  const Plan planned = plan();
  ASSERT_EQ(planned.policies[0].warnings.size(), 1u);
  EXPECT_EQ(planned.policies[0].warnings[0].code, "moves");
  ask_for("swap");
  EXPECT_EQ(refusal(), "privilege");
}

TEST_F(Moves, AskedForIsPlannedWithItsOwnFigures) {
  ask_for("swap");
  const Plan planned = plan();
  EXPECT_EQ(planned.policies[0].walk.id, "move:swap");
  EXPECT_EQ(planned.policies[0].statements, std::vector<std::string>{"DELETE by move:swap"});
  const auto json = nlohmann::json::parse(planned.to_json())["policies"][0];
  EXPECT_EQ(json["strategy"], "swap");
  EXPECT_EQ(json["move"]["window_s"], 4.0);
  EXPECT_EQ(json["move"]["move_window_s"], 60.0);
  EXPECT_EQ(json["forecast"]["seconds"], 4.0);
  EXPECT_EQ(json["forecast"]["transactions"], 1);
  EXPECT_TRUE(json["proposals"].empty());
}

TEST_F(Moves, RefusedWithTheBackendsReason) {
  ask_for("truncate");
  try {
    plan();
    ADD_FAILURE() << "a truncate that would not be exact";
  } catch (const EngineError& e) {
    EXPECT_EQ(e.code(), "strategy");
    EXPECT_NE(e.message().find("30 rows would stay"), std::string::npos) << e.message();
    EXPECT_EQ(e.policy(), "p");
  }
}

TEST_F(Moves, RefusedWhereOthersWouldWaitForTooLong) {
  ask_for("swap");
  policy.move_window_ns = 3'999'000'000;
  EXPECT_EQ(refusal(), "move_window");
  policy.move_window_ns = 4'000'000'000;
  EXPECT_NO_THROW(plan());
  db.moves[1].window_ms = -1;
  policy.move_window_ns = 10'000'000;
  EXPECT_NO_THROW(plan()) << "an unknown time is bounded while it runs";
}

TEST_F(Moves, RefusedWithWhatTheyCanNotDo) {
  ask_for("swap");
  plan_options.rehearse = true;
  EXPECT_EQ(refusal(), "rehearse");
  plan_options.rehearse = false;
  with_children();
  EXPECT_EQ(refusal(), "strategy");
  policy.dependents.clear();
  run_options.max_rows = 1'000;
  EXPECT_EQ(run_refusal(), "max_rows");
  run_options.max_rows.reset();
  run_options.max_rows_per_s = 1'000;
  EXPECT_EQ(run_refusal(), "max_rows_per_s");
  EXPECT_EQ(db.calls["begin"], 0);
}

TEST_F(Moves, OneStrokeTakesAllByOneWorker) {
  ask_for("swap");
  policy.move_window_ns = 5'000'000'000;
  db.can_be_cut = true;
  run_options.workers = 4;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.exit_code(), 0);
  EXPECT_EQ(r.strategy, "swap");
  EXPECT_EQ(r.chunks, 1);
  EXPECT_EQ(r.workers, 1u);
  EXPECT_EQ(r.rows_deleted(), 30);
  EXPECT_EQ(r.forecast_s, 4.0);
  ASSERT_EQ(db.ranges.size(), 1u);
  EXPECT_EQ(db.ranges[0].window_ms, 5'000u);
  EXPECT_EQ(db.calls["split"], 0);
}

TEST_F(Moves, NobodyWaitsWhenThereIsNothingToPurge) {
  for (auto& [id, record] : db.rows) record.expires_ms = 0;
  ask_for("swap");
  EXPECT_EQ(only(run()).exit_code(), 0);
  EXPECT_TRUE(db.ranges.empty());
}

TEST_F(Moves, WhatCameSinceGoesByAWalk) {
  ask_for("swap");
  const Plan planned = plan();
  db.at("count", 1, [](Connection& c) {
    for (std::int64_t id = 101; id <= 125; ++id) c.db().rows[id].expires_ms = 1;
  });
  const Report report = run(planned);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(report.rows_deleted(), 55);
  EXPECT_EQ(expired(), 0);
  ASSERT_GT(db.ranges.size(), 1u);
  EXPECT_EQ(db.ranges[1].window_ms, 0u);
  EXPECT_EQ(db.ranges[1].max_rows, 10) << "the stroke's time says nothing of a chunk's size";
  EXPECT_EQ(db.ranges[1].cursor, "");
  EXPECT_EQ(report.policies[0].strategy, "swap");
}

TEST_F(Moves, PartitionsThatKeepRowsAreWalked) {
  for (std::int64_t id = 1; id <= 40; ++id) db.rows[id].expires_ms = 1;
  ask_for("partition");
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 0) << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 50) << "four partitions of ten, and ten rows of the others";
  EXPECT_EQ(r.rows_left, 0);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_GT(db.ranges.at(i).window_ms, 0u) << i;
  EXPECT_EQ(db.ranges.at(6).window_ms, 0u);
}

TEST_F(Moves, ALockedTableIsTriedAgainAndThenLeft) {
  ask_for("swap");
  db.at("delete_range", 1, raise(PK_LOCK_TIMEOUT, "somebody reads it"));
  db.at("delete_range", 2, raise(PK_LOCK_TIMEOUT, "somebody reads it"));
  PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 0);
  EXPECT_EQ(r.retries, 2);
  EXPECT_EQ(r.waits_s.count("table locked"), 1u);

  fill(60);
  db.always["delete_range"] = raise(PK_LOCK_TIMEOUT, "somebody reads it");
  r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 30);
  EXPECT_EQ(r.rows_deleted(), 0);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "lock");
  EXPECT_LE(db.calls["delete_range"], 10);
}

TEST_F(Moves, AStrokeThatTakesTooLongIsNotMadeAgain) {
  ask_for("swap");
  for (const pk_code code : {PK_STATEMENT_TIMEOUT, PK_SERVER_RESOURCES, PK_CANCELLED, PK_TRIGGER}) {
    db.always["delete_range"] = raise(code, "raise move_window");
    const PolicyReport r = only(run());
    EXPECT_EQ(r.status, "failed");
    EXPECT_EQ(r.error_code, sdk::code_name(code));
    EXPECT_NE(r.error_message.find("raise move_window"), std::string::npos) << r.error_message;
    EXPECT_EQ(db.calls["delete_range"], 1);
    EXPECT_EQ(expired(), 30);
  }
}

TEST_F(Moves, ALostAnswerIsFoundOutThoughAnotherTableIsInItsPlace) {
  for (const bool applied : {true, false}) {
    fill(60);
    ask_for("swap");
    db.at("commit", 2, [applied](Connection& c) {  // the first is the takeover's
      if (applied) c.db().table.identity = "t2";
      lose_commit(applied)(c);
    });
    const PolicyReport r = only(run());
    EXPECT_EQ(r.exit_code(), 0) << r.error_message;
    EXPECT_EQ(r.rows_deleted(), 30);
    EXPECT_EQ(db.ranges.size(), applied ? 1u : 2u);
    db.table.identity = "t1";
  }
}

TEST_F(Moves, AnEstimatedShareIsMadeExactBeforeTheStroke) {
  ask_for("swap");
  plan_options.count_budget_ms = 0;
  db.estimate = 10;
  db.table.rows_estimate = 60;
  policy.max_fraction = 0.4;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "max_fraction");
  EXPECT_TRUE(db.ranges.empty());
}

}  // namespace
}  // namespace purgekit::fake
