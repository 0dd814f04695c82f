// What an archive table looks like here, and what this user may do with it.
#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Value;

// format_type writes types as SQL reads them: quoted, and with their schema where the search path does not lead to it.
sdk::SqlConnection::ArchiveShape PgConnection::archive_shape(const sdk::Table& source) {
  ArchiveShape shape;
  for (const sdk::Column& column : source.columns) shape.types.push_back(column.type_name);
  return shape;
}

void PgConnection::archive_rights(const sdk::ArchiveTable& target, sdk::ArchiveInfo& out) {
  const std::string table = sdk::qualified(dialect_, target.schema, target.table);
  const sdk::Row row = query(
                           "SELECT n.oid IS NOT NULL, COALESCE(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false),"
                           " COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false), COALESCE(pg_catalog.has_table_privilege(c.oid, 'INSERT'), false)"
                           " FROM (SELECT pg_catalog.to_regnamespace(pg_catalog.quote_ident($1::text)::text)::oid) AS n(oid)"
                           " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2::text",
                           {Value::string(target.schema), Value::string(target.table)})
                           .at(0);
  const bool usage = row.at(2).i64 != 0;
  out.can_create = usage && row.at(1).i64 != 0;
  out.can_write = usage && row.at(3).i64 != 0;
  if (out.state == PK_ARCHIVE_ABSENT ? out.can_create : out.can_write) return;
  const std::string schema = dialect_.quote(target.schema);
  if (row.at(0).i64 == 0) out.grant_hint += "CREATE SCHEMA " + schema + "; ";
  if (!usage) out.grant_hint += "GRANT USAGE ON SCHEMA " + schema + " TO " + user_ + "; ";
  out.grant_hint += "GRANT SELECT, INSERT ON " + table + " TO " + user_;
}

}  // namespace purgekit::postgresql
