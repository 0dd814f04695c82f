#include "declared.hpp"

#include <string_view>

#include "catalogue.hpp"

namespace purgekit::sqlite {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

/// Next word, quoted name or sign of SQL text, in lower case; comments are skipped. Empty at the end.
std::string next_token(std::string_view sql, std::size_t& at) {
  for (;;) {
    while (at < sql.size() && is_space(sql[at])) ++at;
    const std::string_view two = sql.substr(at, 2);
    if (two != "--" && two != "/*") break;
    const std::string_view end = two == "--" ? "\n" : "*/";
    const std::size_t found = sql.find(end, at + 2);
    at = found == std::string_view::npos ? sql.size() : found + end.size();
  }
  const std::size_t start = at;
  if (at >= sql.size()) return "";
  const char open = sql[at];
  const char close = open == '[' ? ']' : open;
  if (open == '"' || open == '\'' || open == '`' || open == '[') {
    for (++at; at < sql.size(); ++at) {
      if (sql[at] != close) continue;
      if (open == '[' || at + 1 >= sql.size() || sql[at + 1] != close) break;
      ++at;  // a doubled quote stands for itself
    }
    if (at < sql.size()) ++at;
    return "\"";
  }
  static constexpr std::string_view signs = "(),.;\"'`[";
  if (signs.find(open) != std::string_view::npos) return std::string(1, sql[at++]);
  while (at < sql.size() && !is_space(sql[at]) && signs.find(sql[at]) == std::string_view::npos) ++at;
  return lower(std::string(sql.substr(start, at - start)));
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

bool fires_on(const std::string& event, const std::string& create_trigger) {
  std::size_t at = 0;
  std::string token = next_token(create_trigger, at);  // CREATE
  while (!token.empty() && token != "trigger") token = next_token(create_trigger, at);
  next_token(create_trigger, at);  // its name, whatever word that is
  token = next_token(create_trigger, at);
  while (token == "before" || token == "after" || token == "instead" || token == "of") token = next_token(create_trigger, at);
  return token == event;
}

// The order of the tests is SQLite's own ("Determination Of Column Affinity"), with dates and booleans told apart first: they
// would have numeric affinity, which keeps ISO text as it is.
pk_column_kind column_kind(const std::string& declared_type) {
  const std::string type = lower(declared_type);
  if (type.empty() || type == "any") return PK_COLUMN_ANY;
  if (has(type, "date") || has(type, "timestamp") || type == "time") return PK_COLUMN_TEXT;
  if (type.rfind("bool", 0) == 0) return PK_COLUMN_BOOL;
  if (has(type, "int")) return PK_COLUMN_INT;
  if (has(type, "char") || has(type, "clob") || has(type, "text") || type.rfind("string", 0) == 0 || has(type, "json")) return PK_COLUMN_TEXT;
  if (has(type, "blob") || type.rfind("binary", 0) == 0 || type.rfind("varbinary", 0) == 0) return PK_COLUMN_BYTES;
  if (has(type, "real") || has(type, "floa") || has(type, "doub")) return PK_COLUMN_REAL;
  // Other names have numeric affinity, but people write UUID or XML as well, and SQLite stores what comes.
  return has(type, "num") || has(type, "dec") || has(type, "money") ? PK_COLUMN_DECIMAL : PK_COLUMN_ANY;
}

}  // namespace purgekit::sqlite
