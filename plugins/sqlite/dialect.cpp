#include "dialect.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "declared.hpp"

namespace purgekit::sqlite {
namespace {

// Sign of d * unit - cutoff, without rounding. |d| >= 1.
int compare_product(double d, std::int64_t unit, std::int64_t cutoff) {
  int exponent = 0;
  const double fraction = std::frexp(d, &exponent);
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(fraction, 53));
  const int shift = 53 - exponent;  // d = mantissa / 2^shift, shift is 0 to 52 for the magnitudes that have a fraction
  __extension__ using Wide = __int128;
  const Wide left = static_cast<Wide>(mantissa) * unit;
  const Wide right = static_cast<Wide>(cutoff) * (static_cast<Wide>(1) << shift);
  return left < right ? -1 : left > right ? 1 : 0;
}

// Smallest double that is not below cutoff / unit, so that comparing a stored double with it is exact.
double round_up_quotient(std::int64_t cutoff, std::int64_t unit) {
  const std::int64_t whole = sdk::floor_div(cutoff, unit);
  double d = static_cast<double>(whole) + static_cast<double>(cutoff - whole * unit) / static_cast<double>(unit);
  const double infinity = std::numeric_limits<double>::infinity();
  if (std::fabs(d) < 1 || std::fabs(d) >= 0x1p52) return d;
  while (compare_product(d, unit, cutoff) < 0) d = std::nextafter(d, infinity);
  while (compare_product(std::nextafter(d, -infinity), unit, cutoff) >= 0) d = std::nextafter(d, -infinity);
  return d;
}

/// What a declared type does to values that are stored under it ("Determination Of Column Affinity").
enum class Affinity { none, text, number, real };

Affinity affinity_of(std::string_view declared) {
  const std::string type = lower(std::string(declared));
  const auto has = [&](const char* part) { return type.find(part) != std::string::npos; };
  if (has("int")) return Affinity::number;
  if (has("char") || has("clob") || has("text")) return Affinity::text;
  if (type.empty() || has("blob")) return Affinity::none;
  return has("real") || has("floa") || has("doub") ? Affinity::real : Affinity::number;
}

}  // namespace

// Lengths mean nothing here.
bool SqliteDialect::fits(std::string_view target_type, std::string_view source_type) const {
  const Affinity target = affinity_of(target_type);
  return target == Affinity::none || target == affinity_of(source_type);
}

sdk::Value SqliteDialect::epoch_bound(const pk_node& node) {
  if (node.cutoff_ns % node.unit_ns == 0) return sdk::Value::integer(node.cutoff_ns / node.unit_ns);
  return sdk::Value::real(round_up_quotient(node.cutoff_ns, node.unit_ns));
}

sdk::Value SqliteDialect::text_bound(const pk_node& node) {
  // A zone is less than a day away from UTC, so the text of an instant before the cutoff shows the cutoff's day plus one at most.
  const std::int64_t latest = std::numeric_limits<std::int64_t>::max() - 2 * sdk::ns_per_day;
  return sdk::Value::string(sdk::format_time(std::min(node.cutoff_ns, latest) + 2 * sdk::ns_per_day, 0).substr(0, 10));
}

// By the value's own type, whatever the column declares.
std::string SqliteDialect::shown(const std::string& column, std::uint32_t, int most) const {
  return "CASE typeof(" + column + ") WHEN 'blob' THEN hex(substr(" + column + ", 1, " + std::to_string(most / 2) + ")) ELSE substr(CAST(" + column + " AS TEXT), 1, " +
         std::to_string(most) + ") END";
}

// Without zeros at the end of the fraction, as most writers leave them off, and "…:00" sorts before "…:00.0".
sdk::Value SqliteDialect::time_value(std::int64_t ns, std::uint32_t) const {
  std::string text = sdk::format_time(ns, time_digits());
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') {
    text.pop_back();
  }
  return sdk::Value::string(text);
}

sdk::Value SqliteDialect::archive_instant_value(std::int64_t ns) const {
  return sdk::Value::string(sdk::format_time(ns, 3, 'T') + "Z");
}

void SqliteDialect::time_before(sdk::Sql& out, const std::string& column, const pk_node& node, bool negated) const {
  if (is_epoch(node)) {
    // Text and blobs are greater than any number: never "before", and kept from "not before" by their type.
    if (negated) out << "typeof(" << column << ") IN ('integer', 'real') AND ";
    out << column << (negated ? " >= " : " < ");
    out.bind(epoch_bound(node), node.column_kind);
    return;
  }
  if (node.storage != PK_STORED_TEXT) {
    throw sdk::Error(PK_NOT_SUPPORTED, "SQLite stores times as numbers or as ISO 8601 text; it has no date and time types of its own");
  }
  if (!negated) {
    out << column << " < ";
    out.bind(text_bound(node), node.column_kind);
    if (node.lifetime_column.size > 0) return;  // the exact test is on the age then
    out << " AND ";
  }
  out << "purgekit_before(" << column << ", ";
  out.bind(sdk::Value::integer(node.cutoff_ns)) << ", ";
  out.bind(sdk::Value::integer(node.wall_cutoff_ns)) << ")" << (negated ? " = 0" : " = 1");
}

void SqliteDialect::age_ns(sdk::Sql& out, const std::string& column, const pk_node& node) const {
  out << "(";
  out.bind(sdk::Value::integer(node.cutoff_ns));
  if (is_epoch(node)) {
    out << " - " << exact(column) << " * " << std::to_string(node.unit_ns) << ")";
  } else {
    out << " - purgekit_ns(" << column << "))";
  }
}

void SqliteDialect::zone_offset(sdk::Sql& out, const std::string& column, const pk_node& node, const pk_zone_step* steps) const {
  out << " + CASE WHEN purgekit_zoned(" << column << ") THEN 0";
  for (std::uint32_t i = node.zone_step_count; i-- > 1;) {
    out << " WHEN purgekit_ns(" << column << ") >= ";
    out.bind(sdk::Value::integer(steps[i].from_wall_ns)) << " THEN " << std::to_string(steps[i].offset_ns);
  }
  out << " ELSE " << std::to_string(steps[0].offset_ns) << " END";
}

// Products of whole numbers that overflow become floating point by themselves; what is no number must not count as zero.
std::string SqliteDialect::exact(const std::string& column) const {
  return "CASE WHEN typeof(" + column + ") IN ('integer', 'real') THEN " + column + " END";
}

std::string SqliteDialect::unreadable(const std::string& column) const {
  return "(" + column + " IS NOT NULL AND purgekit_ns(" + column + ") IS NULL)";
}

}  // namespace purgekit::sqlite
