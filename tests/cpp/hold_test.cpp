// Holds: what their rules mean, and how a purge meets one that is added, broken or released while it runs.
#include "hold.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "fake/fixture.hpp"
#include "hold_rule.hpp"
#include "purgekit/registry.hpp"
#include "slot_keeper.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

using nlohmann::json;

std::string not_held_text(const std::string& rule) { return not_held(Predicate::from_json(rule)).to_text(); }

TEST(HoldRule, ARowIsFreeOnlyWhereTheRuleIsCertainlyFalse) {
  EXPECT_EQ(not_held_text(R"({"column":"A","op":"=","value":1})"), "NOT (A = 1)");
  EXPECT_EQ(not_held_text(R"({"all":[{"column":"A","op":"=","value":1},{"column":"B","null":true}]})"), "NOT (A = 1) OR NOT (B IS NULL)");
  EXPECT_EQ(not_held_text(R"({"not":{"any":[{"column":"A","op":"=","value":1},{"column":"B","null":true}]}})"), "A = 1 OR B IS NULL");
}

TEST(HoldRule, WithinOtherTablesWhatCannotBeToldIsHeld) {
  EXPECT_EQ(not_held_text(R"({"referenced_by":{"table":"H","on":[["K","=","A"]],"where":{"column":"OPEN","op":"=","value":1}}})"),
            "NOT (referenced by H (H.K = A WHERE OPEN = 1 OR OPEN IS NULL)) AND NOT (A IS NULL)");
  EXPECT_EQ(not_held_text(R"({"referenced_by":{"table":"H","on":[["K","=","A"]],"where":{"not":{"sql":{"text":"x -- y"}}}}})"),
            "NOT (referenced by H (H.K = A WHERE sql (CASE WHEN (x -- y?) THEN 0 ELSE 1 END = 1))) AND NOT (A IS NULL)");
  EXPECT_HAS(message_of([] { not_held_text(R"({"referenced_by":{"table":"H","on":[["K","=","A"]],"where":{"expired":{"column":"E","unit":"s"}}}})"); }), "another table");
}

TEST(HoldRule, TimesOfAHoldHaveNoGraceOfAPolicy) {
  EXPECT_EQ(not_held_text(R"({"expired":{"column":"E","unit":"s"}})"), "NOT (E (s) + 0s < now)");
}

TEST(HoldRule, TextsTakeTheTypeOfTheirColumn) {
  const sdk::Column number{"N", "bigint", PK_COLUMN_INT, false};
  const sdk::Column bytes{"B", "blob", PK_COLUMN_BYTES, false};
  EXPECT_EQ(value_of_text("-5", number), Value::integer(-5));
  EXPECT_EQ(value_of_text("00fF", bytes), Value::bytes(std::string("\x00\xff", 2)));
  EXPECT_EQ(value_of_text("007", {"T", "text", PK_COLUMN_TEXT, false}), Value::string("007"));
  for (const char* wrong : {"", "5x", "99999999999999999999", " 5"}) EXPECT_HAS(message_of([&] { value_of_text(wrong, number); }), "whole number");
  for (const char* wrong : {"0", "0g", "+1"}) EXPECT_HAS(message_of([&] { value_of_text(wrong, bytes); }), "hexadecimal");
}

TEST(HoldNote, IsReadBackAsItWasWritten) {
  const Hold hold{"h-1", "S.T", "rule", Predicate::is_null("A"), "why", "who", "2026-01-01T00:00:00Z"};
  const Hold back = read_hold({"h-1", hold.to_document()});
  EXPECT_EQ(back.to_document(), hold.to_document());
  EXPECT_EQ(back.rule, hold.rule);
}

TEST(HoldNote, DamagedOrNewerOnesAreRefused) {
  const std::string whole = Hold{"", "T", "rule", Predicate::is_null("A"), "", "", ""}.to_document();
  for (const std::string& damaged : {std::string(), std::string("{}"), std::string("null"), whole.substr(0, whole.size() / 2), std::string(R"({"schema":"purgekit.hold/1","table":"T"})"),
                                     std::string(R"({"schema":"purgekit.hold/1","table":"T","rule":{"column":5}})"), std::string(R"({"schema":"purgekit.hold/1","table":"\"","rule":{"column":"A","null":true}})")}) {
    EXPECT_HAS(message_of([&] { read_hold({"h-1", damaged}); }), "hold h-1 is damaged");
  }
  json newer = json::parse(whole);
  newer["schema"] = "purgekit.hold/2";
  EXPECT_HAS(message_of([&] { read_hold({"h-1", newer.dump()}); }), "newer version");
  EXPECT_EQ(code_of([&] { read_hold({"h-1", newer.dump()}); }), "hold_unreadable");
}

class Holds : public RunTest {
 protected:
  Holds() {
    fill(400);
    plan_options.ledger = run_options.ledger;
    now_ms = db.now_ns / 1'000'000;
  }
  /// Holds what expired longer than so many milliseconds ago: with fill(), the rows with higher ids.
  json add(std::int64_t older_than_ms, const std::string& table = "T", const std::string& column = "EXPIRES_MS") {
    Session other(backend_named("fake"));
    other.connect({});
    HoldRequest request;
    request.table = table;
    request.rule = Predicate::compare(column, PK_LT, Value::integer(now_ms - older_than_ms));
    request.reason = "case 1";
    return json::parse(hold_add(other, request));
  }
  Action adding(std::int64_t older_than_ms) {
    return [this, older_than_ms](Connection&) { added = add(older_than_ms)["id"]; };
  }
  /// A note as it may have come from anywhere, and the fence that goes with it.
  void leave_note(const std::string& document) {
    db.notes["hold/h-odd"] = document;
    for (auto& [key, slot] : db.slots) slot.epoch += 1;
  }
  std::int64_t now_ms = 0;
  std::string added;
};

TEST_F(Holds, HeldRowsStayAndAreTold) {
  EXPECT_EQ(add(200)["rows_held"], 100);
  const Plan planned = plan();
  EXPECT_EQ(planned.policies[0].rows_purgeable, 100);
  EXPECT_EQ(planned.policies[0].rows_held, 100);
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.exit_code(), 0);
  EXPECT_EQ(r.rows_deleted(), 100);
  EXPECT_EQ(r.rows_left, 0);
  EXPECT_EQ(r.rows_held, 100);
  EXPECT_EQ(r.holds.size(), 1u);
}

TEST_F(Holds, OneThatCameAfterThePlanIsSeenAtTheTakeover) {
  const Plan planned = plan();
  add(200);
  EXPECT_EQ(only(run(planned)).rows_deleted(), 100);
}

TEST_F(Holds, TheSameIsKeptOnce) {
  const json first = add(200);
  const json again = add(200);
  EXPECT_EQ(first["added"], true);
  EXPECT_EQ(again["added"], false);
  EXPECT_EQ(first["id"], again["id"]);
  EXPECT_EQ(db.notes.size(), 1u);
}

TEST_F(Holds, ReleasedOnesLetTheirRowsGo) {
  const std::string id = add(200)["id"];
  EXPECT_EQ(only(run()).rows_deleted(), 100);
  Session other(backend_named("fake"));
  other.connect({});
  EXPECT_HAS(message_of([&] { hold_release(other, "purgekit_ledger", id + "x"); }), "no hold");
  EXPECT_EQ(json::parse(hold_release(other, "purgekit_ledger", id))["id"], id);
  run_options.run_id = "run2";
  EXPECT_EQ(only(run()).rows_deleted(), 100);
  EXPECT_EQ(expired(), 0);
}

class AddedWhileRunning : public Holds, public ::testing::WithParamInterface<int> {};

TEST_P(AddedWhileRunning, ThePurgeGoesOnWithIt) {
  const Plan planned = plan();
  db.at("begin", GetParam(), adding(200));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.stop_reason << r.error_message;
  EXPECT_EQ(r.rows_deleted() + *r.rows_held, 200);
  EXPECT_EQ(r.holds, std::vector<std::string>{added});
  EXPECT_LE(r.rows_deleted(), 100 + 5 * GetParam());
  EXPECT_GE(r.rows_deleted(), 100);
}

INSTANTIATE_TEST_SUITE_P(AtAnyChunk, AddedWhileRunning, ::testing::Values(1, 2, 3, 7));

TEST_F(Holds, OneAfterTheOtherWhileRunning) {
  const Plan planned = plan();
  for (int call = 1; call < 20; ++call) db.at("begin", call, adding(300 + call));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.stop_reason << r.error_message;
  EXPECT_EQ(r.rows_deleted() + *r.rows_held, 200);
  EXPECT_GE(r.holds.size(), 15u);
}

TEST_F(Holds, SeveralWorkersGoOnWithIt) {
  db.can_be_cut = true;
  run_options.workers = 3;
  const Plan planned = plan();
  db.at("fence", 3, adding(200));
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.stop_reason << r.error_message;
  EXPECT_EQ(r.rows_deleted() + *r.rows_held, 200);
  EXPECT_GT(*r.rows_held, 0);
}

TEST_F(Holds, ACommitInDoubtIsCountedAllTheSame) {
  for (const bool applied : {true, false}) {
    db = Database();
    fill(400);
    const Plan planned = plan();
    db.at("commit", 3, [&](Connection& c) {
      if (applied) c.apply();
      else c.leave_hanging(false, 0);
      added = add(200)["id"];
      throw sdk::Error(PK_IN_DOUBT, "no answer to COMMIT");
    });
    const PolicyReport r = only(run(planned));
    EXPECT_EQ(r.status, "completed") << r.stop_reason << r.error_message;
    EXPECT_FALSE(r.at_least);
    EXPECT_EQ(r.rows_deleted() + *r.rows_held, 200);
    run_options.run_id += "x";
  }
}

TEST_F(Holds, AnotherRunStillFencesThisOneOut) {
  const Plan planned = plan();
  db.at("begin", 3, [this](Connection&) {
    add(200);
    for (auto& [key, slot] : db.slots) {
      slot.epoch += 1;
      slot.run_id = "another";
    }
  });
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "fenced");
}

TEST_F(Holds, OneThatCannotBeReadStopsTheRunUnderWay) {
  const Plan planned = plan();
  db.at("begin", 4, [this](Connection&) { leave_note("{}"); });
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "hold_unreadable");
  EXPECT_EQ(r.exit_code(), 3);
  EXPECT_HAS(r.error_message, "h-odd");
  EXPECT_EQ(r.chunks, 3);
}

TEST_F(Holds, OneThatCannotBeReadIsRefusedBeforehand) {
  const Plan planned = plan();
  db.ledger.state = PK_LEDGER_PRESENT;
  leave_note(R"({"schema":"purgekit.hold/1","table":"T","rule":{"column":"GONE","null":true}})");
  EXPECT_EQ(code_of([&] { plan(); }), "hold_unreadable");
  EXPECT_EQ(code_of([&] { run(planned); }), "hold_unreadable");
  EXPECT_TRUE(db.slots.empty());
}

TEST_F(Holds, RawSqlIsNotTakenFromALedger) {
  db.ledger.state = PK_LEDGER_PRESENT;
  leave_note(R"({"schema":"purgekit.hold/1","table":"T","rule":{"sql":{"text":"1 = 1) OR (1 = 1"}}})");
  EXPECT_HAS(message_of([&] { plan(); }), "raw SQL");
}

TEST_F(Holds, WhatAHoldNamesMayGoWhileItRuns) {
  add(300);
  const Plan planned = plan();
  db.at("delete_range", 3, [](Connection& c) {
    c.db().table.columns[1].name = "RENAMED";
    throw sdk::Error(PK_INVALID_ARGUMENT, "no such column");
  });
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.stop_reason, "hold_unreadable") << r.error_message;
  EXPECT_EQ(r.exit_code(), 3);
}

TEST_F(Holds, AHeldChildKeepsItsParent) {
  with_children();
  db.rows[2].referenced = true;  // by a row of CHILD, which the hold is about
  EXPECT_EQ(add(0, "CHILD", "T_ID")["table"], "CHILD");
  const Report report = run();
  EXPECT_EQ(report.policies[0].rows_deleted(), 199);
  EXPECT_EQ(db.rows.count(2), 1u);
}

TEST_F(Holds, PurgesOfParentsAreToldToo) {
  with_children();
  db.rows[300].referenced = true;
  const Plan planned = plan();
  db.at("begin", 3, [this](Connection&) { add(0, "CHILD", "T_ID"); });
  const Report report = run(planned);
  EXPECT_EQ(report.status(), "completed");
  EXPECT_EQ(report.policies[0].rows_deleted(), 199);
  EXPECT_EQ(db.rows.count(300), 1u);
}

TEST_F(Holds, OnAnotherTableMeanNothing) {
  add(0, "CHILD", "T_ID");
  const PolicyPlan p = plan().policies[0];
  EXPECT_TRUE(p.holds.empty());
  EXPECT_EQ(p.rows_purgeable, 200);
  EXPECT_FALSE(p.rows_held);
}

TEST_F(Holds, ThePolicysOwnHold) {
  policy.hold = Predicate::compare("EXPIRES_MS", PK_LT, Value::integer(now_ms - 200));
  EXPECT_EQ(Policy::from_json(policy.to_json()), policy);
  run_options.ledger = "none";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.rows_deleted(), 100);
  EXPECT_EQ(r.rows_held, 100);
}

TEST_F(Holds, WrongOnesAreNotMade) {
  EXPECT_HAS(message_of([this] { add(0, "T", "NOPE"); }), "NOPE");
  EXPECT_HAS(message_of([this] { add(0, "NOPE"); }), "no table");
  Session other(backend_named("fake"));
  other.connect({});
  HoldRequest request;
  request.table = "T";
  EXPECT_HAS(message_of([&] { hold_add(other, request); }), "no key");
  request.keys = {{Value::integer(1)}, {Value::integer(2)}};
  request.ledger = "none";
  EXPECT_HAS(message_of([&] { hold_add(other, request); }), "--ledger");
  request.ledger = "purgekit_ledger";
  request.keys = std::vector<std::vector<Value>>(1'001, {Value::integer(1)});
  EXPECT_HAS(message_of([&] { hold_add(other, request); }), "more keys");
  EXPECT_TRUE(db.notes.empty());
}

}  // namespace
}  // namespace purgekit::fake
