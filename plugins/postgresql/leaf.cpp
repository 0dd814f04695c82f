#include "leaf.hpp"

#include "purgekit/sdk/value.hpp"

namespace purgekit::postgresql {

using sdk::Row;
using sdk::Value;

std::vector<Leaf> read_leaves(sdk::SqlSession& session, std::int64_t table_oid, int server_version) {
  // pg_inherits holds partitions and old-style children alike, in every version.
  const std::string access_method = server_version >= 120000 ? "a.amname::text" : "CASE WHEN c.relkind = 'r' THEN 'heap' ELSE '' END";
  const std::string join = server_version >= 120000 ? " LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam" : "";
  const sdk::Rows rows = session.query(
      "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)"
      " SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, COALESCE(" + access_method + ", ''),"
      " COALESCE(pg_catalog.pg_relation_size(c.oid), 0) / pg_catalog.current_setting('block_size')::bigint,"
      " pg_catalog.has_table_privilege(c.oid, 'SELECT'), pg_catalog.has_table_privilege(c.oid, 'DELETE'),"
      " pg_catalog.has_table_privilege(c.oid, 'UPDATE'),"
      " EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND (g.tgtype & 8) <> 0)"
      " FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" + join +
      " WHERE c.relkind IN ('r', 'f') ORDER BY c.oid",
      {Value::integer(table_oid)});
  std::vector<Leaf> leaves;
  for (const Row& row : rows) {
    Leaf leaf;
    leaf.oid = row.at(0).i64;
    leaf.schema = row.at(1).text;
    leaf.name = row.at(2).text;
    leaf.relkind = row.at(3).text.at(0);
    leaf.access_method = row.at(4).text;
    leaf.pages = row.at(5).i64;
    leaf.may_select = row.at(6).i64 != 0;
    leaf.may_delete = row.at(7).i64 != 0;
    leaf.may_update = row.at(8).i64 != 0;
    leaf.has_delete_triggers = row.at(9).i64 != 0;
    leaves.push_back(std::move(leaf));
  }
  return leaves;
}

}  // namespace purgekit::postgresql
