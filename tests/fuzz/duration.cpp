// Durations and instants as people, and columns of text, write them.
#include "purgekit/duration.hpp"

#include "fuzz.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit::fuzz {
namespace {

constexpr std::int64_t two_centuries_ns = 200LL * 366 * 86'400 * sdk::ns_per_s;

void run(std::string_view text) {
  if (const auto ns = accepted([&] { return parse_duration(text); })) {
    expect(*ns >= 0 && *ns <= two_centuries_ns, "a duration lies between 0 and 200 years", text);
    const std::string printed = format_duration(*ns);
    expect(parse_duration(printed) == *ns, "parse(format(duration)) == duration", printed);
    expect(parse_duration(std::to_string(*ns) + "ns") == *ns, "a duration can be written in nanoseconds", printed);
  }
  const auto read = sdk::parse_iso_time(text);
  const auto instant = accepted([&] { return parse_instant(text); });
  expect(read.has_value() == instant.has_value(), "both readers of instants agree", text);
  if (!instant) return;
  const std::string printed = format_instant(*instant);
  expect(parse_instant(printed) == *instant, "parse(format(instant)) == instant", printed);
  for (const char separator : {' ', 'T'}) {
    const std::string whole = sdk::format_time(*instant, 9, separator);
    const auto again = sdk::parse_iso_time(whole);
    expect(again && again->ns == *instant && !again->zoned, "nine digits of fraction lose nothing", whole);
  }
  // SQLite compares texts: later instants must have later texts.
  const std::int64_t later = *instant + 1;
  expect(sdk::format_time(*instant, 9) < sdk::format_time(later, 9), "texts sort as instants do", printed);
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_TEXT(purgekit::fuzz::run)
