#include "values_between.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

namespace purgekit::mysql {
namespace {

using sdk::Value;

constexpr std::uint64_t digits = 36;  // 0 to 9, a to z
constexpr std::size_t significant = 6;  // characters behind the common start: 36 to the 6th places
constexpr std::size_t most_parts = 1'024;

std::uint64_t digit_of(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint64_t>(c - '0');
  if (c >= 'a' && c <= 'z') return static_cast<std::uint64_t>(c - 'a') + 10;
  if (c >= 'A' && c <= 'Z') return static_cast<std::uint64_t>(c - 'A') + 10;
  return c < '0' ? 0 : c < 'A' ? 10 : digits - 1;  // between or behind them, as in ASCII
}

std::uint64_t number_of(const std::string& text, std::size_t start) {
  std::uint64_t number = 0;
  for (std::size_t i = start; i < start + significant; ++i) number = number * digits + (i < text.size() ? digit_of(text[i]) : 0);
  return number;
}

std::string text_of(std::uint64_t number) {
  std::string text(significant, '0');
  for (std::size_t i = significant; i-- > 0; number /= digits) {
    const auto digit = static_cast<char>(number % digits);
    text[i] = static_cast<char>(digit < 10 ? '0' + digit : 'a' + digit - 10);
  }
  return text;
}

}  // namespace

std::vector<Value> values_between(const Value& low, const Value& high, std::size_t parts) {
  std::vector<Value> out;
  parts = std::clamp<std::size_t>(parts, 1, most_parts);
  if (low.kind != high.kind) return out;
  const bool text = low.kind == PK_VALUE_TEXT;
  std::size_t common = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  if (text) {
    while (common < std::min(low.text.size(), high.text.size()) && low.text[common] == high.text[common]) ++common;
    // Not within a character of several bytes.
    while (common > 0 && (static_cast<unsigned char>(low.text[common - 1]) & 0x80) != 0) --common;
    from = number_of(low.text, common);
    to = number_of(high.text, common);
  } else if (low.kind == PK_VALUE_INT || low.kind == PK_VALUE_UINT) {
    from = static_cast<std::uint64_t>(low.i64);
    to = static_cast<std::uint64_t>(high.i64);
  } else {
    return out;
  }
  // The distance is right in unsigned arithmetic, whichever signs the ends have.
  const std::uint64_t distance = to - from;
  if ((text || low.kind == PK_VALUE_UINT) ? to < from : high.i64 < low.i64) return out;
  const std::uint64_t step = distance / parts;
  for (std::size_t i = 1; i < parts && step > 0; ++i) {
    const std::uint64_t at = from + step * i;
    Value value = low;
    if (text) value.text = low.text.substr(0, common) + text_of(at);
    else value.i64 = static_cast<std::int64_t>(at);
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace purgekit::mysql
