/// \file dialect.hpp
/// How PostgreSQL writes SQL. Parameters carry casts that neither overflow nor keep an index from being used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "purgekit/sdk/dialect.hpp"

namespace purgekit::postgresql {

class PgDialect final : public sdk::Dialect {
 public:
  /// Facts learnt while connecting. `server_zone` is empty when it is not known.
  void learn(int server_version, std::string server_zone) {
    server_version_ = server_version;
    server_zone_ = std::move(server_zone);
  }
  int server_version() const { return server_version_; }

  std::string placeholder(std::size_t index) const override { return "$" + std::to_string(index); }
  std::string typed(std::string placeholder, std::uint32_t column_kind, pk_value_kind value_kind) const override;
  std::string for_share() const override { return " FOR SHARE"; }
  std::string clock_us() const override { return "(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"; }
  bool has_returning() const override { return true; }
  bool has_modifying_ctes() const override { return true; }
  std::pair<std::string, std::string> archive_instant() const override { return {"timestamp with time zone", "pg_catalog.clock_timestamp()"}; }
  std::string for_sink(std::string column, std::uint32_t column_kind, std::string_view type_name) const override;
  sdk::Value archive_instant_value(std::int64_t ns) const override { return time_value(ns, PK_STORED_ZONED); }
  std::size_t max_name_bytes() const override { return 63; }
  bool has_row_ranges() const override { return true; }
  std::pair<std::string, std::string> insert_or_ignore() const override { return {"INSERT INTO ", " ON CONFLICT DO NOTHING"}; }
  // Here text has no end.
  bool fits(std::string_view target_type, std::string_view source_type) const override {
    const auto known = [](std::string_view type) { return type == "text" ? std::string_view("character varying") : type; };
    return sdk::type_fits(known(target_type), known(source_type));
  }
  std::string shown(const std::string& column, std::uint32_t kind, int most) const override;
  std::string shown_length(const std::string& column, std::uint32_t kind) const override;
  // Some types know no equality.
  std::string identical(const std::string& a, const std::string& b) const override { return a + "::text IS NOT DISTINCT FROM " + b + "::text"; }
  std::string overriding_identity() const override { return " OVERRIDING SYSTEM VALUE"; }
  void bind_time(sdk::Sql& out, const pk_node& node, std::int64_t ns) const override;
  std::string counts(const std::string& column, const pk_node& node) const override;
  void time_before(sdk::Sql& out, const std::string& column, const pk_node& node, bool negated) const override;
  void age_ns(sdk::Sql& out, const std::string& column, const pk_node& node) const override;
  std::string exact(const std::string& column) const override { return column + "::numeric"; }

 private:
  const std::string& server_zone() const;

  int server_version_ = 0;
  std::string server_zone_;
};

}  // namespace purgekit::postgresql
