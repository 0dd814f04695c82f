// Names as written to names as stored: exact first, then without regard to case if that is unique.
#include <algorithm>
#include <string>
#include <vector>

#include "catalogue_parts.hpp"
#include "dialect.hpp"
#include "move_names.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Value;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_but_case(const std::string& a, const std::string& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string pick(const std::vector<std::string>& candidates, const std::string& wanted, bool quoted, const std::string& what) {
  std::vector<std::string> similar;
  for (const std::string& candidate : candidates) {
    if (candidate == wanted) return candidate;
    if (!quoted && same_but_case(candidate, wanted)) similar.push_back(candidate);
  }
  if (similar.size() == 1) return similar[0];
  if (similar.empty()) throw Error(PK_NOT_FOUND, "no " + what + wanted + ", or this user may not see it; nothing was changed");
  std::string names;
  for (const std::string& name : similar) names += (names.empty() ? "\"" : "\", \"") + name;
  throw Error(PK_INVALID_ARGUMENT, what + wanted + " could be any of " + names + "\"; write the one that is meant in double quotes");
}

std::vector<std::string> first_column(const sdk::Rows& rows) {
  std::vector<std::string> out;
  for (const sdk::Row& row : rows) out.push_back(row.at(0).text);
  return out;
}

std::string resolve_schema(Line& line, const sdk::TableName& name, const std::string& database) {
  if (!name.schema.empty()) {
    return pick(first_column(line.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA", {})), name.schema, name.schema_quoted, "database ");
  }
  if (database.empty()) {
    throw Error(PK_INVALID_ARGUMENT, "table " + name.name + ": the URL names no database; add /DATABASE to it or write DATABASE." + name.name);
  }
  return database;
}

std::vector<std::string> names_in(Line& line, const std::string& schema) {
  return first_column(line.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME", {Value::string(schema)}));
}

}  // namespace

std::pair<std::string, std::string> resolve_table(Line& line, const sdk::TableName& name, const std::string& database) {
  const std::string schema = resolve_schema(line, name, database);
  try {
    return {schema, pick(names_in(line, schema), name.name, name.name_quoted, "table " + schema + "." )};
  } catch (const Error& e) {
    const std::vector<MoveNames> left = e.code() == PK_NOT_FOUND ? move_leftovers(line, schema, name.name) : std::vector<MoveNames>();
    if (left.empty()) throw;
    // Older servers do not rename two tables as one.
    throw Error(e.code(), "table " + name.name + " is not there, but what a move of it left when its server died: RENAME TABLE " + left.back().aside() + " TO " +
                              sdk::qualified(MysqlDialect(), schema, name.name) + " brings all its rows back");
  }
}

std::vector<std::string> table_names(Line& line, const sdk::TableName& name, const std::string& database) {
  return names_in(line, resolve_schema(line, name, database));
}

}  // namespace purgekit::mysql
