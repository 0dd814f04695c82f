// Wall clocks against instants, with time zones nobody would design, checked against their definition.
#include "purgekit/zone.hpp"

#include <algorithm>

#include "fuzz.hpp"

namespace purgekit::fuzz {
namespace {

constexpr std::int64_t hour_ns = 3'600'000'000'000;

// The latest instant at which clocks show `wall`; of a reading that a clock change skipped, what the clocks before it would mean.
std::int64_t instant_of(const Zone& zone, std::int64_t wall) {
  std::optional<std::int64_t> latest;
  for (std::size_t k = 0; k < zone.size(); ++k) {
    const std::int64_t instant = wall - zone[k].offset_ns;
    const bool begun = k == 0 || instant >= zone[k].from_utc_ns;
    const bool ended = k + 1 < zone.size() && instant >= zone[k + 1].from_utc_ns;
    if (begun && !ended && (!latest || instant > *latest)) latest = instant;
  }
  if (latest) return *latest;
  for (std::size_t k = 0; k + 1 < zone.size(); ++k) {
    const std::int64_t skipped_from = zone[k + 1].from_utc_ns + zone[k].offset_ns;
    const std::int64_t skipped_to = zone[k + 1].from_utc_ns + zone[k + 1].offset_ns;
    if (wall >= skipped_from && wall < skipped_to) return wall - zone[k].offset_ns;
  }
  expect(false, "every reading is shown or skipped");
  return 0;
}

Zone drawn(FuzzedDataProvider& in) {
  Zone zone{{INT64_MIN, in.ConsumeIntegralInRange<std::int64_t>(-18 * hour_ns, 18 * hour_ns)}};
  std::int64_t at = in.ConsumeIntegralInRange<std::int64_t>(-1'000'000, 1'000'000) * hour_ns;
  for (std::size_t n = in.ConsumeIntegralInRange<std::size_t>(0, 4); n > 0; --n) {
    zone.push_back({at, in.ConsumeIntegralInRange<std::int64_t>(-18 * hour_ns, 18 * hour_ns)});
    // No real zone changes its offset twice within the largest change of offset.
    at += in.ConsumeIntegralInRange<std::int64_t>(80, 10'000) * hour_ns;
  }
  return zone;
}

void run(FuzzedDataProvider& in) {
  const Zone zone = drawn(in);
  const std::int64_t around = zone[in.ConsumeIntegralInRange<std::size_t>(0, zone.size() - 1)].from_utc_ns;
  std::int64_t cutoff = in.ConsumeIntegralInRange<std::int64_t>(-40 * hour_ns, 40 * hour_ns);
  if (around != INT64_MIN) cutoff += around;
  const WallCutoff wall = wall_cutoff(zone, cutoff);
  const std::vector<pk_zone_step> steps = wall_steps(zone, cutoff);
  expect(!steps.empty() && steps[0].from_wall_ns == INT64_MIN, "steps begin in the far past");

  std::vector<std::int64_t> readings = {wall.before_ns, wall.before_ns - 1, cutoff, cutoff + in.ConsumeIntegralInRange<std::int64_t>(-60 * hour_ns, 60 * hour_ns)};
  if (wall.except) readings.insert(readings.end(), {wall.except->from_ns, wall.except->from_ns - 1, wall.except->to_ns, wall.except->to_ns - 1});
  for (const std::int64_t reading : readings) {
    const std::int64_t instant = instant_of(zone, reading);
    const bool before = reading < wall.before_ns && !(wall.except && reading >= wall.except->from_ns && reading < wall.except->to_ns);
    expect(before == (instant < cutoff), "a reading lies before the cutoff as its instant does", std::to_string(reading));
    if (instant >= cutoff) continue;
    const auto behind = std::find_if(steps.begin(), steps.end(), [&](const pk_zone_step& step) { return step.from_wall_ns > reading; });
    expect(reading - (behind - 1)->offset_ns == instant, "the steps give a reading its instant", std::to_string(reading));
    expect(reading <= latest_wall(zone, cutoff), "no reading before the cutoff exceeds the latest", std::to_string(reading));
  }
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_DATA(purgekit::fuzz::run)
