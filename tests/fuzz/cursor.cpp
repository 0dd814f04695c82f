// Cursor texts come from the ledger, which anybody with the right to write it may have changed.
#include <cmath>
#include <cstring>

#include "../../plugins/postgresql/place.hpp"
#include "fuzz.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::fuzz {
namespace {

using sdk::Row;
using sdk::Value;

// Equal to the last bit: NaN is itself, and 0 is not -0.
bool same(const Row& a, const Row& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].kind != b[i].kind || a[i].i64 != b[i].i64 || a[i].text != b[i].text) return false;
    const bool nan = std::isnan(a[i].f64) && std::isnan(b[i].f64);
    if (!nan && std::memcmp(&a[i].f64, &b[i].f64, sizeof a[i].f64) != 0) return false;
  }
  return true;
}

void read_back(const Row& row) {
  const std::string text = sdk::encode_row(row);
  expect(text.empty() || is_one_line(text), "an encoded row is one line", text);
  for (const char c : text) expect(static_cast<unsigned char>(c) < 0x7f, "an encoded row is ASCII", text);
  expect(same(sdk::decode_row(text), row), "decode(encode(row)) == row", text);
}

Row drawn_row(FuzzedDataProvider& in) {
  Row row;
  for (std::size_t n = in.ConsumeIntegralInRange<std::size_t>(0, 6); n > 0; --n) {
    switch (in.ConsumeIntegralInRange<int>(0, 9)) {
      case 0: row.push_back(Value::null()); break;
      case 1: row.push_back(Value::integer(in.ConsumeIntegral<std::int64_t>())); break;
      case 2: row.push_back(Value::unsigned_integer(in.ConsumeIntegral<std::uint64_t>())); break;
      case 3: row.push_back(Value::real(in.ConsumeFloatingPoint<double>())); break;
      case 4: row.push_back(Value::decimal(in.ConsumeRandomLengthString(12))); break;
      case 5: row.push_back(Value::string(in.ConsumeRandomLengthString(40))); break;
      case 6: row.push_back(Value::bytes(in.ConsumeRandomLengthString(40))); break;
      case 7: row.push_back(Value::boolean(in.ConsumeBool())); break;
      case 8: row.push_back(Value::instant(in.ConsumeIntegral<std::int64_t>())); break;
      default: row.push_back(Value::wall(in.ConsumeIntegral<std::int64_t>())); break;
    }
  }
  return row;
}

template <class Place>
void read_place(std::string_view text) {
  const auto place = accepted([&] { return Place::parse(text); });
  if (!place || !*place) return;
  const std::string printed = (*place)->text();
  const auto again = Place::parse(printed);
  expect(again && again->text() == printed, "a place reads back as it was written", printed);
}

void run(FuzzedDataProvider& in) {
  if (in.ConsumeBool()) return read_back(drawn_row(in));
  const std::string text = in.ConsumeRemainingBytesAsString();
  if (const auto row = accepted([&] { return sdk::decode_row(text); })) read_back(*row);
  read_place<postgresql::TidPlace>(text);
  read_place<postgresql::IndexPlace>(text);
  read_place<postgresql::PartPlace>(text);
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_DATA(purgekit::fuzz::run)
