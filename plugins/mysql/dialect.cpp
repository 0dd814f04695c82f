#include "dialect.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace purgekit::mysql {

using sdk::Error;
using sdk::Sql;
using sdk::Value;

namespace {

bool is_bytes(std::uint32_t kind) { return kind == PK_COLUMN_BYTES || kind == PK_COLUMN_OTHER; }

}  // namespace

// A decimal travels as text, and text is compared with a number as a double; the cast keeps it exact. Everything else has
// its own type on the wire.
std::string MysqlDialect::typed(std::string placeholder, std::uint32_t column_kind, pk_value_kind kind) const {
  const bool decimal = kind == PK_VALUE_DECIMAL || (kind == PK_VALUE_NULL && column_kind == PK_COLUMN_DECIMAL);
  return decimal ? "CAST(" + placeholder + " AS DECIMAL(65, 30))" : placeholder;
}

// Binary collation, so that ids differ as they are written; three bytes a character, because InnoDB of MySQL 5.6 takes keys of
// 767 bytes only.
std::string MysqlDialect::ledger_suffix() const { return " ENGINE=InnoDB DEFAULT CHARACTER SET utf8 COLLATE utf8_bin"; }

namespace {

// Geometry in all its shapes, which the connector can't read, in the server's own bytes.
bool is_shape(std::string_view type_name) {
  constexpr std::array words{"geom", "point", "linestring", "polygon"};
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return type_name.find(word) != std::string_view::npos; });
}

}  // namespace

// The session's zone is UTC, and the text of an instant says so. Of BIT(5) as many digits: a number would lose the zeros before it. The
// connector reads a decimal into 64 bytes, and one of 65 digits with sign and point has 67.
std::string MysqlDialect::for_sink(std::string column, std::uint32_t column_kind, std::string_view type_name) const {
  if (column_kind == PK_COLUMN_TIMESTAMP_ZONED) return "CONCAT(" + column + ", '+00')";
  if (column_kind == PK_COLUMN_DECIMAL) return "CAST(" + column + " AS CHAR)";
  if (column_kind == PK_COLUMN_OTHER && is_shape(type_name)) return "CAST(" + column + " AS BINARY)";
  if (column_kind != PK_COLUMN_BIT) return column;
  const std::size_t digits = type_name.find('(') + 1;
  return "LPAD(BIN(" + column + "), " + std::string(type_name.substr(digits, type_name.find(')') - digits)) + ", '0')";
}

// What for_sink made of it, undone. A decimal stays text, which the server stores without rounding it.
void MysqlDialect::for_load(Value& value, std::uint32_t column_kind) const {
  constexpr std::string_view utc = "+00";
  if (value.kind != PK_VALUE_TEXT) return;
  if (column_kind == PK_COLUMN_TIMESTAMP_ZONED && value.text.ends_with(utc)) {
    value.text.resize(value.text.size() - utc.size());
  } else if (column_kind == PK_COLUMN_BIT) {
    std::uint64_t bits = 0;
    const char* end = value.text.data() + value.text.size();
    const auto [read, problem] = std::from_chars(value.text.data(), end, bits, 2);
    if (problem == std::errc() && read == end) value = Value::unsigned_integer(bits);
  }
}

// Geometry, and json where it is a type of its own, are among the others: their bytes.
std::string MysqlDialect::shown(const std::string& column, std::uint32_t kind, int most) const {
  if (is_bytes(kind)) return "HEX(LEFT(CAST(" + column + " AS BINARY), " + std::to_string(most / 2) + "))";
  if (kind == PK_COLUMN_BIT) return "CAST(" + column + " + 0 AS CHAR)";
  return "LEFT(CAST(" + column + " AS CHAR), " + std::to_string(most) + ")";
}

std::string MysqlDialect::shown_length(const std::string& column, std::uint32_t kind) const {
  if (is_bytes(kind)) return "LENGTH(" + column + ")";
  if (kind == PK_COLUMN_BIT) return "CHAR_LENGTH(CAST(" + column + " + 0 AS CHAR))";
  return "CHAR_LENGTH(CAST(" + column + " AS CHAR))";
}

Value MysqlDialect::time_value(std::int64_t ns, std::uint32_t) const { return Value::string(sdk::format_time(ns, time_digits())); }

void MysqlDialect::bind_time(Sql& out, const pk_node& node, std::int64_t ns) const {
  if (node.kind == PK_NODE_COMPARE) {
    // Between two values a column can hold, the comparison means the same for the next or the last of them.
    const bool up = node.op == PK_LT || node.op == PK_GE;
    ns = (up ? sdk::ceil_div(ns, 1000) : sdk::floor_div(ns, 1000)) * 1000;
  }
  out.bind(time_value(ns, node.storage), node.column_kind);
}

// Zero dates ('0000-00-00', where the server lets them in) are how applications without NULL say "none".
std::string MysqlDialect::counts(const std::string& column, const pk_node& node) const {
  if (is_epoch(node)) return column + " > 0";
  return column + (is_wall(node) && node.storage != PK_STORED_ZONED_WALL ? " >= '0001-01-01'" : " >= '1970-01-01 00:00:01'");
}

std::string MysqlDialect::wall(const std::string& column) const {
  if (!knows_zone_) {
    throw Error(PK_NOT_SUPPORTED,
                "stored = \"wall\" needs the server's time zone tables, and CONVERT_TZ knows nothing of @@global.time_zone; nothing was changed: "
                "load them with mysql_tzinfo_to_sql");
  }
  return "CONVERT_TZ(" + column + ", '+00:00', @@global.time_zone)";
}

void MysqlDialect::time_before(Sql& out, const std::string& column, const pk_node& node, bool negated) const {
  if (node.storage != PK_STORED_ZONED_WALL) return Dialect::time_before(out, column, node, negated);
  // Where clocks are set back the wall clock does not grow with the instant, so it is compared itself. The bare bound lies a
  // day away, farther than any offset from UTC, and lets an index serve.
  const std::int64_t cutoff = round_up(stored_cutoff(node));
  const char* op = negated ? " >= " : " < ";
  out << "(" << column << op;
  out.bind(time_value(cutoff + (negated ? -sdk::ns_per_day : sdk::ns_per_day), node.storage), node.column_kind);
  out << " AND " << wall(column) << op;
  out.bind(time_value(cutoff, node.storage), PK_COLUMN_TIMESTAMP) << ")";
}

// Whole microseconds as a decimal: nanoseconds of a far date would not fit a BIGINT. Zero dates have no age.
void MysqlDialect::age_ns(Sql& out, const std::string& column, const pk_node& node) const {
  if (is_epoch(node)) return Dialect::age_ns(out, column, node);
  const std::int64_t cutoff_us = sdk::floor_div(node.cutoff_ns, 1000);
  const std::string time = node.storage == PK_STORED_ZONED_WALL ? wall(column) : column;
  out << "(CASE WHEN " << counts(column, node) << " THEN CAST(TIMESTAMPDIFF(MICROSECOND, " << time << ", ";
  out.bind(time_value(cutoff_us * 1000, node.storage), PK_COLUMN_TIMESTAMP);
  out << ") AS DECIMAL(38, 0)) END * 1000 + " << std::to_string(node.cutoff_ns - cutoff_us * 1000) << ")";
}

void MysqlDialect::zone_offset(Sql& out, const std::string& column, const pk_node& node, const pk_zone_step* steps) const {
  Dialect::zone_offset(out, node.storage == PK_STORED_ZONED_WALL ? wall(column) : column, node, steps);
}

}  // namespace purgekit::mysql
