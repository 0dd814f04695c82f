// Purges by keys: what is retried, what is told, and how they hear of holds.
#include "purgekit/keys.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fake/fixture.hpp"
#include "hold.hpp"
#include "purgekit/registry.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

using nlohmann::json;

class Keys : public RunTest {
 protected:
  Keys() : own(backend_named("fake")) {
    fill(40);
    own.connect({});
  }
  KeyPurge& ready() {
    if (!keys) keys.emplace(own, connection, policy, KeyPurgeOptions{.run_id = "calls"});
    db.calls.clear();
    return *keys;
  }
  std::int64_t purge(const std::vector<std::int64_t>& ids) {
    std::vector<std::vector<Value>> given;
    for (const std::int64_t id : ids) given.push_back({Value::integer(id)});
    return ready().purge(given, ledger_in_use).tables.at(0).rows_deleted;
  }
  json record(const std::string& number = "000") const { return json::parse(db.notes.at("run/calls/" + number)); }
  void hold_all_rows() {
    Session other(backend_named("fake"));
    other.connect({});
    HoldRequest request;
    request.table = "T";
    request.rule = Predicate::compare("EXPIRES_MS", PK_LT, Value::integer(INT64_MAX));
    hold_add(other, request);
  }

  Session own;
  sdk::ConnectParams connection;
  std::optional<KeyPurge> keys;
  std::string ledger_in_use;
};

TEST_F(Keys, OnlyGivenRowsThatTheRuleTakesGo) {
  EXPECT_EQ(purge({2, 3, 4, 99}), 2);
  EXPECT_EQ(purge({6}), 1);
  EXPECT_EQ(purge({6}), 0);
  EXPECT_EQ(db.rows.size(), 37u);
  EXPECT_EQ(record()["rows_deleted"], 3);
  EXPECT_EQ(record()["calls"], 2);
}

TEST_F(Keys, ACallThatDeletesNothingWritesNothing) {
  ready();
  EXPECT_EQ(purge({1}), 0);
  EXPECT_EQ(db.calls["note_write"] + db.calls["note_add"], 0);
}

TEST_F(Keys, NothingIsPlannedAgain) {
  purge({2});
  purge({4});
  EXPECT_EQ(db.calls["describe"] + db.calls["propose"] + db.calls["ledger_find"] + db.calls["inspect"] + db.calls["note_list"], 0);
}

TEST_F(Keys, AHoldIsReadWhenTheGateSaysSo) {
  purge({2});
  hold_all_rows();
  EXPECT_EQ(purge({4}), 0);
  EXPECT_EQ(db.calls["note_list"], 1);
  EXPECT_EQ(purge({6}), 0);
  EXPECT_EQ(db.calls["note_list"], 0) << "once is enough";
}

TEST_F(Keys, AConflictIsTriedAgain) {
  ready();
  for (int call = 1; call <= 3; ++call) db.at("delete_range", call, raise(PK_DEADLOCK));
  EXPECT_EQ(purge({2}), 1);
}

TEST_F(Keys, WhatLastsIsToldAndNothingIsChanged) {
  ready();
  for (int call = 1; call <= 20; ++call) db.at("delete_range", call, raise(PK_DEADLOCK));
  EXPECT_HAS(message_of([&] { purge({2}); }), "nothing was changed");
  db.script.clear();
  db.at("delete_range", 1, raise(PK_LOCK_TIMEOUT));
  EXPECT_EQ(code_of([&] { purge({2}); }), "lock_timeout");
  db.script.clear();
  EXPECT_EQ(purge({2}), 1);
}

TEST_F(Keys, ALostConnectionIsMadeAnew) {
  purge({2});
  db.at("begin", 1, raise(PK_CONNECTION_LOST));
  EXPECT_EQ(purge({4}), 1);
}

TEST_F(Keys, ACommitInDoubtIsSaidAndCountedInARecordOfItsOwn) {
  for (const bool applied : {true, false}) {
    SCOPED_TRACE(applied);
    purge({2});
    const auto before = static_cast<std::int64_t>(db.rows.size());
    db.at("commit", 1, lose_commit(applied));
    EXPECT_EQ(code_of([&] { purge({4}); }), "in_doubt");
    db.script.clear();
    EXPECT_EQ(purge({4}), applied ? 0 : 1);
    purge({6});
    EXPECT_EQ(static_cast<std::int64_t>(db.rows.size()), before - 2);
    std::int64_t told = 0;
    for (const auto& [name, document] : db.notes) told += json::parse(document)["rows_deleted"].get<std::int64_t>();
    EXPECT_EQ(told, 40 - static_cast<std::int64_t>(db.rows.size()));
    db = Database();
    fill(40);
    keys.reset();
    ledger_in_use.clear();
    own.connect({});
  }
}

TEST_F(Keys, WhatCannotBeRightIsRefused) {
  EXPECT_HAS(message_of([&] { ready().purge({{Value::null()}}, ledger_in_use); }), "NULL");
  EXPECT_HAS(message_of([&] { ready().purge({{Value::integer(1), Value::integer(2)}}, ledger_in_use); }), "a key has 2 values");
  EXPECT_HAS(message_of([&] { ready().purge({{Value::string("x")}}, ledger_in_use); }), "ID");
  EXPECT_HAS(message_of([&] { ready().purge(std::vector<std::vector<Value>>(1001, {Value::integer(2)}), ledger_in_use); }), "1001 keys");
  EXPECT_EQ(db.rows.size(), 40u);
  EXPECT_EQ(purge({2}), 1);
}

}  // namespace
}  // namespace purgekit::fake
