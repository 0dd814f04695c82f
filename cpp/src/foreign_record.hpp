/// \file foreign_record.hpp
/// Documents out of the ledger, which others may have written: read without ever throwing, recursing or believing a type. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "json.hpp"

namespace purgekit {

/// More than any document of ours: a number above it was not counted by us, and sums of these can't overflow.
constexpr std::int64_t most_believable = std::int64_t{1} << 60;
constexpr std::size_t longest_document = std::size_t{1} << 20;
constexpr int deepest_document = 32;

inline bool believable(std::int64_t number) { return number >= 0 && number <= most_believable; }

/// The object in `document`; an empty one when there is none to be read.
inline Json foreign_record(const std::string& document) {
  if (document.size() > longest_document) return Json::object();
  bool too_deep = false;  // copying and writing such a one would overflow the stack
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > deepest_document;
    return !too_deep;
  };
  Json json = Json::parse(document, watch, false);
  if (too_deep || !json.is_object()) return Json::object();
  return json;
}

inline std::string foreign_text(const Json& record, const char* key, const std::string& fallback = "") {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : fallback;
}

/// 0 for what is no whole number, or can't be a count.
inline std::int64_t foreign_count(const Json& record, const char* key) {
  const auto found = record.find(key);
  if (found == record.end() || !found->is_number_integer()) return 0;
  const auto number = found->get<std::int64_t>();
  return believable(number) ? number : 0;
}

inline std::int64_t sum_of(std::int64_t a, std::int64_t b) { return std::min(a + b, most_believable); }

}  // namespace purgekit
