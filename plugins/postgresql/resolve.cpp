// Names as people write them to relations as the catalogue holds them.
#include <algorithm>

#include "catalogue.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Row;
using sdk::Rows;
using sdk::TableName;
using sdk::Value;

namespace {

std::string people_name(const TableName& name) { return (name.schema.empty() ? "" : name.schema + ".") + name.name; }

// Relations that one could mean by a table's name, in the schemas where it is looked for. `rank` is the place in the search path.
constexpr const char* candidates =
    "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,"
    " COALESCE(pg_catalog.array_position(pg_catalog.current_schemas(false), n.nspname), 0)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND "
    "CASE WHEN $1::text = '' THEN n.nspname = ANY(pg_catalog.current_schemas(false))"
    " WHEN $2::boolean THEN n.nspname = $1::text ELSE pg_catalog.lower(n.nspname::text COLLATE pg_catalog.\"default\") = pg_catalog.lower($1::text) END";

}  // namespace

// A schema that this user may not use is left out of the search path without a word, and the table looks absent.
void Catalogue::explain_unusable_schema(const TableName& name) {
  if (!name.schema.empty()) return;
  const Rows rows = session_.query(
      "SELECT n.nspname::text, pg_catalog.quote_ident(current_user) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
      " WHERE c.relkind IN ('r', 'p') AND pg_catalog.lower(c.relname::text COLLATE pg_catalog.\"default\") = pg_catalog.lower($1::text)"
      " AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND n.nspname::text IN (SELECT pg_catalog.btrim(p.part, ' \"')"
      " FROM pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('search_path'), ',')) AS p(part)) ORDER BY 1 LIMIT 1",
      {Value::string(name.name)});
  if (rows.empty()) return;
  const std::string& schema = rows[0].at(0).text;
  throw Error(PK_PRIVILEGE, "table " + name.name + " lies in schema " + schema + ", which this user may not use; an administrator can run: GRANT USAGE ON SCHEMA " +
                                session_.dialect().quote(schema) + " TO " + rows[0].at(1).text);
}

Catalogue::Found Catalogue::find(const TableName& name) {
  // Names have the collation "C", in which lower() knows ASCII only: both sides must be folded alike.
  const Rows rows = session_.query(std::string(candidates) + " AND pg_catalog.lower(c.relname::text COLLATE pg_catalog.\"default\") = pg_catalog.lower($3::text) ORDER BY 5, 2, 3",
                                   {Value::string(name.schema), Value::boolean(name.schema_quoted), Value::string(name.name)});
  const auto keep = [&](const auto& rule) {
    Rows kept;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(kept), rule);
    return kept;
  };
  const auto schema_is = [&](const Row& r) { return name.schema.empty() || r.at(1).text == name.schema; };
  const auto name_is = [&](const Row& r) { return r.at(2).text == name.name; };
  Rows kept = keep([&](const Row& r) { return schema_is(r) && name_is(r); });
  // As in SQL, the first schema of the search path hides the others.
  if (kept.size() > 1 && name.schema.empty()) kept.resize(1);
  if (kept.empty()) kept = keep([&](const Row& r) { return name.name_quoted ? name_is(r) : schema_is(r); });
  if (kept.empty() && !name.name_quoted) kept = rows;
  if (kept.empty()) throw Error(PK_NOT_FOUND, "there is no table " + people_name(name));
  if (kept.size() > 1) {
    std::string list;
    for (const Row& row : kept) list += (list.empty() ? "\"" : ", \"") + row.at(1).text + "\".\"" + row.at(2).text + "\"";
    throw Error(PK_INVALID_ARGUMENT, "table " + people_name(name) + " could be any of " + list + "; write the one you mean in double quotes");
  }
  const Row& row = kept.front();
  return {row.at(0).i64, row.at(1).text, row.at(2).text, row.at(3).text.at(0)};
}

TableName Catalogue::resolve(const TableName& name) {
  try {
    const Found found = find(name);
    return {found.schema, found.name, true, true};
  } catch (const Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;
    return {};
  }
}

std::vector<std::string> Catalogue::tables(const TableName& name) {
  std::vector<std::string> out;
  for (const Row& row : session_.query(std::string(candidates) + " ORDER BY 5, 2, 3 LIMIT 5000", {Value::string(name.schema), Value::boolean(name.schema_quoted)})) {
    out.push_back(row.at(2).text);
  }
  return out;
}

}  // namespace purgekit::postgresql
