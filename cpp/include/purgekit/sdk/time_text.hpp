/// \file time_text.hpp
/// Nanoseconds since 1970 to and from calendar text, without a time-zone database (proleptic Gregorian calendar).
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace purgekit::sdk {

inline constexpr std::int64_t ns_per_s = 1'000'000'000;
inline constexpr std::int64_t ns_per_day = 86'400 * ns_per_s;

/// Quotient rounded towards minus infinity; divisor > 0.
inline constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
/// Quotient rounded towards plus infinity; divisor > 0.
inline constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// Days from 1970-01-01. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
inline constexpr std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
  y -= m <= 2;
  const std::int64_t era = floor_div(y, 400);
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

struct CivilDay {
  std::int64_t year;
  unsigned month;
  unsigned day;
};

/// Inverse of days_from_civil. Same source.
inline constexpr CivilDay civil_from_days(std::int64_t z) {
  z += 719468;
  const std::int64_t era = floor_div(z, 146097);
  const auto doe = static_cast<unsigned>(z - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  const unsigned month = mp < 10 ? mp + 3 : mp - 9;
  return {static_cast<std::int64_t>(yoe) + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1};
}

/// The instants and wall clocks that are worked with: the years 1678 to 2261, and two days around them for zones. What is added to
/// them on the way to a statement stays within int64.
inline constexpr std::int64_t first_calendar_ns = days_from_civil(1678, 1, 1) * ns_per_day - 2 * ns_per_day;
inline constexpr std::int64_t last_calendar_ns = days_from_civil(2262, 1, 1) * ns_per_day + 2 * ns_per_day;
inline constexpr bool is_in_calendar(std::int64_t ns) { return ns >= first_calendar_ns && ns <= last_calendar_ns; }

/// "2026-11-21 10:00:00.123456" with `digits` (0 to 9) of fraction, cut off, and `separator` between day and time.
inline std::string format_time(std::int64_t ns, int digits, char separator = ' ') {
  const std::int64_t days = floor_div(ns, ns_per_day);
  const std::int64_t in_day = ns - days * ns_per_day;
  const CivilDay day = civil_from_days(days);
  const std::int64_t seconds = in_day / ns_per_s;
  char buffer[80];
  const int size = std::snprintf(buffer, sizeof buffer, "%04lld-%02u-%02u%c%02d:%02d:%02d", static_cast<long long>(day.year), day.month,
                           day.day, separator, static_cast<int>(seconds / 3600), static_cast<int>(seconds / 60 % 60),
                           static_cast<int>(seconds % 60));
  std::string out(buffer, static_cast<std::size_t>(size));
  if (digits > 0) {
    std::snprintf(buffer, sizeof buffer, ".%09lld", static_cast<long long>(in_day % ns_per_s));
    out.append(buffer, static_cast<std::size_t>(digits) + 1);
  }
  return out;
}

/// What an ISO 8601 text says.
struct ParsedTime {
  std::int64_t ns;  ///< instant when zoned, else wall clock
  bool zoned;
};

namespace detail {
inline bool two_digits(std::string_view t, std::size_t at, unsigned& out) {
  if (at + 2 > t.size() || t[at] < '0' || t[at] > '9' || t[at + 1] < '0' || t[at + 1] > '9') return false;
  out = static_cast<unsigned>(t[at] - '0') * 10 + static_cast<unsigned>(t[at + 1] - '0');
  return true;
}

/// "Z", "+02", "+0200", "+02:00", with an optional blank before. False when it is none of these.
inline bool parse_zone(std::string_view t, std::int64_t& offset_ns) {
  if (!t.empty() && t[0] == ' ') t.remove_prefix(1);
  if (t == "Z" || t == "z") {
    offset_ns = 0;
    return true;
  }
  if (t.size() < 3 || (t[0] != '+' && t[0] != '-')) return false;
  unsigned hours = 0;
  unsigned minutes = 0;
  if (!two_digits(t, 1, hours)) return false;
  if (t.size() == 5) {
    if (!two_digits(t, 3, minutes)) return false;
  } else if (t.size() == 6) {
    if (t[3] != ':' || !two_digits(t, 4, minutes)) return false;
  } else if (t.size() != 3) {
    return false;
  }
  if (hours > 23 || minutes > 59) return false;
  offset_ns = (static_cast<std::int64_t>(hours) * 3600 + static_cast<std::int64_t>(minutes) * 60) * ns_per_s;
  if (t[0] == '-') offset_ns = -offset_ns;
  return true;
}
}  // namespace detail

/// Read "YYYY-MM-DD", with optional time after 'T' or a blank, optional fraction of up to 9 digits that count (more are
/// dropped), optional zone. Years 1678 to 2261 (what fits int64 nanoseconds). Nothing when it can't be read.
inline std::optional<ParsedTime> parse_iso_time(std::string_view t) {
  unsigned century = 0;
  unsigned year = 0;
  unsigned month = 0;
  unsigned day = 0;
  if (t.size() < 10 || t[4] != '-' || t[7] != '-' || !detail::two_digits(t, 0, century) || !detail::two_digits(t, 2, year) ||
      !detail::two_digits(t, 5, month) || !detail::two_digits(t, 8, day)) {
    return std::nullopt;
  }
  year += century * 100;
  static constexpr unsigned month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] + (month == 2 && leap ? 1u : 0u)) {
    return std::nullopt;
  }
  ParsedTime out{days_from_civil(year, month, day) * ns_per_day, false};
  std::string_view rest = t.substr(10);
  if (rest.empty()) return out;
  if (rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ') return std::nullopt;
  rest.remove_prefix(1);
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
  if (rest.size() < 5 || rest[2] != ':' || !detail::two_digits(rest, 0, hour) || !detail::two_digits(rest, 3, minute)) return std::nullopt;
  rest.remove_prefix(5);
  std::int64_t fraction = 0;
  if (!rest.empty() && rest[0] == ':') {
    if (!detail::two_digits(rest, 1, second)) return std::nullopt;
    rest.remove_prefix(3);
    if (!rest.empty() && (rest[0] == '.' || rest[0] == ',')) {
      std::int64_t scale = ns_per_s / 10;
      std::size_t i = 1;
      for (; i < rest.size() && rest[i] >= '0' && rest[i] <= '9'; ++i) {
        fraction += (rest[i] - '0') * scale;
        scale /= 10;
      }
      if (i == 1) return std::nullopt;
      rest.remove_prefix(i);
    }
  }
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  out.ns += (static_cast<std::int64_t>(hour) * 3600 + static_cast<std::int64_t>(minute) * 60 + second) * ns_per_s + fraction;
  if (!rest.empty()) {
    std::int64_t offset_ns = 0;
    if (!detail::parse_zone(rest, offset_ns)) return std::nullopt;
    out.ns -= offset_ns;
    out.zoned = true;
  }
  return out;
}

}  // namespace purgekit::sdk
