// Putting archived rows back: which columns PostgreSQL computes by itself, and what fires meanwhile.
#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Value;

sdk::InsertShape PgConnection::insert_shape(const sdk::Table& table) {
  const Value oid = Value::string(table.identity);
  const std::string generated = line_.server_version() >= 120000 ? "a.attgenerated <> ''" : "false";
  const std::string identity = line_.server_version() >= 100000 ? "a.attidentity <> ''" : "false";
  sdk::InsertShape shape;
  for (const sdk::Row& row : query("SELECT a.attname::text, " + generated + ", " + identity +
                                       ", (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND t.typdefault IS NULL"
                                       ", COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false)"
                                       " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
                                       " LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
                                       " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped",
                                   {oid})) {
    const bool has_identity = row.at(2).i64 != 0;
    shape.has_identity = shape.has_identity || has_identity;
    if (has_identity || row.at(4).i64 != 0) shape.identity.push_back(row.at(0).text);
    if (row.at(1).i64 != 0) shape.generated.push_back(row.at(0).text);
    else if (row.at(3).i64 != 0 && !has_identity) shape.required.push_back(row.at(0).text);
  }
  constexpr const char* fires_on_insert = "4";  // TRIGGER_TYPE_INSERT in catalog/pg_trigger.h
  for (const sdk::Row& row : query(std::string("SELECT t.tgname::text FROM pg_catalog.pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal"
                                               " AND t.tgenabled <> 'D' AND (t.tgtype & ") + fires_on_insert + ") <> 0"
                                       " UNION ALL SELECT 'rule ' || r.rulename FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::oid AND r.ev_type = '3'"
                                       " AND r.ev_enabled <> 'D' ORDER BY 1",
                                   {oid})) {
    shape.triggers.push_back(row.at(0).text);
  }
  return shape;
}

}  // namespace purgekit::postgresql
