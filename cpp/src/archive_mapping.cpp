#include "purgekit/archive_mapping.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/policy.hpp"

namespace purgekit {
namespace {

using From = ArchivePart::From;

Json part_to_json(const ArchivePart& part) {
  switch (part.from) {
    case From::column: return part.source;
    case From::run_id: return {{"run_id", true}};
    case From::own_default: return {{"default", true}};
    case From::value: return {{"value", value_to_json(part.value)}};
    case From::now: break;
  }
  Json out = {{"now", true}};
  if (part.unit != Unit::timestamp) out["unit"] = unit_text(part.unit);
  if (part.timezone != "UTC") out["timezone"] = part.timezone;
  return out;
}

ArchivePart part_from_json(const std::string& target, const Json& json) {
  const std::string where = "column " + printable(target) + " of the archive";
  ArchivePart part{target};
  if (json.is_string()) {
    part.source = json.get<std::string>();
    return part;
  }
  if (!json.is_object()) bad_policy(where + " needs a column's name, or one of now, run_id, default or value in braces");
  only_keys(json, {"now", "run_id", "default", "value", "unit", "timezone"}, where);
  int forms = 0;
  const auto is_form = [&](const char* key, From from) {
    if (!json.contains(key)) return;
    if (from != From::value && json[key] != Json(true)) bad_policy(where + ": write " + key + " = true");
    part.from = from;
    ++forms;
  };
  is_form("now", From::now);
  is_form("run_id", From::run_id);
  is_form("default", From::own_default);
  is_form("value", From::value);
  if (forms != 1) bad_policy(where + " needs one of now, run_id, default or value");
  if (part.from == From::value) part.value = value_from_json(json["value"], where);
  if (part.from != From::now && (json.contains("unit") || json.contains("timezone"))) bad_policy(where + ": unit and timezone go with now only");
  if (json.contains("unit")) part.unit = parse_unit(text_member(json, "unit", where));
  part.timezone = text_member(json, "timezone", where, "UTC");
  return part;
}

void check_part(const ArchivePart& part) {
  const std::string where = "column " + printable(part.target) + " of the archive";
  if (part.target.empty()) bad_policy("a column of the archive needs a name");
  if (part.from == From::column && part.source.empty()) bad_policy(where + " names no column");
  if (part.from == From::now && part.unit != Unit::timestamp && part.timezone != "UTC") {
    bad_policy(where + ": timezone goes with unit = \"timestamp\" only; a number counts from the epoch in UTC");
  }
  if (part.from != From::value) return;
  if (part.value.kind == PK_VALUE_NULL) bad_policy(where + ": a value is not NULL; leave the column out of the mapping, or write default = true");
  if (part.value.kind == PK_VALUE_REAL && !std::isfinite(part.value.f64)) bad_policy(where + ": NaN and infinity are no values to keep");
}

}  // namespace

void ArchiveMapping::check() {
  parse_table_name(table);
  for (const ArchivePart& part : parts) check_part(part);
  std::sort(parts.begin(), parts.end(), [](const ArchivePart& a, const ArchivePart& b) { return a.target < b.target; });
}

std::string ArchiveMapping::to_json() const {
  Json columns = Json::object();
  for (const ArchivePart& part : parts) columns[part.target] = part_to_json(part);
  return Json{{"table", table}, {"columns", columns}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ArchiveMapping ArchiveMapping::from_json(std::string_view text) {
  const Json json = parse_json(text, "the archive");
  only_keys(json, {"table", "columns"}, "the archive");
  ArchiveMapping out{text_member(json, "table", "the archive")};
  const Json columns = json.value("columns", Json::object());
  if (!columns.is_object()) bad_policy("columns of the archive must be a table: columns = { THEIRS = \"OURS\" }");
  for (const auto& [target, part] : columns.items()) out.parts.push_back(part_from_json(target, part));
  out.check();
  return out;
}

void collect_zones(const ArchiveMapping& mapping, std::vector<std::string>& zones) {
  for (const ArchivePart& part : mapping.parts) {
    if (part.timezone != "UTC" && std::find(zones.begin(), zones.end(), part.timezone) == zones.end()) zones.push_back(part.timezone);
  }
}

}  // namespace purgekit
