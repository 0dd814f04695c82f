#include "purgekit/duration.hpp"

#include "support/expect_error.hpp"

namespace purgekit {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t day = 86'400 * second;

TEST(Duration, ReadsWhatPeopleWrite) {
  const std::pair<const char*, std::int64_t> cases[] = {
      {"90s", 90 * second},         {"30m", 1'800 * second}, {"2h", 7'200 * second},   {"14d", 14 * day},
      {"1w", 7 * day},              {"1d12h", 36 * 3'600 * second}, {"0s", 0},          {"250ms", 250'000'000},
      {"5us", 5'000},               {"7ns", 7},              {"1m30s", 90 * second},   {"1w2d3h4m5s6ms7us8ns", 9 * day + 3 * 3'600 * second + 245 * second + 6'007'008},
      {"PT2H", 7'200 * second},     {"P14D", 14 * day},      {"P1W2DT3H4M5S", 9 * day + 3 * 3'600 * second + 245 * second}, {"PT0S", 0}};
  for (const auto& [text, ns] : cases) EXPECT_EQ(parse_duration(text), ns) << text;
}

TEST(Duration, RefusesWhatIsNotOne) {
  for (const char* text : {"", "2", "h", "2 h", "2h ", "2x", "1.5h", "+2h", "2H", "P", "PT", "PT2", "P2H", "PT2D", "2h30", "\xff", "1d-2h", "PT-2H"}) {
    EXPECT_HAS(message_of([&] { parse_duration(text); }), "can't be read");
  }
  EXPECT_HAS(message_of([] { parse_duration("-2h"); }), "negative");
  EXPECT_HAS(message_of([] { parse_duration("P1Y"); }), "write days");
  EXPECT_HAS(message_of([] { parse_duration("P1M"); }), "write days");
}

TEST(Duration, RefusesMoreThanTwoHundredYears) {
  EXPECT_NO_THROW(parse_duration("73000d"));
  EXPECT_HAS(message_of([] { parse_duration("80000d"); }), "longer than 200 years");
  EXPECT_HAS(message_of([] { parse_duration("9223372036854775807w"); }), "longer than 200 years");
  EXPECT_HAS(message_of([] { parse_duration("40000d40000d"); }), "longer than 200 years");
  EXPECT_HAS(message_of([] { parse_duration("99999999999999999999s"); }), "can't be read");
}

TEST(Duration, IsWrittenShortAndReadBack) {
  EXPECT_EQ(format_duration(0), "0s");
  EXPECT_EQ(format_duration(36 * 3'600 * second), "1d12h");
  EXPECT_EQ(format_duration(14 * day), "14d");
  for (std::int64_t ns = 1; ns < 100 * day; ns = ns * 3 + 1) EXPECT_EQ(parse_duration(format_duration(ns)), ns);
}

TEST(Instant, IsUtcWithoutAZone) {
  EXPECT_EQ(parse_instant("1970-01-01T00:00:01Z"), second);
  EXPECT_EQ(parse_instant("1970-01-01 00:00:01"), second);
  EXPECT_EQ(parse_instant("1970-01-01T02:00:00+02:00"), 0);
  EXPECT_EQ(parse_instant("1970-01-02"), day);
  EXPECT_HAS(message_of([] { parse_instant("yesterday"); }), "2026-11-21T10:00:00Z");
}

TEST(Instant, IsWrittenWithoutIdleZeros) {
  EXPECT_EQ(format_instant(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_instant(500'000'000), "1970-01-01T00:00:00.5Z");
  EXPECT_EQ(format_instant(-1), "1969-12-31T23:59:59.999999999Z");
  for (const std::int64_t ns : {INT64_C(1795255200000000000), INT64_C(1), INT64_C(-86400000000001), INT64_C(9200000000000000000)}) {
    EXPECT_EQ(parse_instant(format_instant(ns)), ns);
  }
}

}  // namespace
}  // namespace purgekit
