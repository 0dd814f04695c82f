#include "dialect.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Sql;
using sdk::Value;

// Integer columns of any width compare with bigint through their own index; a bare parameter would take the column's type
// and overflow on a large constant. Text, uuid, citext, enums and the like are left to inference: the parameter takes the
// column's own type, while ::text would change the comparison or lose the index.
std::string PgDialect::typed(std::string placeholder, std::uint32_t column_kind, pk_value_kind value_kind) const {
  switch (column_kind) {
    case PK_COLUMN_INT:
    case PK_COLUMN_UINT: {
      const bool wider = value_kind == PK_VALUE_UINT || value_kind == PK_VALUE_DECIMAL || value_kind == PK_VALUE_REAL;
      return placeholder + (wider ? "::numeric" : "::bigint");
    }
    case PK_COLUMN_DECIMAL: return placeholder + "::numeric";
    case PK_COLUMN_REAL: return placeholder + "::float8";
    case PK_COLUMN_BOOL: return placeholder + "::boolean";
    case PK_COLUMN_OTHER: break;
    default: return placeholder;
  }
  switch (value_kind) {
    case PK_VALUE_INT: return placeholder + "::bigint";
    case PK_VALUE_UINT:
    case PK_VALUE_DECIMAL: return placeholder + "::numeric";
    case PK_VALUE_REAL: return placeholder + "::float8";
    case PK_VALUE_BOOL: return placeholder + "::boolean";
    case PK_VALUE_BYTES: return placeholder + "::bytea";
    case PK_VALUE_INSTANT: return placeholder + "::timestamptz";
    case PK_VALUE_WALL: return placeholder + "::timestamp";
    default: return placeholder;
  }
}

// date, timestamp and timestamptz share one index family, so an exact timestamp serves a date column too.
void PgDialect::bind_time(Sql& out, const pk_node& node, std::int64_t ns) const {
  if (node.kind == PK_NODE_COMPARE) {
    const bool up = node.op == PK_LT || node.op == PK_GE;
    ns = (up ? sdk::ceil_div(ns, 1000) : sdk::floor_div(ns, 1000)) * 1000;
  }
  const bool zoned = node.storage == PK_STORED_ZONED || (node.storage == 0 && node.column_kind == PK_COLUMN_TIMESTAMP_ZONED);
  out.bind(time_value(ns, zoned ? PK_STORED_ZONED : PK_STORED_UNZONED), node.column_kind);
  out << (zoned ? "::timestamptz" : "::timestamp");
  if (node.storage == PK_STORED_ZONED_WALL) {
    out << " AT TIME ZONE ";
    out.bind(Value::string(server_zone()), PK_COLUMN_TEXT) << "::text";
  }
}

// What binary answers hold as it is to be kept: numbers, bytes, and texts of types whose binary form is their text. The rest as text, by
// a cast where that is the type's own output; some types have casts that say something else.
std::string PgDialect::for_sink(std::string column, std::uint32_t column_kind, std::string_view type_name) const {
  // Its text depends on the server's locale, by which another would read another amount.
  if (type_name == "money") return column + "::numeric::text";
  if (column_kind == PK_COLUMN_INT || column_kind == PK_COLUMN_REAL || column_kind == PK_COLUMN_BOOL || column_kind == PK_COLUMN_BYTES) return column;
  const std::string_view word = type_name.substr(0, type_name.find_first_of(" ("));
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) { return !type_name.ends_with("[]") && std::find(words.begin(), words.end(), word) != words.end(); };
  if (is_one_of({"text", "character", "name", "json"})) return column;
  if (is_one_of({"timestamp", "date", "time", "interval", "numeric", "uuid", "jsonb", "bit"})) return column + "::text";
  return "CASE WHEN " + column + " IS DISTINCT FROM NULL THEN pg_catalog.format('%s', " + column + ") END";
}

// 'infinity' is later than any cutoff and so never expires by itself.
std::string PgDialect::counts(const std::string& column, const pk_node& node) const {
  return is_epoch(node) ? column + " > 0" : column + " > '-infinity'";
}

void PgDialect::time_before(Sql& out, const std::string& column, const pk_node& node, bool negated) const {
  if (node.storage != PK_STORED_ZONED_WALL) return Dialect::time_before(out, column, node, negated);
  // Where clocks are set back the wall clock does not grow with the instant, so it is compared itself. The bare bound lies
  // a day away, farther than any change of offset, and lets an index serve.
  const std::int64_t cutoff = round_up(stored_cutoff(node));
  const char* op = negated ? " >= " : " < ";
  out << "(" << column << op;
  bind_time(out, node, cutoff + (negated ? -sdk::ns_per_day : sdk::ns_per_day));
  out << " AND " << column << " AT TIME ZONE ";
  out.bind(Value::string(server_zone()), PK_COLUMN_TEXT) << "::text";
  out << op;
  out.bind(time_value(cutoff, PK_STORED_UNZONED), PK_COLUMN_TIMESTAMP);
  out << "::timestamp)";
}

// Whole minutes and microseconds within the minute are integers in every version; EXTRACT(EPOCH …) alone is a double
// before PostgreSQL 14. Infinite times have no age: later than anything, and counts() has dropped -infinity.
void PgDialect::age_ns(Sql& out, const std::string& column, const pk_node& node) const {
  if (is_epoch(node)) return Dialect::age_ns(out, column, node);
  std::string time = column;
  if (node.storage == PK_STORED_UNZONED) time = column + "::timestamp";
  out << "CASE WHEN isfinite(" << column << ") THEN ";
  out.bind(Value::integer(node.cutoff_ns), PK_COLUMN_DECIMAL);
  const auto add_part = [&](const char* before, const char* after) {
    out << before << time;
    if (node.storage == PK_STORED_ZONED_WALL) {
      out << " AT TIME ZONE ";
      out.bind(Value::string(server_zone()), PK_COLUMN_TEXT) << "::text";
    }
    out << after;
  };
  add_part(" - EXTRACT(EPOCH FROM date_trunc('minute', ", "))::bigint::numeric * 1000000000");
  add_part(" - EXTRACT(MICROSECONDS FROM ", ")::bigint::numeric * 1000");
  out << " ELSE -1e30 END";
}

std::string PgDialect::shown(const std::string& column, std::uint32_t kind, int most) const {
  if (kind == PK_COLUMN_BYTES) return "pg_catalog.encode(pg_catalog.substring(" + column + ", 1, " + std::to_string(most / 2) + "), 'hex')";
  return "pg_catalog.left(" + column + "::text, " + std::to_string(most) + ")";
}

std::string PgDialect::shown_length(const std::string& column, std::uint32_t kind) const {
  return kind == PK_COLUMN_BYTES ? "pg_catalog.octet_length(" + column + ")" : "pg_catalog.char_length(" + column + "::text)";
}

const std::string& PgDialect::server_zone() const {
  if (server_zone_.empty()) {
    throw Error(PK_INVALID_ARGUMENT,
                "stored = \"wall\" needs the server's default time zone, but the environment variable PGTZ hides it; unset PGTZ");
  }
  return server_zone_;
}

}  // namespace purgekit::postgresql
