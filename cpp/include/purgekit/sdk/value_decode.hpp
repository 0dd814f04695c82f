/// \file value_decode.hpp
/// The reading half of the cursor text of value.hpp.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {
namespace detail {

[[noreturn]] inline void bad_cursor() {
  throw Error(PK_CORRUPT, "the cursor in the ledger can't be read; start over with another --ledger or remove the slot row");
}

inline int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  bad_cursor();
}

template <class Int>
Int number(std::string_view text) {
  Int result{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (problem != std::errc() || end != text.data() + text.size()) bad_cursor();
  return result;
}

inline double real(std::string_view text) {
  double result = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), result, std::chars_format::hex);
  if (problem != std::errc() || end != text.data() + text.size()) bad_cursor();
  return result;
}

inline std::string unhex(std::string_view text) {
  if (text.size() % 2 != 0) bad_cursor();
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) out += static_cast<char>(hex_digit(text[i]) * 16 + hex_digit(text[i + 1]));
  return out;
}

inline std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) bad_cursor();
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    }
  }
  return out;
}

}  // namespace detail

inline Row decode_row(std::string_view text) {
  Row row;
  std::size_t start = 0;
  while (start <= text.size() && !text.empty()) {
    std::size_t end = text.find(',', start);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view part = text.substr(start, end - start);
    if (part.empty()) detail::bad_cursor();
    const std::string_view body = part.substr(1);
    switch (part[0]) {
      case 'n':
        if (!body.empty()) detail::bad_cursor();
        row.push_back(Value::null());
        break;
      case 'i': row.push_back(Value::integer(detail::number<std::int64_t>(body))); break;
      case 'o': row.push_back(Value::boolean(detail::number<std::int64_t>(body) != 0)); break;
      case 'u': row.push_back(Value::unsigned_integer(detail::number<std::uint64_t>(body))); break;
      case 'z': row.push_back(Value::instant(detail::number<std::int64_t>(body))); break;
      case 'w': row.push_back(Value::wall(detail::number<std::int64_t>(body))); break;
      case 'r': row.push_back(Value::real(detail::real(body))); break;
      case 'b': row.push_back(Value::bytes(detail::unhex(body))); break;
      case 't': row.push_back(Value::string(detail::unescape(body))); break;
      case 'd': row.push_back(Value::decimal(detail::unescape(body))); break;
      default: detail::bad_cursor();
    }
    if (end == text.size()) break;
    start = end + 1;
  }
  return row;
}

}  // namespace purgekit::sdk
