/// \file tables.hpp
/// The tables that fuzzed rules are about: a column of every kind, and names that need quoting.
#pragma once

#include <string>

#include "purgekit/error.hpp"
#include "purgekit/lower.hpp"

namespace purgekit::fuzz {

inline const char* const odd_name = "od\"d `n'ame?";

inline sdk::Table table_named(const std::string& name) {
  sdk::Table table;
  table.name = name;
  const auto add = [&](const char* column, const char* type, pk_column_kind kind) { table.columns.push_back({column, type, kind, true}); };
  add("ID", "bigint", PK_COLUMN_INT);
  add("I", "int", PK_COLUMN_INT);
  add("U", "bigint unsigned", PK_COLUMN_UINT);
  add("D", "decimal", PK_COLUMN_DECIMAL);
  add("R", "double", PK_COLUMN_REAL);
  add("B", "boolean", PK_COLUMN_BOOL);
  add("S", "text", PK_COLUMN_TEXT);
  add("X", "blob", PK_COLUMN_BYTES);
  add("DAY", "date", PK_COLUMN_DATE);
  add("TS", "timestamp", PK_COLUMN_TIMESTAMP);
  add("TZ", "timestamptz", PK_COLUMN_TIMESTAMP_ZONED);
  add("G", "uuid", PK_COLUMN_UUID);
  add("A", "", PK_COLUMN_ANY);
  add("J", "json", PK_COLUMN_OTHER);
  add(odd_name, "bigint", PK_COLUMN_INT);
  table.key = {0};
  return table;
}

/// T and CHILD, the present, and zones with and without changes of offset.
struct World {
  sdk::Table t = table_named("T");
  sdk::Table child = table_named("CHILD");
  Zones zones;
  LowerInput input;

  World() : input{t, 1'795'255'200'000'000'000, 7'200'000'000'000, zones, [this](const std::string& name) -> const sdk::Table& { return other(name); }} {
    constexpr std::int64_t hour_ns = 3'600'000'000'000;
    zones["Fixed"] = {{INT64_MIN, 5 * hour_ns}};
    zones["Changing"] = {{INT64_MIN, hour_ns}, {1'774'746'000'000'000'000, 2 * hour_ns}, {1'795'248'000'000'000'000, hour_ns}};
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

 private:
  const sdk::Table& other(const std::string& name) const {
    if (name == "T") return t;
    if (name == "CHILD") return child;
    bad_policy("no table of that name");
  }
};

}  // namespace purgekit::fuzz
