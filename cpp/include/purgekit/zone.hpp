/// \file zone.hpp
/// Wall clocks of a time zone against instants. The steps come from Python's zoneinfo: GCC 12 has no zone database.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/abi.h"

namespace purgekit {

/// From this instant on the offset holds. Ascending; the first step starts in the far past.
struct ZoneStep {
  std::int64_t from_utc_ns = 0;
  std::int64_t offset_ns = 0;
};

using Zone = std::vector<ZoneStep>;
using Zones = std::map<std::string, Zone>;

/// Which wall-clock readings lie before an instant. An ambiguous reading counts as its later instant, so does one that a
/// clock change skipped.
struct WallCutoff {
  std::int64_t before_ns = 0;  ///< readings before this one
  struct Gap {
    std::int64_t from_ns = 0;
    std::int64_t to_ns = 0;
  };
  std::optional<Gap> except;  ///< but not these: skipped readings that count as later
};

WallCutoff wall_cutoff(const Zone& zone, std::int64_t instant_ns);

/// A reading no wall clock before the instant can exceed.
std::int64_t latest_wall(const Zone& zone, std::int64_t instant_ns);

/// Offsets by wall-clock reading for times up to `until_ns`, for use inside SQL.
std::vector<pk_zone_step> wall_steps(const Zone& zone, std::int64_t until_ns);

}  // namespace purgekit
