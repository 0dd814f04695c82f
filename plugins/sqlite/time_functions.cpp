#include "time_functions.hpp"

#include <optional>
#include <string_view>

#include "error.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit::sqlite {
namespace {

std::optional<sdk::ParsedTime> read(sqlite3_value* value) {
  if (sqlite3_value_type(value) != SQLITE_TEXT) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (text == nullptr) return std::nullopt;
  return sdk::parse_iso_time(std::string_view(text, static_cast<std::size_t>(sqlite3_value_bytes(value))));
}

void before(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto time = read(arguments[0]);
  if (!time) return sqlite3_result_null(context);
  const sqlite3_int64 cutoff_ns = sqlite3_value_int64(arguments[time->zoned ? 1 : 2]);
  sqlite3_result_int(context, time->ns < cutoff_ns ? 1 : 0);
}

void nanoseconds(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto time = read(arguments[0]);
  if (!time) return sqlite3_result_null(context);
  sqlite3_result_int64(context, time->ns);
}

void zoned(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto time = read(arguments[0]);
  if (!time) return sqlite3_result_null(context);
  sqlite3_result_int(context, time->zoned ? 1 : 0);
}

}  // namespace

void register_time_functions(sqlite3* db) {
  const auto add = [db](const char* name, int arguments, void (*function)(sqlite3_context*, int, sqlite3_value**)) {
    const int rc = sqlite3_create_function_v2(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, function, nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) throw make_error(rc, sqlite3_errmsg(db));
  };
  add("purgekit_before", 3, before);
  add("purgekit_ns", 1, nanoseconds);
  add("purgekit_zoned", 1, zoned);
}

}  // namespace purgekit::sqlite
