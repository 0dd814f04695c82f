#include "place.hpp"

#include <charconv>
#include <limits>

#include "purgekit/sdk/value.hpp"

namespace purgekit::postgresql {
namespace {

using sdk::Row;
using sdk::Value;

// Object ids and page numbers are unsigned 32-bit numbers on the server; one more is "behind the last".
constexpr std::int64_t behind_last = std::int64_t{std::numeric_limits<std::uint32_t>::max()} + 1;
constexpr std::int64_t behind_last_line = std::int64_t{std::numeric_limits<std::uint16_t>::max()} + 1;

bool is_within(std::int64_t number, std::int64_t most) { return number >= 0 && number <= most; }

}  // namespace

std::string TidPlace::text() const {
  return "tid:" + std::to_string(leaf) + ":" + std::to_string(at.page) + ":" + std::to_string(at.line) + ":" + std::to_string(end_page);
}

std::optional<TidPlace> TidPlace::parse(std::string_view text) {
  if (text.substr(0, 4) != "tid:") return std::nullopt;
  std::int64_t parts[4] = {};
  for (std::int64_t& part : parts) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    text.remove_prefix(colon + 1);
    const std::string_view number = text.substr(0, text.find(':'));
    const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), part);
    if (problem != std::errc() || end != number.data() + number.size()) return std::nullopt;
    text.remove_prefix(number.size());
  }
  const TidPlace place{parts[0], {parts[1], parts[2]}, parts[3]};
  const bool possible = is_within(place.leaf, behind_last) && is_within(place.at.page, behind_last) && is_within(place.at.line, behind_last_line) &&
                        is_within(place.end_page, behind_last);
  if (!text.empty() || !possible) return std::nullopt;
  return place;
}

std::string PartPlace::text() const { return "part:" + std::to_string(leaf); }

std::optional<PartPlace> PartPlace::parse(std::string_view text) {
  constexpr std::string_view mark = "part:";
  if (text.substr(0, mark.size()) != mark) return std::nullopt;
  text.remove_prefix(mark.size());
  PartPlace place;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), place.leaf);
  if (problem != std::errc() || end != text.data() + text.size() || !is_within(place.leaf, behind_last)) return std::nullopt;
  return place;
}

std::string IndexPlace::text() const {
  Row row{Value::integer(leaf), Value::string(last)};
  if (after) row.insert(row.end(), {Value::string(after->column), Value::string(after->ctid)});
  return "idx:" + sdk::encode_row(row);
}

std::optional<IndexPlace> IndexPlace::parse(std::string_view text) {
  if (text.substr(0, 4) != "idx:") return std::nullopt;
  const Row row = sdk::decode_row(text.substr(4));
  bool possible = (row.size() == 2 || row.size() == 4) && row[0].kind == PK_VALUE_INT && is_within(row[0].i64, behind_last);
  for (std::size_t i = 1; i < row.size(); ++i) possible = possible && row[i].kind == PK_VALUE_TEXT;
  if (!possible) sdk::detail::bad_cursor();
  IndexPlace place{row[0].i64, row[1].text, std::nullopt};
  if (row.size() == 4) place.after = IndexEntry{row[2].text, row[3].text};
  return place;
}

}  // namespace purgekit::postgresql
