/// \file sampling.hpp
/// A few rows as text, to be looked at by people: what sample_rows gives.
///
/// Each value is NULL, or TEXT with at most `most_shown` characters of it (bytes as hexadecimal) in `text` and its whole length
/// in `i64`: characters, or bytes where the column holds bytes.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

inline constexpr int most_shown = 200;

namespace detail {

inline bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

inline std::int64_t characters(std::string_view utf8) {
  std::int64_t count = 0;
  for (const char c : utf8) count += continues_character(c) ? 0 : 1;
  return count;
}

inline std::string first_characters(std::string_view utf8, std::int64_t most) {
  std::size_t end = 0;
  for (std::int64_t seen = 0; end < utf8.size(); ++end) {
    if (!continues_character(utf8[end]) && ++seen > most) break;
  }
  return std::string(utf8.substr(0, end));
}

inline std::string plain_text(const Value& v) {
  switch (v.kind) {
    case PK_VALUE_NULL: return "";
    case PK_VALUE_INT:
    case PK_VALUE_BOOL: return std::to_string(v.i64);
    case PK_VALUE_UINT: return std::to_string(static_cast<std::uint64_t>(v.i64));
    case PK_VALUE_REAL: {
      char buffer[40];
      return {buffer, std::to_chars(buffer, buffer + sizeof buffer, v.f64).ptr};
    }
    case PK_VALUE_INSTANT: return format_time(v.i64, 9) + "+00:00";
    case PK_VALUE_WALL: return format_time(v.i64, 9);
    case PK_VALUE_BYTES: return encode_row({Value::bytes(v.text.substr(0, most_shown / 2))}).substr(1);
    case PK_VALUE_DECIMAL:
    case PK_VALUE_TEXT: break;
  }
  return v.text;
}

}  // namespace detail

/// A value as it is shown. `length` is what the database said of the whole, or -1 when it is all here.
inline Value shown_value(const Value& value, std::int64_t length = -1) {
  if (value.kind == PK_VALUE_NULL) return Value::null();
  const std::string text = detail::plain_text(value);
  Value out = Value::string(detail::first_characters(text, most_shown));
  out.i64 = length >= 0 ? length : value.kind == PK_VALUE_BYTES ? static_cast<std::int64_t>(value.text.size()) : detail::characters(text);
  return out;
}

/// The first `most` rows that satisfy the purge's predicate, as the dialect shows them.
inline std::vector<Value> sampled_rows(SqlSession& session, const Table& table, const Purge& purge, std::size_t most) {
  const Dialect& dialect = session.dialect();
  Sql sql(dialect);
  std::vector<bool> measured;
  sql << "SELECT ";
  for (const Column& column : table.columns) {
    const std::string name = dialect.quote(column.name);
    const std::string length = dialect.shown_length(name, column.kind);
    sql << (measured.empty() ? "" : ", ") << dialect.shown(name, column.kind, most_shown);
    if (!length.empty()) sql << ", " << length;
    measured.push_back(!length.empty());
  }
  sql << " FROM " << qualified(dialect, purge.schema, purge.table) << " WHERE ";
  render_predicate(sql, *purge.predicate, purge.table);
  sql << dialect.limit(static_cast<std::int64_t>(most));
  std::vector<Value> out;
  for (const Row& row : session.fetch(sql)) {
    std::size_t at = 0;
    for (const bool has_length : measured) {
      const Value& value = row.at(at++);
      out.push_back(has_length ? shown_value(value, row.at(at).kind == PK_VALUE_NULL ? -1 : row.at(at).i64) : shown_value(value));
      at += has_length ? 1 : 0;
    }
  }
  return out;
}

}  // namespace purgekit::sdk
