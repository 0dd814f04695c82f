/// \file people.hpp
/// Keys and sampled values as people and the clock check are shown them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/time_text.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

/// "ID=5, TYPE=x" for people.
inline std::string people_key(const Table& table, const Row& row) {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const Value& v = row[i];
    out += (out.empty() ? "" : ", ") + table.columns.at(table.key.at(i)).name + "=";
    switch (v.kind) {
      case PK_VALUE_NULL: out += "NULL"; break;
      case PK_VALUE_REAL: out += std::to_string(v.f64); break;
      case PK_VALUE_UINT: out += std::to_string(static_cast<std::uint64_t>(v.i64)); break;
      case PK_VALUE_DECIMAL:
      case PK_VALUE_TEXT: out += v.text; break;
      case PK_VALUE_BYTES: out += encode_row({v}).substr(1); break;
      case PK_VALUE_INSTANT:
      case PK_VALUE_WALL: out += format_time(v.i64, 6); break;
      case PK_VALUE_INT:
      case PK_VALUE_BOOL: out += std::to_string(v.i64); break;
    }
  }
  return out;
}

/// A column value as a sample: numbers as they are, times as INSTANT or WALL, nothing when unreadable.
inline std::optional<Value> as_sample(Value value, const Column& column) {
  if (value.kind != PK_VALUE_TEXT) return value;
  const bool time_like = column.kind == PK_COLUMN_DATE || column.kind == PK_COLUMN_TIMESTAMP || column.kind == PK_COLUMN_TIMESTAMP_ZONED ||
                         column.kind == PK_COLUMN_TEXT || column.kind == PK_COLUMN_ANY;
  if (!time_like) return value;
  const auto parsed = parse_iso_time(value.text);
  if (!parsed) return std::nullopt;
  const bool instant = parsed->zoned || column.kind == PK_COLUMN_TIMESTAMP_ZONED;
  return instant ? Value::instant(parsed->ns) : Value::wall(parsed->ns);
}

}  // namespace purgekit::sdk
