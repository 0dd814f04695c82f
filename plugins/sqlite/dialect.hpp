/// \file dialect.hpp
/// How SQLite writes SQL, and how it treats values that do not have the type their column declares.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "purgekit/sdk/dialect.hpp"

namespace purgekit::sqlite {

class SqliteDialect : public sdk::Dialect {
 public:
  std::string typed(std::string placeholder, std::uint32_t, pk_value_kind kind) const override {
    return kind == PK_VALUE_DECIMAL ? "CAST(" + placeholder + " AS NUMERIC)" : placeholder;
  }
  std::string null_safe_equal(const std::string& a, const std::string& b) const override { return a + " IS " + b; }
  std::string identical(const std::string& a, const std::string& b) const override { return a + " IS " + b + " COLLATE BINARY AND typeof(" + a + ") = typeof(" + b + ")"; }
  std::string for_update() const override { return ""; }  // BEGIN IMMEDIATE holds the whole file
  std::string for_share() const override { return ""; }
  std::string clock_us() const override { return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000"; }
  bool has_returning() const override { return true; }
  bool has_row_ranges() const override { return true; }
  std::pair<std::string, std::string> insert_or_ignore() const override { return {"INSERT INTO ", " ON CONFLICT DO NOTHING"}; }
  int time_digits() const override { return 9; }
  std::pair<std::string, std::string> archive_instant() const override { return {"TEXT", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"}; }
  sdk::Value archive_instant_value(std::int64_t ns) const override;
  std::size_t load_rows() const override { return 1; }  // a statement costs next to nothing, its values as much as the row

  bool fits(std::string_view target_type, std::string_view source_type) const override;
  std::string shown(const std::string& column, std::uint32_t kind, int most) const override;
  std::string shown_length(const std::string& column, std::uint32_t) const override { return "length(" + column + ")"; }

  sdk::Value time_value(std::int64_t ns, std::uint32_t storage) const override;
  void time_before(sdk::Sql& out, const std::string& column, const pk_node& node, bool negated) const override;
  void age_ns(sdk::Sql& out, const std::string& column, const pk_node& node) const override;
  void zone_offset(sdk::Sql& out, const std::string& column, const pk_node& node, const pk_zone_step* steps) const override;
  std::string exact(const std::string& column) const override;
  std::string unreadable(const std::string& column) const override;

  /// The constant an epoch column is compared with: for whole numbers and for floating point alike,
  /// stored < constant if and only if stored * unit < cutoff.
  static sdk::Value epoch_bound(const pk_node& node);
  /// A text that is greater than every readable time before the cutoff, whatever its zone.
  static sdk::Value text_bound(const pk_node& node);
};

}  // namespace purgekit::sqlite
