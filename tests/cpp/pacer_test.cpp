#include "purgekit/pacer.hpp"

#include "gtest/gtest.h"

namespace purgekit {
namespace {

TEST(ChunkSizer, GrowsByHalfAtMostUntilTheTargetIsMet) {
  ChunkSizer sizer(100, 100);
  std::int64_t last = sizer.rows();
  for (int i = 0; i < 60; ++i) {
    sizer.record(sizer.rows(), static_cast<double>(sizer.rows()) * 0.01);  // 10 000 rows take the target time
    EXPECT_LE(sizer.rows(), last + last / 2 + 1);
    EXPECT_GE(sizer.rows(), last / 2);
    last = sizer.rows();
  }
  EXPECT_NEAR(static_cast<double>(sizer.rows()), 10'000, 100);
}

TEST(ChunkSizer, FallsToATenthWhenFarOver) {
  ChunkSizer sizer(100, 10'000);
  sizer.record(10'000, 501);
  EXPECT_EQ(sizer.rows(), 1'000);
  sizer.record(1'000, 5'000);
  EXPECT_EQ(sizer.rows(), 100);
}

TEST(ChunkSizer, HalvesAtMostWhenSlightlyOver) {
  ChunkSizer sizer(100, 10'000);
  sizer.record(10'000, 400);
  EXPECT_EQ(sizer.rows(), 5'000);
}

TEST(ChunkSizer, StaysBetweenOneAndAMillion) {
  ChunkSizer sizer(1, 1);
  for (int i = 0; i < 20; ++i) sizer.record(1, 1e9);
  EXPECT_EQ(sizer.rows(), 1);
  EXPECT_EQ(ChunkSizer(1, 0).rows(), 1);
  EXPECT_EQ(ChunkSizer(1, -5).rows(), 1);
  EXPECT_EQ(ChunkSizer(1, INT64_MAX).rows(), 1'000'000);
  ChunkSizer fast(60'000, 900'000);
  for (int i = 0; i < 20; ++i) fast.record(fast.rows(), 0.0001);
  EXPECT_EQ(fast.rows(), 1'000'000);
}

TEST(ChunkSizer, ASlowCommitDoesNotShrinkChunksToNothing) {
  ChunkSizer sizer(100, 1'000);
  std::int64_t rows = 0;
  for (int i = 0; i < 200; ++i) {
    const std::int64_t visited = sizer.rows();
    rows += visited;
    sizer.record(visited, 120 + 0.01 * static_cast<double>(visited));
    EXPECT_GE(sizer.rows(), 400);
  }
  EXPECT_GT(rows, 200 * 600);
}

TEST(ChunkSizer, ShrinksWhereRowsAreWhatCosts) {
  ChunkSizer sizer(100, 1'000);
  for (int i = 0; i < 60; ++i) sizer.record(sizer.rows(), 50 + 0.2 * static_cast<double>(sizer.rows()));
  EXPECT_NEAR(static_cast<double>(sizer.rows()), 250, 30);
}

TEST(ChunkSizer, AnEmptyChunkDividesByNothing) {
  ChunkSizer sizer(100, 1'000);
  sizer.record(0, 3);
  EXPECT_GE(sizer.rows(), 1);
}

TEST(Pacer, KeepsToTheRate) {
  Pacer pacer(false, 100.0);
  pacer.record(50, 50, 1, 0.1);
  EXPECT_NEAR(pacer.next().wait_s, 0.4, 1e-9);
  EXPECT_EQ(pacer.next().reason, "max_rows_per_s");
  pacer.record(50, 50, 1, 2.0);
  EXPECT_EQ(pacer.next().wait_s, 0);
}

TEST(Pacer, FastNeverPausesByItself) {
  Pacer pacer(false, std::nullopt);
  for (int i = 0; i < 50; ++i) pacer.record(1'000, 1'000, i < 30 ? 10 : 500, i);
  EXPECT_EQ(pacer.next().wait_s, 0);
}

TEST(Pacer, GentleYieldsWhenChunksBecomeSlowAndComesBack) {
  Pacer pacer(true, std::nullopt);
  for (int i = 0; i < 30; ++i) {
    pacer.record(1'000, 1'000, 20, i);
    EXPECT_EQ(pacer.next().wait_s, 0) << "even speed is no pressure";
  }
  // Long enough for a pacer that looks at more than one chunk.
  for (int i = 0; i < 10; ++i) pacer.record(1'000, 1'000, 400, 30 + i);
  EXPECT_GT(pacer.next().wait_s, 0);
  EXPECT_LE(pacer.next().wait_s, 1.0);
  EXPECT_FALSE(pacer.next().reason.empty());
  for (int i = 0; i < 20; ++i) pacer.record(1'000, 1'000, 20, 40 + i);
  EXPECT_EQ(pacer.next().wait_s, 0);
}

TEST(Pacer, TinyChunksSayNothing) {
  Pacer pacer(true, std::nullopt);
  for (int i = 0; i < 30; ++i) pacer.record(1'000, 1'000, 20, i);
  pacer.record(3, 3, 4, 31);
  EXPECT_EQ(pacer.next().wait_s, 0);
}

}  // namespace
}  // namespace purgekit
