// Whole policies as JSON.
#include "fuzz.hpp"
#include "purgekit/policy.hpp"

namespace purgekit::fuzz {
namespace {

void run(std::string_view text) {
  const auto policy = accepted([&] { return Policy::from_json(text); });
  if (!policy) return;
  expect(policy->grace_ns >= 0, "grace is not negative", text);
  const std::string printed = policy->to_json();
  const auto again = accepted([&] { return Policy::from_json(printed); });
  expect(again && *again == *policy, "parse(print(policy)) == policy", printed);
  expect(again->to_json() == printed, "equal policies print as equal text", printed);
  expect(is_one_line(policy->deletable().to_text()), "what is deletable is told in one line", printed);
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_TEXT(purgekit::fuzz::run)
