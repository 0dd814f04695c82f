// Values to and from the server's text form.
#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "line.hpp"
#include "purgekit/sdk/time_text.hpp"
#include "types.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Value;

namespace {

std::string real_text(double number) {
  // Not printf and strtod: the process may have set a locale with a decimal comma.
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  return {buffer, end};
}

std::string hex_text(std::string_view bytes) {
  std::string out = "\\x";
  add_hex(out, bytes);
  return out;
}

constexpr std::array<std::uint8_t, 256> digit_values = [] {
  std::array<std::uint8_t, 256> out{};
  for (std::uint8_t i = 0; i < 16; ++i) out[static_cast<std::uint8_t>("0123456789abcdef"[i])] = i;
  return out;
}();

std::uint8_t digit(char c) { return digit_values[static_cast<std::uint8_t>(c)]; }

// "\x" and two digits for each byte.
Value bytes_value(std::string_view text) {
  std::string out(text.size() < 2 ? 0 : text.size() / 2 - 1, '\0');
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(digit(text[2 * i + 2]) << 4 | digit(text[2 * i + 3]));
  return Value::bytes(std::move(out));
}

template <class Number>
Number number_in(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Value to_value(unsigned type, const char* text) {
  switch (type) {
    case type_int2:
    case type_int4:
    case type_int8:
    case type_oid: return Value::integer(number_in<std::int64_t>(text));
    case type_float4:
    case type_float8: return Value::real(number_in<double>(text));
    case type_numeric: return Value::decimal(text);
    case type_bool: return Value::boolean(text[0] == 't');
    case type_bytea: return bytes_value(text);
    default: return Value::string(text);
  }
}

}  // namespace

void add_hex(std::string& out, std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  const std::size_t start = out.size();
  out.resize(start + 2 * bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    out[start + 2 * i] = digits[byte >> 4];
    out[start + 2 * i + 1] = digits[byte & 15];
  }
}

Param to_param(const Value& value) {
  switch (value.kind) {
    case PK_VALUE_NULL: return std::nullopt;
    case PK_VALUE_INT:
    case PK_VALUE_BOOL: return std::to_string(value.i64);
    case PK_VALUE_UINT: return std::to_string(static_cast<std::uint64_t>(value.i64));
    case PK_VALUE_REAL: return real_text(value.f64);
    case PK_VALUE_INSTANT: return sdk::format_time(value.i64, 6) + "+00:00";
    case PK_VALUE_WALL: return sdk::format_time(value.i64, 6);
    case PK_VALUE_BYTES: return hex_text(value.text);
    case PK_VALUE_DECIMAL:
    case PK_VALUE_TEXT: break;
  }
  if (value.text.find('\0') != std::string::npos) {
    throw Error(PK_INVALID_ARGUMENT, "a text value of the policy holds a NUL character, which no PostgreSQL text can hold");
  }
  return value.text;
}

void for_each_row(const pqxx::result& result, const std::function<void(sdk::Row)>& visit) {
  for (const auto& from : result) {
    sdk::Row row;
    row.reserve(static_cast<std::size_t>(from.size()));
    for (const auto& field : from) row.push_back(field.is_null() ? Value::null() : to_value(field.type(), field.c_str()));
    visit(std::move(row));
  }
}

sdk::Rows to_rows(const pqxx::result& result) {
  sdk::Rows rows;
  rows.reserve(static_cast<std::size_t>(result.size()));
  for_each_row(result, [&](sdk::Row row) { rows.push_back(std::move(row)); });
  return rows;
}

}  // namespace purgekit::postgresql
