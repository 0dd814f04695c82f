#include "clock_check.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "purgekit/deadline.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t minute_ns = 60 * second_ns;
constexpr std::int64_t hour_ns = 60 * minute_ns;
constexpr std::int64_t year_1990_ns = 631'152'000 * second_ns;
constexpr std::int64_t year_2200_ns = 7'258'118'400 * second_ns;

// A sampled value as an instant; nothing when it counts as NULL. What does not fit int64 becomes its limit.
std::optional<std::int64_t> as_instant(const Value& v, const TimeUse& use, const LowerInput& input) {
  double number = 0;
  switch (v.kind) {
    case PK_VALUE_INSTANT: return v.i64;
    case PK_VALUE_WALL: {
      const auto zone = input.zones.find(use.timezone);
      if (zone == input.zones.end() || !sdk::is_in_calendar(v.i64)) return v.i64;
      return v.i64 - wall_steps(zone->second, v.i64).back().offset_ns;
    }
    case PK_VALUE_INT: number = static_cast<double>(v.i64); break;
    case PK_VALUE_UINT: number = static_cast<double>(static_cast<std::uint64_t>(v.i64)); break;
    case PK_VALUE_REAL: number = v.f64; break;
    case PK_VALUE_DECIMAL: number = std::strtod(v.text.c_str(), nullptr); break;
    default: return std::nullopt;
  }
  if (!(number > 0) || use.unit_ns == 0) return std::nullopt;
  const double ns = number * static_cast<double>(use.unit_ns);
  return ns >= 9.2e18 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(ns);
}

// Unit in which the value would be a plausible time, for the message.
std::string better_unit(std::int64_t ns, const TimeUse& use) {
  const double number = static_cast<double>(ns) / static_cast<double>(use.unit_ns);
  for (const Unit unit : {Unit::seconds, Unit::milliseconds, Unit::microseconds, Unit::nanoseconds}) {
    const double as_ns = number * static_cast<double>(unit_ns(unit));
    if (as_ns >= static_cast<double>(year_1990_ns) && as_ns <= static_cast<double>(year_2200_ns)) return std::string("; in ") + unit_text(unit) + " it would be plausible";
  }
  return "";
}

void check_unreadable(Session& session, const LowerInput& input, const TimeUse& use, PolicyPlan& plan) {
  const LoweredPredicate unreadable = lower_unreadable(input.table, use.column);
  const PurgeSpec spec(input.table, unreadable.view());
  Deadline deadline(session, 1'000);
  std::int64_t rows = 0;
  try {
    rows = session.count(spec);
  } catch (const sdk::Error& e) {
    if (e.code() != PK_CANCELLED) throw;
  }
  if (rows > 0) {
    plan.warnings.push_back({"unreadable_times", std::to_string(rows) + " rows of " + input.table.name + " hold text in " + use.column +
                                                     " that can't be read as ISO 8601; they never match"});
  }
}

void check_newest(std::int64_t newest_ns, const TimeUse& use, const LowerInput& input, PolicyPlan& plan) {
  const std::int64_t behind_ns = input.now_ns - newest_ns;
  if (behind_ns < -minute_ns) {
    plan.warnings.push_back({"created_in_future", "the newest " + use.column + " of " + input.table.name + " lies " + format_duration(-behind_ns / second_ns * second_ns) +
                                                      " in the future: is it written in another time zone? Set timezone on the rule"});
    return;
  }
  const std::int64_t hours = (behind_ns + hour_ns / 2) / hour_ns;
  if (hours >= 1 && hours <= 14 && std::llabs(behind_ns - hours * hour_ns) < 2 * minute_ns) {
    plan.warnings.push_back({"created_lags_whole_hours", "the newest " + use.column + " of " + input.table.name + " is " + std::to_string(hours) +
                                                             " h old, almost to the minute: is it written in another time zone? Set timezone on the rule"});
  }
}

}  // namespace

void check_clocks(Session& session, const LowerInput& input, const std::vector<TimeUse>& uses, PolicyPlan& plan) {
  const LoweredPredicate all = lower_all_rows();
  for (const TimeUse& use : uses) {
    const PurgeSpec spec(input.table, all.view());
    std::vector<Value> samples;
    try {
      Deadline deadline(session, 2'000);
      samples = session.sample_column(spec, use.column);
    } catch (const sdk::Error& e) {
      if (e.code() != PK_NOT_SUPPORTED && e.code() != PK_CANCELLED) throw;
    }
    std::int64_t newest_ns = std::numeric_limits<std::int64_t>::min();
    std::int64_t outside_ns = 0;
    std::size_t counted = 0;
    std::size_t plausible = 0;
    for (const Value& value : samples) {
      const auto ns = as_instant(value, use, input);
      if (!ns) continue;
      ++counted;
      newest_ns = std::max(newest_ns, *ns);
      if (*ns >= year_1990_ns && *ns <= year_2200_ns) {
        ++plausible;
      } else {
        outside_ns = *ns;
      }
    }
    if (counted > 0 && plausible == 0) {
      plan.clock_doubt = "every sampled value of " + use.column + " in " + input.table.name + " lies outside the years 1990 to 2200 in its unit" +
                         (use.unit_ns > 0 ? better_unit(outside_ns, use) : "") + "; if it is right all the same, pass --accept-clock";
      plan.warnings.push_back({"implausible_clock", plan.clock_doubt});
    } else if (counted > 0 && use.created) {
      check_newest(newest_ns, use, input, plan);
    }
    if (use.storage == PK_STORED_TEXT) check_unreadable(session, input, use, plan);
  }
}

}  // namespace purgekit
