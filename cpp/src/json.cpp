#include "json.hpp"

#include <algorithm>

#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit {

using sdk::Value;

Json parse_json(std::string_view text, const char* what) {
  // Deep nesting would overflow the stack of the recursive readers above this.
  int depth = 0;
  const auto callback = [&](int level, Json::parse_event_t, Json&) {
    depth = std::max(depth, level);
    return depth <= 200;
  };
  Json json = Json::parse(text, callback, false);
  if (json.is_discarded() || depth > 200) bad_policy(std::string(what) + " is not readable JSON");
  return json;
}

void only_keys(const Json& object, const std::vector<std::string>& known, const std::string& where) {
  if (!object.is_object()) bad_policy(where + " must be a table of keys");
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      bad_policy("unknown key " + printable(key) + " in " + where + did_you_mean(key, known));
    }
  }
}

std::string text_member(const Json& object, const char* key, const std::string& where, const std::string& fallback) {
  const auto found = object.find(key);
  if (found == object.end()) return fallback;
  if (!found->is_string()) bad_policy(std::string(key) + " in " + where + " must be text");
  return found->get<std::string>();
}

bool bool_member(const Json& object, const char* key, const std::string& where, bool fallback) {
  const auto found = object.find(key);
  if (found == object.end()) return fallback;
  if (!found->is_boolean()) bad_policy(std::string(key) + " in " + where + " must be true or false");
  return found->get<bool>();
}

std::int64_t int_member(const Json& object, const char* key, const std::string& where, std::int64_t fallback) {
  const auto found = object.find(key);
  if (found == object.end()) return fallback;
  if (!found->is_number_integer()) bad_policy(std::string(key) + " in " + where + " must be a whole number");
  return found->get<std::int64_t>();
}

std::int64_t duration_of(const Json& value, const std::string& where) {
  if (value.is_string()) return parse_duration(value.get<std::string>());
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0) bad_policy(where + " must be a duration like \"2h\"");
  return parse_duration(std::to_string(value.get<std::int64_t>()) + "ns");
}

Json value_to_json(const Value& v) {
  switch (v.kind) {
    case PK_VALUE_NULL: return nullptr;
    case PK_VALUE_INT: return v.i64;
    case PK_VALUE_UINT: return static_cast<std::uint64_t>(v.i64);
    case PK_VALUE_REAL: return v.f64;
    case PK_VALUE_BOOL: return v.i64 != 0;
    case PK_VALUE_TEXT: return v.text;
    case PK_VALUE_DECIMAL: return {{"decimal", v.text}};
    case PK_VALUE_BYTES: return {{"bytes", sdk::encode_row({v}).substr(1)}};
    case PK_VALUE_INSTANT: return {{"instant", format_instant(v.i64)}};
    case PK_VALUE_WALL: return {{"wall", sdk::format_time(v.i64, 9, 'T')}};
  }
  return nullptr;
}

Value value_from_json(const Json& json, const std::string& where) {
  if (json.is_boolean()) return Value::boolean(json.get<bool>());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return Value::unsigned_integer(json.get<std::uint64_t>());
  }
  if (json.is_number_integer()) return Value::integer(json.get<std::int64_t>());
  if (json.is_number_float()) return Value::real(json.get<double>());
  if (json.is_string()) return Value::string(json.get<std::string>());
  if (json.is_null()) return Value::null();
  if (json.is_object() && json.size() == 1 && json.begin().value().is_string()) {
    const std::string text = json.begin().value().get<std::string>();
    const std::string& kind = json.begin().key();
    if (kind == "decimal") return Value::decimal(text);
    if (kind == "bytes") {
      try {
        return Value::bytes(sdk::detail::unhex(text));
      } catch (const sdk::Error&) {
        bad_policy("the bytes in " + where + " must be lower-case hexadecimal");
      }
    }
    if (kind == "instant" || kind == "wall") {
      const auto parsed = sdk::parse_iso_time(text);
      if (!parsed) bad_policy("the time in " + where + " can't be read: write it like 2026-11-21T10:00:00Z");
      return kind == "instant" ? Value::instant(parsed->ns) : Value::wall(parsed->ns);
    }
  }
  bad_policy("a value in " + where + " must be a number, text, true or false");
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    out += (u < 0x20 || u == 0x7f) ? '?' : c;
  }
  return out;
}

}  // namespace purgekit
