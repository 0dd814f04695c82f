/// \file type_fit.hpp
/// Whether a column can hold all that another one may hold, unchanged, by their types as databases print them.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace purgekit::sdk {

/// "character varying(255)", "int(11) unsigned", "timestamp(3) without time zone": the words, and the numbers in brackets.
struct TypeText {
  std::string words;
  std::vector<std::int64_t> sizes;
  bool is_unsigned = false;

  explicit TypeText(std::string_view text) {
    const std::size_t open = text.find('(');
    const std::size_t close = open == std::string_view::npos ? open : text.find(')', open);
    words = std::string(text.substr(0, open));
    if (close != std::string_view::npos) {
      std::int64_t size = 0;
      for (const char c : text.substr(open + 1, close - open)) {
        if (c >= '0' && c <= '9' && size < std::int64_t{1} << 40) size = size * 10 + (c - '0');
        if (c == ',' || c == ')') {
          sizes.push_back(size);
          size = 0;
        }
      }
      words += text.substr(close + 1);
    }
    std::transform(words.begin(), words.end(), words.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    is_unsigned = take(" unsigned");
    take(" zerofill");
    words.erase(words.find_last_not_of(' ') + 1);
  }

  std::int64_t size(std::size_t index, std::int64_t otherwise) const { return index < sizes.size() ? sizes[index] : otherwise; }

 private:
  bool take(std::string_view word) {
    const std::size_t at = words.find(word);
    if (at == std::string::npos) return false;
    words.erase(at, word.size());
    return true;
  }
};

/// Digits of a second that a time type keeps. Those without a word about zones keep none unless told.
inline int time_digits_of(std::string_view type_name) {
  const TypeText type(type_name);
  return static_cast<int>(std::clamp<std::int64_t>(type.size(0, type.words.find("time zone") != std::string::npos ? 6 : 0), 0, 9));
}

namespace detail {

using Sizes = std::pair<std::string_view, std::int64_t>;

inline constexpr std::array<Sizes, 6> integers{{{"tinyint", 1}, {"smallint", 2}, {"mediumint", 3}, {"int", 4}, {"integer", 4}, {"bigint", 8}}};
inline constexpr std::array<Sizes, 8> longs{{{"tinytext", 255}, {"text", 65'535}, {"mediumtext", 16'777'215}, {"longtext", 4'294'967'295}, {"tinyblob", 255}, {"blob", 65'535},
                                             {"mediumblob", 16'777'215}, {"longblob", 4'294'967'295}}};
inline constexpr std::int64_t endless = std::numeric_limits<std::int64_t>::max();

template <std::size_t N>
std::optional<std::int64_t> size_of(const std::array<Sizes, N>& known, std::string_view words) {
  const auto found = std::find_if(known.begin(), known.end(), [&](const Sizes& entry) { return entry.first == words; });
  return found == known.end() ? std::nullopt : std::optional(found->second);
}

inline bool is_decimal(const TypeText& t) { return t.words == "decimal" || t.words == "numeric"; }
inline bool is_fixed_text(const TypeText& t) { return t.words == "character" || t.words == "char"; }
inline bool is_varying_text(const TypeText& t) { return t.words == "character varying" || t.words == "varchar"; }
inline bool is_text(const TypeText& t) {
  const bool is_array = t.words.find('[') != std::string::npos;
  return is_fixed_text(t) || is_varying_text(t) || (!is_array && t.words.find("text") != std::string::npos);
}

inline bool holds_integer(const TypeText& target, const TypeText& source, std::int64_t bytes) {
  if (const auto room = size_of(integers, target.words)) {
    if (target.is_unsigned == source.is_unsigned) return *room >= bytes;
    return source.is_unsigned && *room > bytes;
  }
  if (!is_decimal(target) || (target.is_unsigned && !source.is_unsigned)) return false;
  constexpr std::array<std::int64_t, 9> digits{0, 3, 5, 8, 10, 0, 0, 0, 20};
  return target.sizes.empty() || target.size(0, 0) - target.size(1, 0) >= digits.at(static_cast<std::size_t>(bytes));
}

inline bool holds_decimal(const TypeText& target, const TypeText& source) {
  if (!is_decimal(target) || (target.is_unsigned && !source.is_unsigned)) return false;
  if (target.sizes.empty()) return true;
  if (source.sizes.empty()) return false;
  return target.size(1, 0) >= source.size(1, 0) && target.size(0, 0) - target.size(1, 0) >= source.size(0, 0) - source.size(1, 0);
}

// Characters that a type takes; of a type that counts bytes, as if each took the most.
inline std::int64_t room_for_text(const TypeText& type) {
  constexpr std::int64_t most_bytes = 4;
  if (const auto bytes = size_of(longs, type.words)) return *bytes / most_bytes;
  return type.size(0, is_fixed_text(type) ? 1 : endless);
}

// A type of fixed width fills values up with blanks.
inline bool holds_text(const TypeText& target, const TypeText& source) {
  if (!is_text(target) || (is_fixed_text(target) && !is_fixed_text(source))) return false;
  const auto target_bytes = size_of(longs, target.words);
  const auto source_bytes = size_of(longs, source.words);
  if (target_bytes && source_bytes) return *target_bytes >= *source_bytes;
  return room_for_text(target) >= source_bytes.value_or(source.size(0, is_fixed_text(source) ? 1 : endless));
}

inline bool holds_bytes(const TypeText& target, const TypeText& source) {
  const auto is_bytes = [](const TypeText& t) { return t.words == "varbinary" || t.words == "binary" || t.words.find("blob") != std::string::npos; };
  const auto room = [](const TypeText& t) { return size_of(longs, t.words).value_or(t.size(0, 1)); };
  return is_bytes(source) && is_bytes(target) && target.words != "binary" && room(target) >= room(source);
}

}  // namespace detail

/// As PostgreSQL, MySQL and MariaDB print types. What is not known must be equal.
inline bool type_fits(std::string_view target_type, std::string_view source_type) {
  if (target_type == source_type) return true;
  const TypeText target(target_type);
  const TypeText source(source_type);
  if (const auto bytes = detail::size_of(detail::integers, source.words)) return detail::holds_integer(target, source, *bytes);
  if (detail::is_decimal(source)) return detail::holds_decimal(target, source);
  if (detail::is_text(source)) return detail::holds_text(target, source);
  if (source.words == "real" || source.words == "float") return source.sizes.empty() && (target.words == "double precision" || target.words == "double");
  if (source.words.rfind("time", 0) == 0 || source.words == "datetime") return target.words == source.words && time_digits_of(target_type) >= time_digits_of(source_type);
  return detail::holds_bytes(target, source);
}

/// Characters of text that a column takes.
inline std::int64_t text_room(std::string_view type_name) {
  const TypeText type(type_name);
  return detail::is_text(type) ? detail::room_for_text(type) : detail::endless;
}

}  // namespace purgekit::sdk
