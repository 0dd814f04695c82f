#include "fuses.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"

namespace purgekit {
namespace {

constexpr double most_pct = 1'000'000;

std::int64_t sum_ns(std::int64_t a, std::int64_t b) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  return a > most - b ? most : a + b;
}

std::int64_t age_of(const rule::Time& time, std::int64_t lifetime_ns, std::int64_t grace_ns) {
  if (time.purge_null) return 0;  // of a row without a time nothing is known
  return sum_ns(lifetime_ns, time.grace_ns.value_or(grace_ns));
}

std::string percent_text(double pct) {
  char buffer[400];  // the smallest number has over 300 digits
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, pct, std::chars_format::fixed).ptr) + "%";
}

}  // namespace

double parse_percent(std::string_view text) {
  std::string_view digits = text;
  if (!digits.empty() && digits.back() == '%') digits.remove_suffix(1);
  double pct = -1;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), pct, std::chars_format::fixed);
  if (digits.empty() || problem != std::errc() || end != digits.data() + digits.size() || !(pct >= 0 && pct <= most_pct)) {
    bad_policy("'" + printable(text) + "' is no percentage; write it as 50%");
  }
  return pct;
}

bool parse_approval(std::string_view text) {
  if (text != "required") bad_policy("approval is \"required\" or left out, not '" + printable(text) + "'");
  return true;
}

void write_fuses(const Fuses& fuses, Json& policy) {
  if (fuses.approval_required) policy["approval"] = "required";
  if (fuses.within_pct) policy["within"] = percent_text(*fuses.within_pct);
  if (fuses.min_retention_ns) policy["min_retention"] = format_duration(*fuses.min_retention_ns);
}

Fuses read_fuses(const Json& policy) {
  Fuses out;
  if (policy.contains("approval")) out.approval_required = parse_approval(text_member(policy, "approval", "the policy"));
  if (policy.contains("within")) out.within_pct = parse_percent(text_member(policy, "within", "the policy"));
  if (policy.contains("min_retention")) out.min_retention_ns = duration_of(policy["min_retention"], "min_retention");
  return out;
}

std::int64_t least_age_ns(const Predicate& predicate, std::int64_t grace_ns) {
  const auto& node = predicate.node().rule;
  const auto age = [&](const Predicate& part) { return least_age_ns(part, grace_ns); };
  std::int64_t least = 0;
  if (const auto* r = std::get_if<rule::Expired>(&node)) return age_of(r->time, 0, grace_ns);
  if (const auto* r = std::get_if<rule::Created>(&node)) return age_of(r->time, r->lifetime_ns.value_or(0), grace_ns);
  if (const auto* r = std::get_if<rule::All>(&node)) {
    for (const Predicate& part : r->children) least = std::max(least, age(part));
  } else if (const auto* any = std::get_if<rule::Any>(&node)) {
    least = age(any->children.at(0));
    for (const Predicate& part : any->children) least = std::min(least, age(part));
  }
  return least;
}

void check_fuses(const Policy& policy) {
  if (!policy.fuses.min_retention_ns) return;
  const std::int64_t floor_ns = *policy.fuses.min_retention_ns;
  const std::int64_t age_ns = least_age_ns(policy.where, policy.grace_ns);
  if (age_ns >= floor_ns) return;
  const std::string at = age_ns == 0 ? "of any age" : format_duration(age_ns) + " old (lifetime and grace together)";
  bad_policy("policy " + printable(policy.name) + ": its rule takes rows that are " + at + ", and min_retention keeps them for " + format_duration(floor_ns) +
             ": lengthen lifetime or grace" + (age_ns == 0 ? ", or add a created rule that every row must meet" : ""));
}

}  // namespace purgekit
