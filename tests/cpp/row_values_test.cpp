// Lines of an archive file on their way back into values.
#include "row_values.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/row_batch.hpp"
#include "row_lines.hpp"

namespace purgekit {
namespace {

using sdk::Column;
using sdk::Row;
using sdk::Value;

/// A sink that writes lines.
struct Written {
  std::vector<Column> columns;
  std::string text{};
  pk_sink sink{this, take};

  static int32_t take(void* self, std::size_t, ArrowSchema* schema, ArrowArray* rows, pk_error*) {
    auto& written = *static_cast<Written*>(self);
    append_lines(written.text, *schema, *rows, written.columns);
    rows->release(rows);
    schema->release(schema);
    return PK_OK;
  }
};

// As a sink takes it, and so as it comes back: of a column that holds them, 0 and 1 are a truth.
Row back(pk_column_kind kind, const Row& values) {
  const std::vector<Column> columns = {{"V", "some type", kind, true}, {"a \"b\" \\ é", "text", PK_COLUMN_TEXT, true}};
  Written written{columns};
  sdk::RowBatch batch(columns, written.sink, 0);
  for (const Value& value : values) batch.add({value, Value::string("x")});
  batch.flush();
  RowValues read;
  LineReader(columns).read(written.text, read);
  EXPECT_EQ(read.rows, values.size());
  Row out;
  for (std::size_t i = 0; i < read.values.size(); i += 2) {
    out.push_back(Value::from_c(read.values[i]));
    EXPECT_EQ(Value::from_c(read.values[i + 1]), Value::string("x"));
  }
  return out;
}

void expect_same(pk_column_kind kind, const Row& values) { EXPECT_EQ(back(kind, values), values) << kind; }

TEST(RowValues, WhatWasWrittenIsRead) {
  expect_same(PK_COLUMN_INT, {Value::integer(INT64_MIN), Value::null(), Value::integer(INT64_MAX), Value::string("x"), Value::real(1.5), Value::bytes("\xff")});
  expect_same(PK_COLUMN_UINT, {Value::unsigned_integer(UINT64_MAX), Value::integer(0), Value::null()});
  expect_same(PK_COLUMN_BOOL, {Value::boolean(true), Value::boolean(false), Value::null(), Value::integer(7)});
  expect_same(PK_COLUMN_REAL, {Value::real(0.1), Value::real(5), Value::real(1e300), Value::real(5e-324), Value::string("t"), Value::integer(3)});
  expect_same(PK_COLUMN_TEXT, {Value::string("a\"b\\\n\t\x01é😀"), Value::string(""), Value::string(std::string("a\0b", 3)), Value::string("\xff"), Value::string("$int"), Value::bytes("t")});
  expect_same(PK_COLUMN_BYTES, {Value::bytes(std::string("\x00\xff", 2)), Value::bytes(""), Value::bytes("abc"), Value::bytes("a"), Value::string("t"), Value::string("\xff")});
  expect_same(PK_COLUMN_ANY, {Value::integer(5), Value::real(5), Value::string("5"), Value::bytes("5"), Value::null(), Value::real(1e22)});
  expect_same(PK_COLUMN_TIMESTAMP_ZONED, {Value::string("2020-01-01 00:00:00+00")});
  EXPECT_EQ(back(PK_COLUMN_DECIMAL, {Value::decimal("1.50"), Value::integer(2)}), (Row{Value::string("1.50"), Value::integer(2)}));
}

TEST(RowValues, NumbersThatAreNone) {
  const double infinity = std::numeric_limits<double>::infinity();
  expect_same(PK_COLUMN_REAL, {Value::real(infinity), Value::real(-infinity)});
  EXPECT_TRUE(std::isnan(back(PK_COLUMN_REAL, {Value::real(std::nan(""))})[0].f64));
  EXPECT_TRUE(std::signbit(back(PK_COLUMN_REAL, {Value::real(-0.0)})[0].f64));
}

TEST(RowValues, LongBytesAreWhole) {
  std::string bytes(10'000'001, 'x');
  bytes[4'000'000] = '\0';
  expect_same(PK_COLUMN_BYTES, {Value::bytes(bytes), Value::string(bytes)});
}

class NotOurs : public ::testing::TestWithParam<const char*> {};

TEST_P(NotOurs, IsRefused) {
  const std::vector<Column> columns = {{"I", "bigint", PK_COLUMN_INT, true}, {"T", "text", PK_COLUMN_TEXT, true}};
  RowValues read;
  try {
    LineReader(columns).read(std::string(GetParam()) + "\n", read);
    FAIL() << GetParam();
  } catch (const sdk::Error& e) {
    EXPECT_EQ(e.code(), PK_CORRUPT);
  }
}

INSTANTIATE_TEST_SUITE_P(Lines, NotOurs,
                         ::testing::Values("", "{}", "null", R"({"I":1})", R"({"T":"x","I":1})", R"({"I": 1,"T":"x"})", R"({"I":1,"T":"x"}x)", R"({"I":1,"T":"x")", R"({"I":1,"T":"x)",
                                           R"({"I":1,"T":"\x"})", R"({"I":1,"T":"\ud800"})", "{\"I\":1,\"T\":\"\xff\"}", R"({"I":1,"T":7})", R"({"I":"1","T":"x"})", R"({"I":1.5,"T":"x"})",
                                           R"({"I":99999999999999999999,"T":"x"})", R"({"I":true,"T":"x"})", R"({"I":,"T":"x"})", R"({"I":{"$int":1,"$int":2},"T":"x"})",
                                           R"({"I":{"$no":1},"T":"x"})", R"({"I":{"$real":nan},"T":"x"})", R"({"I":{"$real":"1"},"T":"x"})", R"({"I":{"$bytes":"A"},"T":"x"})",
                                           R"({"I":{"$bytes":"===="},"T":"x"})", R"({"I":{"$bytes":"A!=="},"T":"x"})", R"({"I":{"$text":"x","T":"x"})", R"({"I":1,"T":"\)"));

}  // namespace
}  // namespace purgekit
