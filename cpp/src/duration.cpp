#include "purgekit/duration.hpp"

#include <charconv>
#include <chrono>
#include <utility>

#include "purgekit/error.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit {
namespace {

constexpr std::int64_t longest_ns = std::int64_t{200} * 366 * sdk::ns_per_day;

constexpr std::pair<std::string_view, std::int64_t> units[] = {
    {"ms", 1'000'000}, {"us", 1'000}, {"ns", 1}, {"w", 7 * sdk::ns_per_day}, {"d", sdk::ns_per_day},
    {"h", 3'600 * sdk::ns_per_s}, {"m", 60 * sdk::ns_per_s}, {"s", sdk::ns_per_s}};

[[noreturn]] void unreadable(std::string_view text) {
  bad_policy("duration \"" + std::string(text) + "\" can't be read: write 90s, 30m, 2h, 14d, 1w, 1d12h or PT2H");
}

std::int64_t added(std::int64_t total, std::int64_t number, std::int64_t unit, std::string_view text) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(number, unit, &product) || __builtin_add_overflow(total, product, &total) || total > longest_ns) {
    bad_policy("duration \"" + std::string(text) + "\" is longer than 200 years");
  }
  return total;
}

std::int64_t parse_number(std::string_view& rest, std::string_view text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (problem != std::errc() || number < 0 || rest[0] == '-') unreadable(text);
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return number;
}

// "P1W2DT3H4M5S"; years and months have no fixed length.
std::int64_t parse_iso(std::string_view text) {
  std::string_view rest = text.substr(1);
  std::int64_t total = 0;
  bool in_time = false;
  bool any = false;
  while (!rest.empty()) {
    if (rest[0] == 'T' && !in_time) {
      in_time = true;
      rest.remove_prefix(1);
      continue;
    }
    const std::int64_t number = parse_number(rest, text);
    if (rest.empty()) unreadable(text);
    const char unit = rest[0];
    rest.remove_prefix(1);
    std::int64_t ns = 0;
    if (!in_time && unit == 'W') ns = 7 * sdk::ns_per_day;
    if (!in_time && unit == 'D') ns = sdk::ns_per_day;
    if (in_time && unit == 'H') ns = 3'600 * sdk::ns_per_s;
    if (in_time && unit == 'M') ns = 60 * sdk::ns_per_s;
    if (in_time && unit == 'S') ns = sdk::ns_per_s;
    if (!in_time && (unit == 'Y' || unit == 'M')) {
      bad_policy("duration \"" + std::string(text) + "\": years and months have no fixed length, write days");
    }
    if (ns == 0) unreadable(text);
    total = added(total, number, ns, text);
    any = true;
  }
  if (!any) unreadable(text);
  return total;
}

}  // namespace

std::int64_t parse_duration(std::string_view text) {
  if (text.empty()) unreadable(text);
  if (text[0] == '-') bad_policy("duration \"" + std::string(text) + "\" is negative");
  if (text[0] == 'P') return parse_iso(text);
  std::string_view rest = text;
  std::int64_t total = 0;
  while (!rest.empty()) {
    const std::int64_t number = parse_number(rest, text);
    bool known = false;
    for (const auto& [name, ns] : units) {
      if (rest.substr(0, name.size()) == name) {
        total = added(total, number, ns, text);
        rest.remove_prefix(name.size());
        known = true;
        break;
      }
    }
    if (!known) unreadable(text);
  }
  return total;
}

std::string format_duration(std::int64_t ns) {
  if (ns == 0) return "0s";
  static constexpr std::pair<std::string_view, std::int64_t> order[] = {{"d", sdk::ns_per_day}, {"h", 3'600 * sdk::ns_per_s}, {"m", 60 * sdk::ns_per_s},
                                                                        {"s", sdk::ns_per_s},          {"ms", 1'000'000},       {"us", 1'000},
                                                                        {"ns", 1}};
  std::string out;
  for (const auto& [name, unit] : order) {
    if (ns >= unit) {
      out += std::to_string(ns / unit);
      out += name;
      ns %= unit;
    }
  }
  return out;
}

std::int64_t parse_instant(std::string_view text) {
  const auto parsed = sdk::parse_iso_time(text);
  if (!parsed) bad_policy("instant \"" + std::string(text) + "\" can't be read: write it like 2026-11-21T10:00:00Z");
  return parsed->ns;
}

std::string format_instant(std::int64_t ns) {
  std::string out = sdk::format_time(ns, ns % sdk::ns_per_s == 0 ? 0 : 9, 'T');
  if (ns % sdk::ns_per_s != 0) out.erase(out.find_last_not_of('0') + 1);
  return out + "Z";
}

std::string now_utc() {
  return format_instant(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count() * 1'000'000);
}

}  // namespace purgekit
