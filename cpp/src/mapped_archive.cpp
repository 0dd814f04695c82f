#include "mapped_archive.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/lower.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit {
namespace {

using sdk::ArchiveColumn;
using sdk::ArchiveTable;
using sdk::Column;
using sdk::Table;
using From = ArchivePart::From;

std::string column_name(const Table& table, const Column& column) { return "column " + column.name + " (" + column.type_name + ") of table " + table.name; }

[[noreturn]] void refuse_kind(const Table& target, const Column& column, const std::string& what) {
  bad_policy(column_name(target, column) + " can't take " + what);
}

void check_clock(const ArchivePart& part, const Table& target, const Column& column) {
  const bool is_number = column.kind == PK_COLUMN_INT || column.kind == PK_COLUMN_UINT || column.kind == PK_COLUMN_DECIMAL || column.kind == PK_COLUMN_REAL;
  const bool is_time = column.kind == PK_COLUMN_DATE || column.kind == PK_COLUMN_TIMESTAMP || column.kind == PK_COLUMN_TIMESTAMP_ZONED;
  const bool is_text = column.kind == PK_COLUMN_TEXT;
  const bool is_any = column.kind == PK_COLUMN_ANY;
  if (is_number && part.unit == Unit::timestamp) refuse_kind(target, column, "a time without its unit since the epoch: s, ms, us or ns");
  if ((is_time || is_text) && part.unit != Unit::timestamp) refuse_kind(target, column, std::string("a number of ") + unit_text(part.unit) + ": write unit = \"timestamp\", or leave it out");
  if (!is_number && !is_time && !is_text && !is_any) refuse_kind(target, column, "a time");
}

const Table& target_of(Catalogue& catalogue, const ArchiveMapping& mapping, const Table& source) {
  const bool here = parse_table_name(mapping.table).schema.empty() && !source.schema.empty();
  const Table* found = catalogue.find(here ? name_text(source.schema) + "." + mapping.table : mapping.table);
  if (found == nullptr) {
    refuse("archive_unfit", "table " + printable(mapping.table) + ", which rows of " + table_name_text(source.schema, source.name) +
                                " are to be moved into, is not there: make it as its product does, name another, or keep the rows in a table of purgekit's own with archive = \"table\"");
  }
  return *found;
}

std::int64_t offset_at(const Zones& zones, const std::string& name, std::int64_t instant_ns) {
  const auto zone = zones.find(name);
  if (zone == zones.end()) {
    if (name == "UTC") return 0;
    bad_policy("time zone " + printable(name) + " of the archive is not known");
  }
  std::int64_t offset_ns = 0;
  for (const ZoneStep& step : zone->second) {
    if (&step == zone->second.data() || step.from_utc_ns <= instant_ns) offset_ns = step.offset_ns;
  }
  return offset_ns;
}

Value clock_value(const ArchiveClock& clock, std::int64_t now_ns, const Zones& zones) {
  constexpr std::int64_t ns_per_ms = 1'000'000;
  now_ns = sdk::floor_div(now_ns, ns_per_ms) * ns_per_ms;
  if (clock.unit != Unit::timestamp) return Value::integer(sdk::floor_div(now_ns, unit_ns(clock.unit)));
  if (clock.kind == PK_COLUMN_TIMESTAMP_ZONED) return Value::instant(now_ns);
  const std::int64_t wall_ns = now_ns + offset_at(zones, clock.timezone, now_ns);
  const bool is_text = clock.kind == PK_COLUMN_TEXT || clock.kind == PK_COLUMN_ANY;
  return is_text ? Value::string(sdk::format_time(wall_ns, 3)) : Value::wall(wall_ns);
}

}  // namespace

void resolve_mapping(Catalogue& catalogue, const ArchiveMapping& mapping, const Table& source, std::size_t index, PolicyPlan& plan) {
  const Table& target = target_of(catalogue, mapping, source);
  ArchiveTable out{target.schema, target.name, true};
  for (const ArchivePart& part : mapping.parts) {
    const Column& column = resolve_column(target, part.target);
    const auto is_same = [&](const ArchiveColumn& c) { return c.target == column.name; };
    if (std::any_of(out.columns.begin(), out.columns.end(), is_same)) bad_policy(column_name(target, column) + " is in the mapping twice, in other letters");
    ArchiveColumn made{column.name};
    switch (part.from) {
      case From::column: made.source = resolve_column(source, part.source).name; break;
      case From::own_default: made.from = PK_ARCHIVE_FROM_DEFAULT; break;
      case From::run_id:
        made.from = PK_ARCHIVE_FROM_RUN;
        if (column.kind != PK_COLUMN_TEXT && column.kind != PK_COLUMN_ANY) refuse_kind(target, column, "a run's id, which is text");
        break;
      case From::value:
        made.from = PK_ARCHIVE_FROM_VALUE;
        made.value = part.value;
        if (!takes_value(column.kind, part.value.kind)) refuse_kind(target, column, "the value that the policy gives");
        break;
      case From::now:
        made.from = PK_ARCHIVE_FROM_VALUE;
        check_clock(part, target, column);
        plan.archive_clocks.push_back({index, out.columns.size(), part.unit, part.timezone, column.kind});
        break;
    }
    out.columns.push_back(std::move(made));
  }
  plan.archives.at(index) = std::move(out);
}

std::vector<ArchiveTable> archives_at(const PolicyPlan& plan, std::int64_t now_ns, const Zones& zones) {
  std::vector<ArchiveTable> out = plan.archives;
  for (const ArchiveClock& clock : plan.archive_clocks) out.at(clock.archive).columns.at(clock.column).value = clock_value(clock, now_ns, zones);
  return out;
}

}  // namespace purgekit
