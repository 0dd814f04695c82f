// "schema.table" as an operator writes it, and as messages print it.
#include "fuzz.hpp"
#include "purgekit/policy.hpp"

namespace purgekit::fuzz {
namespace {

void run(std::string_view text) {
  const auto name = accepted([&] { return parse_table_name(text); });
  if (!name) return;
  expect(!name->name.empty(), "a table has a name", text);
  expect(name->name.find('\0') == std::string::npos && name->schema.find('\0') == std::string::npos, "a name holds no NUL", text);
  const std::string printed = table_name_text(name->schema, name->name);
  const auto again = accepted([&] { return parse_table_name(printed); });
  expect(again && again->schema == name->schema && again->name == name->name, "parse(print(name)) == name", printed);
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_TEXT(purgekit::fuzz::run)
