/// \file value.hpp
/// Values that travel as bound parameters or come back in small results (keys, samples). Never whole tables.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/error.hpp"

namespace purgekit::sdk {

/// What `items` points to, which may be NULL only when there is nothing. Not every wrong count can be seen; these can.
template <class T>
const T* checked(const T* items, std::size_t count) {
  constexpr std::size_t most = std::size_t{1} << 30;
  if (count > most || (count > 0 && items == nullptr)) throw Error(PK_INTERNAL, "a text or list came across the plugin line without its data or absurdly long, which is a defect of the backend");
  return items;
}

/// An enumerator as it crosses the line, between the first and the last one known.
template <class Enum>
Enum checked_kind(std::uint32_t kind, Enum first, Enum last) {
  if (kind < static_cast<std::uint32_t>(first) || kind > static_cast<std::uint32_t>(last)) {
    throw Error(PK_INTERNAL, "kind " + std::to_string(kind) + " came across the plugin line, which this version does not know");
  }
  return static_cast<Enum>(kind);
}

inline std::string_view to_view(pk_text text) { return text.size == 0 ? std::string_view() : std::string_view(checked(text.data, text.size), text.size); }
inline std::string to_string(pk_text text) { return std::string(to_view(text)); }
inline pk_text to_text(std::string_view text) { return pk_text{text.data(), text.size()}; }

/// An owned pk_value.
struct Value {
  pk_value_kind kind = PK_VALUE_NULL;
  std::int64_t i64 = 0;
  double f64 = 0;
  std::string text;

  static Value null() { return {}; }
  static Value integer(std::int64_t v) { Value r; r.kind = PK_VALUE_INT; r.i64 = v; return r; }
  static Value unsigned_integer(std::uint64_t v) { Value r; r.kind = PK_VALUE_UINT; r.i64 = static_cast<std::int64_t>(v); return r; }
  static Value real(double v) { Value r; r.kind = PK_VALUE_REAL; r.f64 = v; return r; }
  static Value decimal(std::string v) { Value r; r.kind = PK_VALUE_DECIMAL; r.text = std::move(v); return r; }
  static Value string(std::string v) { Value r; r.kind = PK_VALUE_TEXT; r.text = std::move(v); return r; }
  static Value bytes(std::string v) { Value r; r.kind = PK_VALUE_BYTES; r.text = std::move(v); return r; }
  static Value boolean(bool v) { Value r; r.kind = PK_VALUE_BOOL; r.i64 = v ? 1 : 0; return r; }
  static Value instant(std::int64_t ns) { Value r; r.kind = PK_VALUE_INSTANT; r.i64 = ns; return r; }
  static Value wall(std::int64_t ns) { Value r; r.kind = PK_VALUE_WALL; r.i64 = ns; return r; }

  static Value from_c(const pk_value& v) {
    Value r;
    r.kind = checked_kind(v.kind, PK_VALUE_NULL, PK_VALUE_WALL);
    r.i64 = v.i64;
    r.f64 = v.f64;
    r.text = to_string(v.text);
    return r;
  }
  /// The view is valid as long as this value lives unchanged.
  pk_value to_c() const { return pk_value{static_cast<std::uint32_t>(kind), 0, i64, f64, to_text(text)}; }

  bool operator==(const Value&) const = default;
};

/// A value as a number, also one that is written in text.
inline std::optional<double> as_number(const Value& v) {
  switch (v.kind) {
    case PK_VALUE_INT:
    case PK_VALUE_BOOL: return static_cast<double>(v.i64);
    case PK_VALUE_UINT: return static_cast<double>(static_cast<std::uint64_t>(v.i64));
    case PK_VALUE_REAL: return v.f64;
    case PK_VALUE_DECIMAL:
    case PK_VALUE_TEXT: {
      double number = 0;
      const auto [end, problem] = std::from_chars(v.text.data(), v.text.data() + v.text.size(), number);
      if (v.text.empty() || problem != std::errc() || end != v.text.data() + v.text.size()) return std::nullopt;
      return number;
    }
    default: return std::nullopt;
  }
}

using Row = std::vector<Value>;
using Rows = std::vector<Row>;

/// Key columns as one line of ASCII text and back, exact for every kind; used for cursors. "i-5,t%C3%A4,b00ff".
inline std::string encode_row(const Row& row) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out;
  for (const Value& v : row) {
    if (!out.empty()) out += ',';
    switch (v.kind) {
      case PK_VALUE_NULL: out += 'n'; break;
      case PK_VALUE_INT: out += 'i' + std::to_string(v.i64); break;
      case PK_VALUE_BOOL: out += 'o' + std::to_string(v.i64); break;
      case PK_VALUE_UINT: out += 'u' + std::to_string(static_cast<std::uint64_t>(v.i64)); break;
      case PK_VALUE_INSTANT: out += 'z' + std::to_string(v.i64); break;
      case PK_VALUE_WALL: out += 'w' + std::to_string(v.i64); break;
      case PK_VALUE_REAL: {
        char buffer[40];  // hexadecimal floating point is exact, and to_chars knows no locale with a decimal comma
        const auto written = std::to_chars(buffer, buffer + sizeof buffer, v.f64, std::chars_format::hex);
        out += 'r';
        out.append(buffer, written.ptr);
        break;
      }
      case PK_VALUE_BYTES:
        out += 'b';
        for (const char c : v.text) {
          out += hex[static_cast<unsigned char>(c) >> 4];
          out += hex[static_cast<unsigned char>(c) & 15];
        }
        break;
      case PK_VALUE_DECIMAL:
      case PK_VALUE_TEXT:
        out += v.kind == PK_VALUE_TEXT ? 't' : 'd';
        for (const char c : v.text) {
          const auto u = static_cast<unsigned char>(c);
          if (u > 0x20 && u < 0x7f && c != ',' && c != '%') {
            out += c;
          } else {
            out += '%';
            out += hex[u >> 4];
            out += hex[u & 15];
          }
        }
        break;
    }
  }
  return out;
}

/// \throws Error PK_CORRUPT when the text was not made by encode_row.
Row decode_row(std::string_view text);

}  // namespace purgekit::sdk

#include "purgekit/sdk/value_decode.hpp"
