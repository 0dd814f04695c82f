// Rows that can't go: found one by one, left, counted and named. Mostly foreign keys, because locks are waited for.
#include "fake/fixture.hpp"

namespace purgekit::fake {
namespace {

class BlockedRows : public RunTest {
 protected:
  BlockedRows() { fill(60); }
};

TEST_F(BlockedRows, OneLockedRowIsFoundAndReported) {
  db.rows[20].locked = true;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 1);
  EXPECT_EQ(r.rows_deleted(), 29) << "all others went";
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "lock");
  EXPECT_EQ(r.blocked[0].rows, 1);
  EXPECT_EQ(r.blocked[0].sample_key, "ID=20");
  EXPECT_EQ(r.blocked[0].table, "T");
}

TEST_F(BlockedRows, FirstAndLastRow) {
  db.rows[2].held_by = "fk";
  db.rows[60].held_by = "fk";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 2);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].rows, 2);
}

TEST_F(BlockedRows, ARowThatIsFreedMeanwhileGoes) {
  db.rows[20].locked = true;
  int calls = 0;
  db.always["delete_range"] = [&calls](Connection& c) {
    if (++calls == 4) c.db().rows[20].locked = false;
  };
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 0);
  EXPECT_TRUE(r.blocked.empty());
  EXPECT_EQ(expired(), 0);
}

TEST_F(BlockedRows, ARowThatIsFreedAfterItsPassGoesInTheNext) {
  db.rows[20].locked = true;
  const Plan planned = plan();
  db.at("count", 1, [](Connection& c) { c.db().rows[20].locked = false; });  // the check that closes the first pass
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.exit_code(), 0);
  EXPECT_EQ(expired(), 0);
}

TEST_F(BlockedRows, AForeignKeyTheCatalogueDidNotTell) {
  db.rows[30].held_by = "fk_orders";
  db.rows[32].held_by = "fk_orders";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_deleted(), 28);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "foreign_key");
  EXPECT_EQ(r.blocked[0].constraint, "fk_orders");
  EXPECT_EQ(r.blocked[0].rows, 2);
  EXPECT_EQ(r.blocked[0].sample_key, "ID=30");
}

TEST_F(BlockedRows, WhatAWalkThatGaveUpNeverReachedIsCountedToo) {
  db.rows[10].trigger = true;
  db.always["begin"] = [](Connection& c) {
    if (!c.db().rows.contains(14)) throw sdk::Error(PK_LOCK_TIMEOUT, "the database is locked");
  };
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  ASSERT_EQ(r.blocked.size(), 2u);
  std::int64_t listed = 0;
  for (const Blocked& b : r.blocked) {
    listed += b.rows;
    if (b.reason == "trigger") {
      EXPECT_EQ(b.rows, 1);
    }
  }
  EXPECT_GT(r.rows_left, 10);
  EXPECT_EQ(listed, r.rows_left);
}

TEST_F(BlockedRows, ReasonsAreToldApart) {
  db.rows[10].trigger = true;
  db.rows[40].held_by = "fk";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 2);
  ASSERT_EQ(r.blocked.size(), 2u);
  std::set<std::string> reasons;
  for (const Blocked& b : r.blocked) {
    reasons.insert(b.reason);
    EXPECT_EQ(b.rows, 1) << b.reason;
  }
  EXPECT_EQ(reasons, (std::set<std::string>{"foreign_key", "trigger"}));
}

TEST_F(BlockedRows, RowsThatAKnownReferenceHoldsAreGuardedNotTried) {
  db.table.references = {{"fk_child", "", "CHILD", {"T_ID"}, {"ID"}, PK_FK_RESTRICT, true, true}};
  db.rows[8].referenced = true;
  db.rows[12].referenced = true;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 2);
  EXPECT_EQ(r.retries, 0);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "foreign_key");
  EXPECT_EQ(r.blocked[0].constraint, "fk_child");
  EXPECT_EQ(r.blocked[0].rows, 2);
  EXPECT_EQ(r.blocked[0].sample_key, "ID=8");
  EXPECT_NE(r.blocked[0].message.find("CHILD"), std::string::npos);
}

TEST_F(BlockedRows, RowsThatThePolicyHoldsStayAndAreReported) {
  policy.held_while = Predicate::referenced_by({"CHILD", {{"T_ID", PK_EQ, "ID"}}, nullptr});
  db.rows[8].referenced = true;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_left, 1);
  EXPECT_EQ(r.rows_deleted(), 29);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "held");
  EXPECT_EQ(r.blocked[0].sample_key, "ID=8");
}

TEST_F(BlockedRows, AWalkThatSeesMatchingRowsOnlyIsReplaced) {
  db.walks = {{"matching", "index-range", "by_expiry", 0.5, "few match"}, {"id", "key-range", "", 1, ""}};
  db.rows[20].held_by = "fk";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_deleted(), 29);
  ASSERT_EQ(r.blocked.size(), 1u);
  EXPECT_EQ(r.blocked[0].reason, "foreign_key");
}

TEST_F(BlockedRows, WithoutAnotherWalkTheRunSaysSo) {
  db.walks = {{"matching", "index-range", "by_expiry", 0.5, "few match"}};
  db.rows[20].held_by = "fk";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_GT(r.rows_left, 0);
  ASSERT_FALSE(r.blocked.empty());
  EXPECT_EQ(r.blocked[0].reason, "foreign_key");
}

TEST_F(BlockedRows, TroubleWhileSteppingOverARowIsTriedAgain) {
  db.rows[20].held_by = "fk";
  const Plan planned = plan();
  for (const pk_code code : {PK_LOCK_TIMEOUT, PK_DEADLOCK}) {
    const std::string verb = code == PK_LOCK_TIMEOUT ? "begin" : "delete_range";
    db.always[verb] = [code, failed = false](Connection& c) mutable {
      if (!failed && c.db().stepping_over()) {
        failed = true;
        throw sdk::Error(code, "passing");
      }
    };
  }
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 29);
  EXPECT_EQ(r.rows_left, 1);
}

TEST_F(BlockedRows, ACommitInDoubtWhileSteppingOverARow) {
  db.rows[20].held_by = "fk";
  db.rows[40].held_by = "fk";
  const Plan planned = plan();
  db.always["commit"] = [doubts = 0](Connection& c) mutable {
    if (!c.db().stepping_over() || doubts > 1) return;
    if (doubts++ == 0) c.apply();
    throw sdk::Error(PK_IN_DOUBT, "no answer");
  };
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.rows_deleted(), 28);
  EXPECT_EQ(r.rows_left, 2);
}

TEST_F(BlockedRows, AConnectionLostWhileSteppingOverARow) {
  db.rows[20].held_by = "fk";
  const Plan planned = plan();
  // Lost in the transaction that only moves on: the first one that prepares a rule without a time.
  db.always["begin"] = [lost = false](Connection& c) mutable {
    if (!lost && c.db().stepping_over()) {
      lost = true;
      throw sdk::Error(PK_CONNECTION_LOST, "gone");
    }
  };
  const PolicyReport r = only(run(planned));
  EXPECT_EQ(r.status, "completed") << r.error_message;
  EXPECT_EQ(r.exit_code(), 4);
  EXPECT_EQ(r.rows_deleted(), 29);
}

}  // namespace
}  // namespace purgekit::fake
