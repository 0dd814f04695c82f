#include "purgekit/zone.hpp"

#include <algorithm>
#include <limits>

namespace purgekit {
namespace {

std::size_t step_at(const Zone& zone, std::int64_t instant_ns) {
  std::size_t k = 0;
  while (k + 1 < zone.size() && zone[k + 1].from_utc_ns <= instant_ns) ++k;
  return k;
}

// First reading that belongs to step k: in the step's own offset, so that an overlap belongs to the later step and a gap to
// the earlier one, which both give the later instant.
std::int64_t first_wall(const Zone& zone, std::size_t k) { return zone[k].from_utc_ns + zone[k].offset_ns; }

}  // namespace

WallCutoff wall_cutoff(const Zone& zone, std::int64_t instant_ns) {
  const std::size_t k = step_at(zone, instant_ns);
  WallCutoff out;
  out.before_ns = instant_ns + zone[k].offset_ns;
  if (k + 1 < zone.size()) out.before_ns = std::min(out.before_ns, first_wall(zone, k + 1));
  if (k > 0) {
    const std::int64_t previous_end = instant_ns + zone[k - 1].offset_ns;
    if (previous_end < first_wall(zone, k)) out.except = WallCutoff::Gap{previous_end, first_wall(zone, k)};
  }
  return out;
}

std::int64_t latest_wall(const Zone& zone, std::int64_t instant_ns) {
  std::int64_t most = std::numeric_limits<std::int64_t>::min();
  for (const ZoneStep& step : zone) most = std::max(most, step.offset_ns);
  return instant_ns + most;
}

std::vector<pk_zone_step> wall_steps(const Zone& zone, std::int64_t until_ns) {
  std::vector<pk_zone_step> out;
  for (std::size_t k = 0; k < zone.size() && (k == 0 || zone[k].from_utc_ns <= until_ns); ++k) {
    out.push_back({k == 0 ? std::numeric_limits<std::int64_t>::min() : first_wall(zone, k), zone[k].offset_ns});
  }
  return out;
}

}  // namespace purgekit
