// Values on their way from a backend to a line of an archive file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "purgekit/sdk/row_batch.hpp"
#include "row_lines.hpp"

namespace purgekit {
namespace {

using sdk::Column;
using sdk::Row;
using sdk::RowBatch;
using sdk::Value;

/// A sink that writes lines.
struct Lines {
  std::vector<Column> columns;
  std::string text;
  int batches = 0;
  pk_sink sink{this, take};

  static int32_t take(void* self, std::size_t, ArrowSchema* schema, ArrowArray* rows, pk_error* error) {
    auto& lines = *static_cast<Lines*>(self);
    int32_t code = PK_OK;
    try {
      append_lines(lines.text, *schema, *rows, lines.columns);
      ++lines.batches;
    } catch (const sdk::Error& e) {
      code = e.to_c(error);
    }
    rows->release(rows);
    schema->release(schema);
    EXPECT_EQ(rows->release, nullptr);
    return code;
  }
};

std::string line(pk_column_kind kind, const std::vector<Value>& values) {
  Lines lines;
  lines.columns = {{"V", "some type", kind, true}};
  RowBatch batch(lines.columns, lines.sink, 0);
  for (const Value& value : values) batch.add({value});
  batch.flush();
  std::string out;
  for (std::size_t at = 0; at < lines.text.size();) {
    const std::size_t end = lines.text.find('\n', at);
    const std::string one = lines.text.substr(at, end - at);
    EXPECT_EQ(one.rfind("{\"V\":", 0), 0u) << one;
    out += (out.empty() ? "" : " ") + one.substr(5, one.size() - 6);
    at = end + 1;
  }
  return out;
}

TEST(RowLines, ValuesOfTheirColumnsKindStandPlainly) {
  EXPECT_EQ(line(PK_COLUMN_INT, {Value::integer(INT64_MIN), Value::null(), Value::integer(7)}), "-9223372036854775808 null 7");
  EXPECT_EQ(line(PK_COLUMN_UINT, {Value::unsigned_integer(UINT64_MAX), Value::integer(0)}), "18446744073709551615 0");
  EXPECT_EQ(line(PK_COLUMN_REAL, {Value::real(0.1), Value::real(5), Value::real(1e300), Value::real(-0.0)}), "0.1 5.0 1e+300 -0.0");
  EXPECT_EQ(line(PK_COLUMN_BOOL, {Value::boolean(true), Value::integer(0), Value::null()}), "true false null");
  EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string("a\"b\\\n\t\x01é😀"), Value::string("")}), R"("a\"b\\\n\t\u0001é😀" "")");
  EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string(std::string("a\0b", 3))}), R"("a\u0000b")");
  EXPECT_EQ(line(PK_COLUMN_BYTES, {Value::bytes(std::string("\x00\xff", 2)), Value::bytes("")}), R"("AP8=" "")");
  EXPECT_EQ(line(PK_COLUMN_DECIMAL, {Value::decimal("1.50"), Value::string("NaN")}), R"("1.50" "NaN")");
  EXPECT_EQ(line(PK_COLUMN_TIMESTAMP_ZONED, {Value::string("2020-01-01 00:00:00+00")}), R"("2020-01-01 00:00:00+00")");
}

TEST(RowLines, OthersSayWhatTheyAre) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(line(PK_COLUMN_REAL, {Value::real(std::nan("")), Value::real(infinity), Value::real(-infinity)}), R"({"$real":"nan"} {"$real":"inf"} {"$real":"-inf"})");
  EXPECT_EQ(line(PK_COLUMN_INT, {Value::integer(1), Value::string("x"), Value::null(), Value::real(1), Value::bytes("\xff")}),
            R"(1 {"$text":"x"} null {"$real":1.0} {"$bytes":"/w=="})");
  EXPECT_EQ(line(PK_COLUMN_INT, {Value::unsigned_integer(UINT64_MAX)}), R"({"$text":"18446744073709551615"})");
  EXPECT_EQ(line(PK_COLUMN_UINT, {Value::integer(-1)}), R"({"$int":-1})");
  EXPECT_EQ(line(PK_COLUMN_BOOL, {Value::integer(2), Value::integer(1), Value::null()}), R"({"$int":2} true null)");
  EXPECT_EQ(line(PK_COLUMN_BYTES, {Value::string("t"), Value::bytes("b")}), R"({"$text":"t"} "Yg==")");
  EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::integer(5), Value::bytes("t")}), R"({"$int":5} {"$bytes":"dA=="})");
}

TEST(RowLines, AnyCharacterAnywhereInATextIsWritten) {
  for (std::size_t length = 1; length <= 18; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (int c = 0; c < 0x80; ++c) {
        std::string text(length, 'x');
        text[at] = static_cast<char>(c);
        EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string(text)}), json_string(text)) << "character " << c << " at " << at << " of " << length;
      }
      std::string broken(length, 'x');
      broken[at] = '\xff';
      EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string(broken)}).rfind(R"({"$text64":)", 0), 0u);
    }
  }
}

TEST(RowLines, TextThatIsNoUtf8IsKeptByteByByte) {
  EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string("\xff")}), R"({"$text64":"/w=="})");
  EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string("\xed\xa0\x80")}), R"({"$text64":"7aCA"})") << "half of a surrogate pair";
  EXPECT_EQ(line(PK_COLUMN_TEXT, {Value::string("\xc0\x80")}), R"({"$text64":"wIA="})") << "longer than need be";
  EXPECT_EQ(line(PK_COLUMN_INT, {Value::string("\xff")}), R"({"$text64":"/w=="})");
}

TEST(RowLines, AColumnOfAnyKindKeepsClassesApart) {
  EXPECT_EQ(line(PK_COLUMN_ANY, {Value::integer(5), Value::real(5), Value::string("5"), Value::bytes("5"), Value::null()}), R"(5 5.0 "5" {"$bytes":"NQ=="} null)");
  EXPECT_EQ(line(PK_COLUMN_ANY, {Value::string("a"), Value::string("b")}), R"("a" "b")");
}

TEST(RowLines, LongBase64IsWhole) {
  const std::string bytes(10'000'001, 'x');
  const std::string text = line(PK_COLUMN_BYTES, {Value::bytes(bytes)});
  EXPECT_EQ(text.size(), (bytes.size() + 2) / 3 * 4 + 2);
  EXPECT_EQ(text.find('\0'), std::string::npos);
  EXPECT_EQ(text.substr(text.size() - 5), "eHg=\"");
}

TEST(RowLines, ABatchIsHandedOverBeforeItGrowsLarge) {
  Lines lines;
  lines.columns = {{"A", "text", PK_COLUMN_TEXT, true}, {"B", "bigint", PK_COLUMN_INT, true}};
  RowBatch batch(lines.columns, lines.sink, 0);
  for (int i = 0; i < 12'000; ++i) batch.add({Value::string("x"), Value::integer(i)});
  EXPECT_EQ(lines.batches, 2);
  batch.add({Value::string(std::string(RowBatch::most_bytes, 'x')), Value::null()});
  EXPECT_EQ(lines.batches, 3);
  EXPECT_EQ(batch.size(), 0u);
  EXPECT_EQ(batch.total(), 12'001);
  batch.flush();
  EXPECT_EQ(lines.batches, 3) << "nothing is left";
  EXPECT_EQ(std::count(lines.text.begin(), lines.text.end(), '\n'), 12'001);
}

TEST(RowLines, WhatTheSinkSaysIsWhatTheBatchThrows) {
  Lines lines;
  lines.columns = {{"A", "text", PK_COLUMN_TEXT, true}, {"B", "text", PK_COLUMN_TEXT, true}};
  const std::vector<Column> fewer = {{"A", "text", PK_COLUMN_TEXT, true}};
  RowBatch batch(fewer, lines.sink, 0);
  batch.add({Value::null()});
  try {
    batch.flush();
    FAIL();
  } catch (const sdk::Error& e) {
    EXPECT_EQ(e.code(), PK_SCHEMA_CHANGED);
  }
  EXPECT_THROW(batch.add({Value::null(), Value::null()}), sdk::Error);
}

TEST(RowLines, FormsThatAreNotKnownAreADefect) {
  Lines lines;
  const std::vector<Column> columns = {{"V", "double", PK_COLUMN_REAL, true}};
  for (const char* format : {"f", "+l", "tdD", ""}) {
    RowBatch batch(columns, lines.sink, 0);
    batch.add({Value::real(1)});
    auto [schema, rows] = batch.take();
    const char* own = schema.children[0]->format;
    schema.children[0]->format = format;
    std::string text;
    EXPECT_THROW(append_lines(text, schema, rows, columns), sdk::Error) << format;
    schema.children[0]->format = own;
    append_lines(text, schema, rows, columns);
    EXPECT_EQ(text, "{\"V\":1.0}\n");
    rows.release(&rows);
    schema.release(&schema);
  }
}

TEST(RowLines, PartOfAnArrayIsThatPart) {
  Lines lines;
  const std::vector<Column> columns = {{"V", "text", PK_COLUMN_TEXT, true}};
  RowBatch batch(columns, lines.sink, 0);
  for (const char* text : {"a", "b", "c", "d"}) batch.add({Value::string(text)});
  auto [schema, rows] = batch.take();
  rows.offset = 1;
  rows.length = 2;
  std::string text;
  append_lines(text, schema, rows, columns);
  EXPECT_EQ(text, "{\"V\":\"b\"}\n{\"V\":\"c\"}\n");
  ArrowArray moved = *rows.children[0];
  rows.children[0]->release = nullptr;
  rows.release(&rows);
  EXPECT_EQ(std::string(static_cast<const char*>(moved.buffers[2]), 4), "abcd") << "a child that was moved away lives on";
  moved.release(&moved);
  schema.release(&schema);
}

}  // namespace
}  // namespace purgekit
