#include "purgekit/sdk/sampling.hpp"

#include "gtest/gtest.h"

namespace purgekit::sdk {
namespace {

void expect_shown(const Value& value, const std::string& text, std::int64_t length) {
  const Value shown = shown_value(value);
  EXPECT_EQ(shown.kind, PK_VALUE_TEXT);
  EXPECT_EQ(shown.text, text);
  EXPECT_EQ(shown.i64, length);
}

TEST(ShownValue, IsTextWithItsWholeLength) {
  EXPECT_EQ(shown_value(Value::null()), Value::null());
  expect_shown(Value::integer(-42), "-42", 3);
  expect_shown(Value::unsigned_integer(~std::uint64_t{0}), "18446744073709551615", 20);
  expect_shown(Value::boolean(true), "1", 1);
  expect_shown(Value::real(0.1), "0.1", 3);
  expect_shown(Value::decimal("1.50"), "1.50", 4);
  expect_shown(Value::string(""), "", 0);
  expect_shown(Value::string("gr\xc3\xb6\xc3\x9f" "e"), "gr\xc3\xb6\xc3\x9f" "e", 5);
  expect_shown(Value::bytes(std::string("\0\xff", 2)), "00ff", 2);
  expect_shown(Value::wall(0), "1970-01-01 00:00:00.000000000", 29);
}

TEST(ShownValue, IsCutBetweenCharacters) {
  std::string umlauts;
  for (int i = 0; i < 300; ++i) umlauts += "\xc3\xa4";
  const Value shown = shown_value(Value::string(umlauts));
  EXPECT_EQ(shown.text.size(), 2u * most_shown);
  EXPECT_EQ(shown.i64, 300);
  EXPECT_EQ(shown_value(Value::bytes(std::string(5'000, 'x'))).text.size(), static_cast<std::size_t>(most_shown));
  EXPECT_EQ(shown_value(Value::bytes(std::string(5'000, 'x'))).i64, 5'000);
  EXPECT_EQ(shown_value(Value::string("cut by the database"), 4'000).i64, 4'000);
  EXPECT_EQ(shown_value(Value::string("\x80\x80 no UTF-8")).text, "\x80\x80 no UTF-8");
}

}  // namespace
}  // namespace purgekit::sdk
