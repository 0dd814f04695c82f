// How many rows of a SQLite chunk fit into the write-ahead log.
#include "../../plugins/sqlite/chunk_budget.hpp"

#include "gtest/gtest.h"

namespace {

using purgekit::sqlite::ChunkBudget;

constexpr std::int64_t mb = 1'000'000;

TEST(SqliteChunkBudget, LearnsWhatARowCosts) {
  ChunkBudget budget;
  budget.set_limit(20 * mb);
  EXPECT_EQ(budget.deletes(), 100) << "nothing is known yet: rows may be huge";
  EXPECT_GT(budget.wanted_bytes(), 1'000 * mb);
  budget.record(100, 100, 1 * mb);
  EXPECT_EQ(budget.deletes(), 2'000);
  EXPECT_EQ(budget.visits(), 2'000);
  EXPECT_EQ(budget.wanted_bytes(), 1'500'000);
  budget.set_limit(10 * mb);
  EXPECT_EQ(budget.deletes(), 1'000);
}

TEST(SqliteChunkBudget, AHugeRowGoesAlone) {
  ChunkBudget budget;
  budget.set_limit(20 * mb);
  budget.record(1, 1, 500 * mb);
  EXPECT_EQ(budget.deletes(), 1);
  EXPECT_EQ(budget.visits(), 1);
}

TEST(SqliteChunkBudget, VisitsMoreWhereFewMatchWithinReason) {
  ChunkBudget budget;
  budget.set_limit(20 * mb);
  budget.record(1'000, 100, 1 * mb);
  EXPECT_EQ(budget.deletes(), 2'000);
  EXPECT_EQ(budget.visits(), 20'000);
  budget.record(100'000, 1, 10'000);
  EXPECT_EQ(budget.visits(), budget.deletes() * 16) << "what comes next may be dense";
}

TEST(SqliteChunkBudget, ChunksThatDeleteNothingTeachNoCost) {
  ChunkBudget budget;
  budget.set_limit(20 * mb);
  budget.record(100, 100, 1 * mb);
  budget.record(5'000, 0, 8'192);
  EXPECT_EQ(budget.deletes(), 2'000);
  budget.record(0, 0, 4'096);
  EXPECT_EQ(budget.deletes(), 2'000);
}

}  // namespace
