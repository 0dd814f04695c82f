/// \file duration.hpp
/// Durations and instants as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace purgekit {

/// Nanoseconds of "90s", "30m", "2h", "14d", "1w", joined forms ("1d12h"), "250ms"/"5us"/"7ns", or ISO 8601 ("PT2H", "P14D").
/// \throws EngineError (policy) when it can't be read, is negative or longer than 200 years.
std::int64_t parse_duration(std::string_view text);

/// Shortest text that parse_duration reads back: "1d12h". \pre ns >= 0
std::string format_duration(std::int64_t ns);

/// Nanoseconds since 1970 of an ISO 8601 instant; without a zone it is UTC. \throws EngineError (policy)
std::int64_t parse_instant(std::string_view text);

/// "2026-11-21T10:00:00.5Z": the fraction without trailing zeros.
std::string format_instant(std::int64_t ns);

/// This machine's clock, to the millisecond, in that form: as records have it.
std::string now_utc();

}  // namespace purgekit
