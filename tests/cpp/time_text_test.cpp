#include "purgekit/sdk/time_text.hpp"

#include "gtest/gtest.h"

namespace purgekit::sdk {
namespace {

TEST(TimeText, DivisionsRoundToTheirSide) {
  static_assert(floor_div(-1, 10) == -1 && floor_div(-10, 10) == -1 && floor_div(9, 10) == 0);
  static_assert(ceil_div(1, 10) == 1 && ceil_div(10, 10) == 1 && ceil_div(-9, 10) == 0);
  SUCCEED();
}

TEST(TimeText, DaysAndCivilDatesAreInverse) {
  EXPECT_EQ(days_from_civil(1970, 1, 1), 0);
  EXPECT_EQ(days_from_civil(2000, 3, 1), 11'017);
  EXPECT_EQ(days_from_civil(1969, 12, 31), -1);
  // Walks the calendar day by day with its own rule for months and leap years.
  std::int64_t year = 1678;
  unsigned month = 1;
  unsigned day = 1;
  for (std::int64_t days = days_from_civil(1678, 1, 1); year < 2262; ++days) {
    const CivilDay civil = civil_from_days(days);
    ASSERT_EQ(civil.year, year);
    ASSERT_EQ(civil.month, month);
    ASSERT_EQ(civil.day, day);
    ASSERT_EQ(days_from_civil(year, month, day), days);
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const bool short_month = month == 4 || month == 6 || month == 9 || month == 11;
    const unsigned last = month == 2 ? (leap ? 29 : 28) : short_month ? 30 : 31;
    if (day++ == last) {
      day = 1;
      if (month++ == 12) {
        month = 1;
        ++year;
      }
    }
  }
}

TEST(TimeText, FormatsWithTheDigitsAskedFor) {
  const std::int64_t ns = 1'123'456'789;
  EXPECT_EQ(format_time(ns, 0), "1970-01-01 00:00:01");
  EXPECT_EQ(format_time(ns, 6), "1970-01-01 00:00:01.123456");
  EXPECT_EQ(format_time(ns, 9, 'T'), "1970-01-01T00:00:01.123456789");
  EXPECT_EQ(format_time(-1, 3), "1969-12-31 23:59:59.999");
}

TEST(TimeText, ReadsTheFormsThatOccur) {
  struct Case {
    const char* text;
    std::int64_t ns;
    bool zoned;
  };
  const Case cases[] = {
      {"1970-01-02", ns_per_day, false},
      {"1970-01-01T00:01", 60 * ns_per_s, false},
      {"1970-01-01 00:00:01", ns_per_s, false},
      {"1970-01-01t00:00:01.5", 1'500'000'000, false},
      {"1970-01-01T00:00:01,25Z", 1'250'000'000, true},
      {"1970-01-01T00:00:00.1234567899", 123'456'789, false},
      {"1970-01-01T02:00:00+02:00", 0, true},
      {"1970-01-01T02:00:00 +0200", 0, true},
      {"1970-01-01T02:00+02", 0, true},
      {"1969-12-31T19:00:00-05:00", 0, true},
      {"1970-01-01T05:45:00+05:45", 0, true},
      {"1972-02-29", 789 * ns_per_day, false},
      {"2000-02-29", 11'016 * ns_per_day, false},
  };
  for (const Case& c : cases) {
    const auto parsed = parse_iso_time(c.text);
    ASSERT_TRUE(parsed.has_value()) << c.text;
    EXPECT_EQ(parsed->ns, c.ns) << c.text;
    EXPECT_EQ(parsed->zoned, c.zoned) << c.text;
  }
}

TEST(TimeText, RefusesWhatIsNoTime) {
  for (const char* text : {"", "1970", "1970-1-1", "1970-13-01", "1970-00-01", "1970-01-32", "1971-02-29", "1900-02-29", "1970-01-01T", "1970-01-01T24:00",
                           "1970-01-01T00:60", "1970-01-01T00:00:60", "1970-01-01T00:00:00.", "1970-01-01T00:00:00+", "1970-01-01T00:00:00+2",
                           "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+02:60", "1970-01-01T00:00:00 UTC", "1677-12-31", "2262-01-01",
                           "1970-01-01x00:00", "1970/01/01", " 1970-01-01", "1970-01-01T00:00Zx", "now", "0000-00-00 00:00:00"}) {
    EXPECT_FALSE(parse_iso_time(text).has_value()) << text;
  }
}

TEST(TimeText, ReadsBackWhatItWrites) {
  for (std::int64_t ns = -9'214'000'000'000'000'000; ns < 9'000'000'000'000'000'000; ns += 123'456'789'012'345'678) {
    const auto parsed = parse_iso_time(format_time(ns, 9));
    ASSERT_TRUE(parsed.has_value()) << ns;
    EXPECT_EQ(parsed->ns, ns);
  }
}

}  // namespace
}  // namespace purgekit::sdk
