/// \file dialect.hpp
/// How MariaDB and MySQL write SQL. Assumes the session settings of session.cpp: backticks quote, the session zone is UTC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/dialect.hpp"

namespace purgekit::mysql {

class MysqlDialect : public sdk::Dialect {
 public:
  /// \param has_returning DELETE … RETURNING (MariaDB 10.0.5 and later).
  /// \param knows_zone CONVERT_TZ gives a result for the server's own zone.
  void learn(bool has_returning, bool knows_zone) {
    has_returning_ = has_returning;
    knows_zone_ = knows_zone;
  }

  std::string quote(std::string_view identifier) const override { return quote_with(identifier, '`'); }
  std::string typed(std::string placeholder, std::uint32_t column_kind, pk_value_kind kind) const override;
  std::string null_safe_equal(const std::string& a, const std::string& b) const override { return a + " <=> " + b; }
  // Not by collation, which takes "a" for "A".
  std::string identical(const std::string& a, const std::string& b) const override { return "BINARY " + a + " <=> BINARY " + b; }
  std::string replacing(const std::vector<std::string>& key, const std::vector<std::string>& others) const override {
    std::string out;
    for (const std::string& column : others.empty() ? key : others) out += (out.empty() ? " ON DUPLICATE KEY UPDATE " : ", ") + quote(column) + " = VALUES(" + quote(column) + ")";
    return out;
  }
  std::string for_share() const override { return " LOCK IN SHARE MODE"; }
  // The session's zone is UTC.
  std::string clock_us() const override { return "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"; }
  bool has_returning() const override { return has_returning_; }
  bool self_subquery_needs_keys() const override { return true; }
  std::pair<std::string, std::string> insert_or_ignore() const override { return {"INSERT IGNORE INTO ", ""}; }
  std::string ledger_long_text() const override { return "LONGTEXT CHARACTER SET utf8mb4"; }
  std::string ledger_suffix() const override;
  std::pair<std::string, std::string> archive_instant() const override { return {"DATETIME(6)", "UTC_TIMESTAMP(6)"}; }
  std::string for_sink(std::string column, std::uint32_t column_kind, std::string_view type_name) const override;
  void for_load(sdk::Value& value, std::uint32_t column_kind) const override;
  std::size_t max_name_bytes() const override { return 64; }
  // The current time, unless the server has been told otherwise.
  bool replaces_null(std::string_view type_name, bool numbers_itself) const override { return numbers_itself || type_name.substr(0, 9) == "timestamp"; }

  std::string shown(const std::string& column, std::uint32_t kind, int most) const override;
  std::string shown_length(const std::string& column, std::uint32_t kind) const override;

  sdk::Value time_value(std::int64_t ns, std::uint32_t storage) const override;
  void bind_time(sdk::Sql& out, const pk_node& node, std::int64_t ns) const override;
  std::string counts(const std::string& column, const pk_node& node) const override;
  void time_before(sdk::Sql& out, const std::string& column, const pk_node& node, bool negated) const override;
  void age_ns(sdk::Sql& out, const std::string& column, const pk_node& node) const override;
  void zone_offset(sdk::Sql& out, const std::string& column, const pk_node& node, const pk_zone_step* steps) const override;

 private:
  std::string wall(const std::string& column) const;

  bool has_returning_ = false;
  bool knows_zone_ = false;
};

}  // namespace purgekit::mysql
