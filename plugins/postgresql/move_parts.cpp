#include "move_parts.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "bounds.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::postgresql {

using sdk::Row;
using sdk::Sql;
using sdk::Value;

namespace {

using Names = std::set<std::pair<std::string, std::string>>;

// Schema and name of every relation that a plan reads.
void relations_in(const nlohmann::json& plan, Names& out) {
  if (plan.is_array()) {
    for (const auto& part : plan) relations_in(part, out);
  } else if (plan.is_object()) {
    if (plan.contains("Relation Name")) out.emplace(plan.value("Schema", ""), plan.value("Relation Name", ""));
    for (const char* below : {"Plan", "Plans"}) {
      if (plan.contains(below)) relations_in(plan.at(below), out);
    }
  }
}

}  // namespace

std::string Parts::oids() const {
  std::string out;
  for (const std::vector<Part>* parts : {&leaves, &others}) {
    for (const Part& part : *parts) out += (out.empty() ? "{" : ",") + std::to_string(part.leaf.oid);
  }
  return out + "}";
}

Parts read_parts(sdk::SqlSession& session, std::int64_t table_oid) {
  const sdk::Rows rows = session.query(
      "WITH RECURSIVE tree(oid, parent) AS (SELECT $1::oid, 0::oid UNION ALL"
      " SELECT i.inhrelid, i.inhparent FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)"
      " SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,"
      " COALESCE(pg_catalog.pg_relation_size(c.oid), 0) / pg_catalog.current_setting('block_size')::bigint,"
      " COALESCE(pg_catalog.pg_get_expr(c.relpartbound, c.oid), ''), pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),"
      " pg_catalog.pg_has_role(c.relowner, 'USAGE'), pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'),"
      // A view, a function or a foreign key upon it: DROP would be refused, or would take them along.
      " COALESCE(p.partstrat IN ('r', 'l') AND p.partdefid <> c.oid, false) AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d"
      "   WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid AND d.deptype = 'n')"
      " FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
      " LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = tree.parent ORDER BY c.oid",
      {Value::integer(table_oid)});
  Parts out;
  for (const Row& row : rows) {
    Part part;
    part.leaf.oid = row.at(0).i64;
    part.leaf.schema = row.at(1).text;
    part.leaf.name = row.at(2).text;
    part.leaf.relkind = row.at(3).text.at(0);
    part.leaf.pages = row.at(4).i64;
    part.bound = row.at(5).text;
    part.owner = row.at(6).text;
    part.is_owner = row.at(7).i64 != 0;
    part.may_truncate = row.at(8).i64 != 0;
    part.may_drop = row.at(9).i64 != 0 && part.leaf.oid != table_oid;
    if (part.leaf.oid == table_oid) out.is_partitioned = part.leaf.relkind == 'p';
    (part.leaf.relkind == 'p' ? out.others : out.leaves).push_back(std::move(part));
  }
  return out;
}

// The planner knows what a bound forbids: a leaf that it leaves out of a search for rows that live can't hold any, now or later.
void mark_past(sdk::SqlSession& session, const sdk::Table& table, const pk_predicate& predicate, Parts& parts) {
  const sdk::Dialect& dialect = session.dialect();
  for (const pk_node* node : required_times(predicate)) {
    if (node->lifetime_column.size > 0) continue;  // how long a row lives stands in the row
    const std::string column = dialect.quote(sdk::to_view(node->column));
    Sql search(dialect);
    search << "EXPLAIN (VERBOSE, FORMAT JSON) SELECT 1 FROM " << sdk::qualified(dialect, table.schema, table.name) << " WHERE NOT (" << dialect.counts(column, *node) << " AND ";
    dialect.time_before(search, column, *node, false);
    search << ") OR " << column << " IS NULL";
    const nlohmann::json plan = nlohmann::json::parse(session.fetch(search).at(0).at(0).text, nullptr, false);
    if (plan.is_discarded()) continue;
    Names read;
    relations_in(plan, read);
    for (Part& part : parts.leaves) part.past = part.past || read.count({part.leaf.schema, part.leaf.name}) == 0;
  }
}

std::string move_problem(sdk::SqlSession& session, int server_version, const sdk::Table& table, const Parts& parts, bool drops, const std::string& user) {
  const sdk::Dialect& dialect = session.dialect();
  const std::string otherwise = "; leave out strategy, then rows are deleted in chunks";
  const auto name = [&](const Part& part) { return sdk::qualified(dialect, part.leaf.schema, part.leaf.name); };
  const Value oids = Value::string(parts.oids());
  for (const Part& part : parts.leaves) {
    if (part.leaf.relkind == 'f') return "partition " + name(part) + " is a foreign table; purge it on the server that stores it";
    const bool is_child = part.bound.empty() && (parts.is_partitioned || parts.leaves.size() > 1);
    if (is_child) return "table " + table.name + " and others inherit from one another, and " + name(part) + " is no partition" + otherwise;
  }
  for (const sdk::Reference& r : table.references) {
    return "foreign key " + r.name + " of table " + r.child_table + " refers to it, and PostgreSQL refuses to drop or truncate what is referred to" + otherwise;
  }
  // TRIGGER_TYPE_DELETE and TRIGGER_TYPE_TRUNCATE in catalog/pg_trigger.h.
  const sdk::Rows triggers = session.query(
      "SELECT t.tgname::text, (t.tgtype & 32) <> 0 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY($1::oid[]) AND NOT t.tgisinternal AND t.tgenabled <> 'D'"
      " AND (t.tgtype & 40) <> 0 UNION SELECT 'rule ' || r.rulename, false FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY($1::oid[]) AND r.ev_type = '4'"
      " AND r.ev_enabled <> 'D' ORDER BY 2, 1 LIMIT 1",
      {oids});
  if (!triggers.empty()) {
    const std::string what = triggers[0].at(1).i64 != 0 ? " is made for TRUNCATE, and what it would do is not known" : " on DELETE would not fire";
    return (triggers[0][0].text.rfind("rule ", 0) == 0 ? "" : "trigger ") + triggers[0][0].text + what + otherwise;
  }
  // A DELETE that subscribers see must not become something that they don't see. What is published is a partition or what it belongs to.
  const std::string by_schema =
      server_version >= 150000
          ? " OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid JOIN tree ON tree.oid = c.oid WHERE s.pnpubid = p.oid)"
          : "";
  const sdk::Rows publications = session.query(
      "WITH RECURSIVE tree(oid) AS (SELECT u.oid FROM pg_catalog.unnest($1::oid[]) AS u(oid) UNION"
      " SELECT i.inhparent FROM tree JOIN pg_catalog.pg_inherits i ON i.inhrelid = tree.oid)"
      " SELECT p.pubname::text FROM pg_catalog.pg_publication p WHERE p.pubdelete AND ($2::boolean OR NOT p.pubtruncate) AND (p.puballtables"
      " OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r JOIN tree ON tree.oid = r.prrelid WHERE r.prpubid = p.oid)" +
          by_schema + ") ORDER BY 1 LIMIT 1",
      {oids, Value::boolean(drops)});
  if (!publications.empty()) {
    const std::string what = drops ? "and never a dropped partition: subscribers would keep the rows" : "and no TRUNCATE: subscribers would keep the rows";
    return "publication " + publications[0].at(0).text + " sends deletes to subscribers, " + what + otherwise;
  }
  for (const Part& part : parts.leaves) {
    if (drops && part.may_drop && !part.is_owner) {
      return "partition " + name(part) + " belongs to " + part.owner + ", and only its owner can drop it; an administrator can run: GRANT " + part.owner + " TO " + user + otherwise;
    }
    if (!part.may_truncate) return "this user may not truncate " + name(part) + "; an administrator can run: GRANT TRUNCATE ON " + name(part) + " TO " + user + otherwise;
  }
  return "";
}

}  // namespace purgekit::postgresql
