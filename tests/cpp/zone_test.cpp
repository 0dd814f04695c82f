// Wall clocks against instants, compared minute by minute with a model that tries every offset.
#include "purgekit/zone.hpp"

#include <limits>

#include "gtest/gtest.h"

namespace purgekit {
namespace {

constexpr std::int64_t minute = 60'000'000'000;
constexpr std::int64_t hour_ns = 60 * minute;
constexpr std::int64_t day_ns = 24 * hour_ns;
constexpr std::int64_t far_past = std::numeric_limits<std::int64_t>::min();

// Steps written by hand from the tz database's rules, so that nothing here shares code with what is tested.
constexpr std::int64_t spring_2026 = 1'774'746'000'000'000'000;  // 2026-03-29T01:00:00Z
constexpr std::int64_t autumn_2026 = 1'792'890'000'000'000'000;  // 2026-10-25T01:00:00Z
const Zone berlin = {{far_past, hour_ns}, {spring_2026, 2 * hour_ns}, {autumn_2026, hour_ns}};

constexpr std::int64_t howe_autumn = 1'775'314'800'000'000'000;  // 2026-04-04T15:00:00Z: +11:00 to +10:30
constexpr std::int64_t howe_spring = 1'791'041'400'000'000'000;  // 2026-10-03T15:30:00Z: +10:30 to +11:00
const Zone lord_howe = {{far_past, 11 * hour_ns}, {howe_autumn, 10 * hour_ns + 30 * minute}, {howe_spring, 11 * hour_ns}};

constexpr std::int64_t samoa_skip = 1'325'239'200'000'000'000;  // 2011-12-30T10:00:00Z: -10:00 to +14:00, a whole day left out
const Zone apia = {{far_past, -10 * hour_ns}, {samoa_skip, 14 * hour_ns}};

constexpr std::int64_t ny_autumn = 1'793'512'800'000'000'000;  // 2026-11-01T06:00:00Z: -04:00 to -05:00
const Zone new_york = {{far_past, -4 * hour_ns}, {ny_autumn, -5 * hour_ns}};

const Zone fixed = {{far_past, 5 * hour_ns + 30 * minute}};

std::int64_t offset_at(const Zone& zone, std::int64_t instant) {
  std::int64_t offset = zone.front().offset_ns;
  for (const ZoneStep& step : zone) {
    if (step.from_utc_ns <= instant) offset = step.offset_ns;
  }
  return offset;
}

// What the contract says: an ambiguous reading is its later instant; one that was skipped is what the clock before the change,
// gone on, would have meant, which is the later of the two.
std::int64_t instant_of(const Zone& zone, std::int64_t wall) {
  std::int64_t latest_real = far_past;
  for (const ZoneStep& step : zone) {
    const std::int64_t candidate = wall - step.offset_ns;
    if (offset_at(zone, candidate) == step.offset_ns) latest_real = std::max(latest_real, candidate);
  }
  if (latest_real != far_past) return latest_real;
  for (std::size_t i = 1; i < zone.size(); ++i) {
    const std::int64_t gap_from = zone[i].from_utc_ns + zone[i - 1].offset_ns;
    const std::int64_t gap_to = zone[i].from_utc_ns + zone[i].offset_ns;
    if (wall >= gap_from && wall < gap_to) return wall - zone[i - 1].offset_ns;
  }
  ADD_FAILURE() << "neither read nor skipped: " << wall;
  return 0;
}

bool before(const WallCutoff& cutoff, std::int64_t wall) {
  return wall < cutoff.before_ns && !(cutoff.except && wall >= cutoff.except->from_ns && wall < cutoff.except->to_ns);
}

void check_cutoffs(const Zone& zone, std::int64_t change, std::int64_t reach) {
  for (std::int64_t cutoff = change - reach; cutoff <= change + reach; cutoff += minute) {
    for (const std::int64_t exact : {cutoff, cutoff + 1}) {
      const WallCutoff out = wall_cutoff(zone, exact);
      const std::int64_t middle = exact + offset_at(zone, exact);
      for (std::int64_t wall = middle - reach - 3 * hour_ns; wall <= middle + reach + 3 * hour_ns; wall += minute) {
        ASSERT_EQ(before(out, wall), instant_of(zone, wall) < exact) << "cutoff " << exact - change << " ns from the change, wall " << wall - middle;
      }
    }
  }
}

TEST(WallCutoff, GapOfAnHour) { check_cutoffs(berlin, spring_2026, 3 * hour_ns); }
TEST(WallCutoff, OverlapOfAnHour) { check_cutoffs(berlin, autumn_2026, 3 * hour_ns); }
TEST(WallCutoff, OverlapOfHalfAnHour) { check_cutoffs(lord_howe, howe_autumn, 2 * hour_ns); }
TEST(WallCutoff, GapOfHalfAnHour) { check_cutoffs(lord_howe, howe_spring, 2 * hour_ns); }
TEST(WallCutoff, OverlapWestOfGreenwich) { check_cutoffs(new_york, ny_autumn, 3 * hour_ns); }
TEST(WallCutoff, DayLeftOut) {
  for (const std::int64_t part : {-26 * hour_ns, -hour_ns, std::int64_t{0}, hour_ns, 12 * hour_ns, 25 * hour_ns}) check_cutoffs(apia, samoa_skip + part, 10 * minute);
}
TEST(WallCutoff, OffsetThatNeverChanges) {
  const WallCutoff out = wall_cutoff(fixed, 1'000 * day_ns);
  EXPECT_EQ(out.before_ns, 1'000 * day_ns + 5 * hour_ns + 30 * minute);
  EXPECT_FALSE(out.except.has_value());
}

void check_steps(const Zone& zone, std::int64_t change) {
  const std::vector<pk_zone_step> steps = wall_steps(zone, change + 30 * day_ns);
  ASSERT_FALSE(steps.empty());
  EXPECT_EQ(steps.front().from_wall_ns, far_past);
  for (std::int64_t instant = change - 2 * day_ns; instant <= change + 2 * day_ns; instant += minute) {
    const std::int64_t wall = instant + offset_at(zone, instant);
    std::int64_t offset = 0;
    for (const pk_zone_step& step : steps) {
      if (step.from_wall_ns <= wall) offset = step.offset_ns;
    }
    ASSERT_EQ(wall - offset, instant_of(zone, wall)) << instant - change;
  }
}

TEST(WallSteps, GiveTheLaterInstantOfEachReading) {
  check_steps(berlin, spring_2026);
  check_steps(berlin, autumn_2026);
  check_steps(lord_howe, howe_autumn);
  check_steps(lord_howe, howe_spring);
  check_steps(apia, samoa_skip);
  check_steps(new_york, ny_autumn);
}

TEST(WallSteps, LeaveOutWhatComesLater) { EXPECT_EQ(wall_steps(berlin, spring_2026).size(), 2u); }

TEST(LatestWall, NoReadingBeforeTheInstantIsLater) {
  for (const auto& [zone, change] : {std::pair{berlin, autumn_2026}, std::pair{lord_howe, howe_autumn}, std::pair{apia, samoa_skip}, std::pair{new_york, ny_autumn}}) {
    for (std::int64_t instant = change - 4 * hour_ns; instant <= change + 4 * hour_ns; instant += minute) {
      const std::int64_t bound = latest_wall(zone, instant);
      for (std::int64_t earlier = instant - 2 * day_ns; earlier < instant; earlier += 7 * minute) ASSERT_LT(earlier + offset_at(zone, earlier), bound);
    }
  }
}

}  // namespace
}  // namespace purgekit
