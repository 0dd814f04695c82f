/// \file json.hpp
/// JSON reading with errors that name the key. Internal to the engine.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "purgekit/sdk/value.hpp"

namespace purgekit {

using Json = nlohmann::json;  // std::map inside: keys come out sorted, so equal values give equal text

/// \throws EngineError (policy) when it is no JSON; `what` names it in the message.
Json parse_json(std::string_view text, const char* what);

/// Refuse keys outside `known`, naming the nearest right one.
void only_keys(const Json& object, const std::vector<std::string>& known, const std::string& where);

/// Typed members; a missing one gives the fallback, one of another type throws EngineError (policy).
std::string text_member(const Json& object, const char* key, const std::string& where, const std::string& fallback = "");
bool bool_member(const Json& object, const char* key, const std::string& where, bool fallback);
std::int64_t int_member(const Json& object, const char* key, const std::string& where, std::int64_t fallback);
/// A duration as text ("2h") or whole nanoseconds.
std::int64_t duration_of(const Json& value, const std::string& where);

/// Values: numbers, text and booleans as themselves, others as {"bytes": hex}, {"decimal": "1.5"}, {"instant": "…Z"}, {"wall": "…"}.
Json value_to_json(const sdk::Value& value);
sdk::Value value_from_json(const Json& json, const std::string& where);

/// Text that is safe to put in JSON whatever bytes it holds.
std::string printable(std::string_view text);

}  // namespace purgekit
