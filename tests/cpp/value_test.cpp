#include "purgekit/sdk/value.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "support/expect_error.hpp"

namespace purgekit::sdk {
namespace {

Row round_trip(const Row& row) {
  const std::string text = encode_row(row);
  for (const char c : text) EXPECT_TRUE(c > 0x20 && c < 0x7f) << "not printable ASCII: " << text;
  return decode_row(text);
}

TEST(Cursor, IsReadable) { EXPECT_EQ(encode_row({Value::integer(-5), Value::string("tä,b"), Value::bytes(std::string("\x00\xff", 2))}), "i-5,tt%c3%a4%2cb,b00ff"); }

TEST(Cursor, KeepsEveryKindExactly) {
  const Row row = {Value::null(),
                   Value::integer(std::numeric_limits<std::int64_t>::min()),
                   Value::integer(std::numeric_limits<std::int64_t>::max()),
                   Value::unsigned_integer(std::numeric_limits<std::uint64_t>::max()),
                   Value::real(0.1),
                   Value::real(-std::numeric_limits<double>::denorm_min()),
                   Value::real(std::numeric_limits<double>::infinity()),
                   Value::decimal("-123456789012345678901234567890.000000001"),
                   Value::string(""),
                   Value::string("a b%,\n\t\"'\xf0\x9f\x98\x80"),
                   Value::bytes(""),
                   Value::bytes(std::string("\0\1\xfe\xff", 4)),
                   Value::boolean(true),
                   Value::boolean(false),
                   Value::instant(-1),
                   Value::wall(1'795'255'200'000'000'000)};
  EXPECT_EQ(round_trip(row), row);
}

TEST(Cursor, NegativeZeroAndNotANumberSurvive) {
  EXPECT_TRUE(std::signbit(round_trip({Value::real(-0.0)}).at(0).f64));
  EXPECT_TRUE(std::isnan(round_trip({Value::real(std::nan(""))}).at(0).f64));
}

TEST(Cursor, EmptyIsTheStart) {
  EXPECT_EQ(encode_row({}), "");
  EXPECT_TRUE(decode_row("").empty());
}

TEST(Cursor, RandomTextsAndBytesSurvive) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int i = 0; i < 300; ++i) {
    std::string text(static_cast<std::size_t>(i % 40), '\0');
    for (char& c : text) c = static_cast<char>(byte(random));
    const Row row = {Value::string(text), Value::bytes(text), Value::decimal(text), Value::real(std::ldexp(byte(random) + 0.3, byte(random) - 128))};
    ASSERT_EQ(round_trip(row), row);
  }
}

TEST(Cursor, RefusesWhatItDidNotWrite) {
  for (const char* text : {"x1", "i", "i1x", "i1,", ",i1", "i1,,i2", "i99999999999999999999", "u-1", "b0", "b0g", "t%", "t%4", "t%zz", "tab%c", "o", "z1.5", "r", "rx", "r0x1p0x",
                           "nx", "1", " i1"}) {
    EXPECT_HAS(message_of([&] { decode_row(text); }), "cursor");
    EXPECT_EQ(code_of([&] { decode_row(text); }), "corrupt") << text;
  }
}

TEST(Value, CrossesTheLineAndBack) {
  for (const Value& value : {Value::null(), Value::integer(-7), Value::unsigned_integer(~0ull), Value::real(1.5), Value::decimal("1.5"), Value::string("x"), Value::bytes("y"),
                             Value::boolean(true), Value::instant(5), Value::wall(6)}) {
    EXPECT_EQ(Value::from_c(value.to_c()), value);
  }
}

TEST(Value, IsANumberAlsoInText) {
  for (const Value& value : {Value::integer(2), Value::unsigned_integer(2), Value::real(2), Value::decimal("2.0"), Value::string("2")}) EXPECT_EQ(as_number(value), 2);
  EXPECT_EQ(as_number(Value::unsigned_integer(~0ull)), 18446744073709551615.0);
  for (const Value& value : {Value::null(), Value::string(""), Value::string("soon"), Value::string("2 s"), Value::bytes("2")}) EXPECT_FALSE(as_number(value));
}

TEST(Value, TextMayBeNullWhenEmpty) {
  EXPECT_EQ(to_string(pk_text{nullptr, 0}), "");
  EXPECT_EQ(to_view(pk_text{nullptr, 0}), "");
  EXPECT_EQ(to_string(to_text(std::string_view("a\0b", 3))), std::string("a\0b", 3));
}

}  // namespace
}  // namespace purgekit::sdk
