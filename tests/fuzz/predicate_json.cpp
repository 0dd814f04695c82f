// Rules as JSON: from Python, from plans and from the ledger.
#include "fuzz.hpp"
#include "purgekit/predicate.hpp"

namespace purgekit::fuzz {
namespace {

void run(std::string_view text) {
  const auto rule = accepted([&] { return Predicate::from_json(text); });
  if (!rule) return;
  const std::string printed = rule->to_json();
  const auto again = accepted([&] { return Predicate::from_json(printed); });
  expect(again && *again == *rule, "parse(print(rule)) == rule", printed);
  expect(again->to_json() == printed, "equal rules print as equal text", printed);
  expect(is_one_line(rule->to_text()), "a rule is told in one line", rule->to_text());
  std::vector<std::string> zones;
  collect_zones(*rule, zones);
  for (const std::string& zone : zones) expect(zone != "UTC", "UTC needs no steps", printed);
  expect(Predicate::negation(Predicate::negation(*rule)) == *rule, "twice not is nothing", printed);
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_TEXT(purgekit::fuzz::run)
