#include "catalogue.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Row;
using sdk::Table;
using sdk::Value;

namespace {

pk_column_kind kind_of(const std::string& base_type, const std::string& type_class) {
  static constexpr std::pair<std::string_view, pk_column_kind> kinds[] = {
      {"int2", PK_COLUMN_INT},       {"int4", PK_COLUMN_INT},          {"int8", PK_COLUMN_INT},   {"oid", PK_COLUMN_INT},
      {"numeric", PK_COLUMN_DECIMAL}, {"float4", PK_COLUMN_REAL},      {"float8", PK_COLUMN_REAL}, {"bool", PK_COLUMN_BOOL},
      {"text", PK_COLUMN_TEXT},      {"varchar", PK_COLUMN_TEXT},      {"bpchar", PK_COLUMN_TEXT}, {"name", PK_COLUMN_TEXT},
      {"char", PK_COLUMN_TEXT},      {"citext", PK_COLUMN_TEXT},       {"bytea", PK_COLUMN_BYTES}, {"date", PK_COLUMN_DATE},
      {"timestamp", PK_COLUMN_TIMESTAMP}, {"timestamptz", PK_COLUMN_TIMESTAMP_ZONED}, {"time", PK_COLUMN_TIME}, {"timetz", PK_COLUMN_TIME},
      {"uuid", PK_COLUMN_UUID},      {"bit", PK_COLUMN_BIT},           {"varbit", PK_COLUMN_BIT}};
  if (type_class == "e") return PK_COLUMN_TEXT;  // an enum is compared by its labels
  const auto* found = std::find_if(std::begin(kinds), std::end(kinds), [&](const auto& k) { return k.first == base_type; });
  return found == std::end(kinds) ? PK_COLUMN_OTHER : found->second;
}

// "1 3 0", as an int2vector prints itself.
std::vector<std::int16_t> numbers_in(std::string_view text) {
  std::vector<std::int16_t> out;
  while (!text.empty()) {
    std::int16_t number = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
    out.push_back(number);
    text.remove_prefix(std::min(static_cast<std::size_t>(end - text.data()) + 1, text.size()));
  }
  return out;
}

std::vector<std::string> names_in(const std::string& json) { return nlohmann::json::parse(json).get<std::vector<std::string>>(); }

}  // namespace

Catalogue::Found Catalogue::find_or_explain(const sdk::TableName& name) {
  try {
    return find(name);
  } catch (const Error& e) {
    if (e.code() == PK_NOT_FOUND) explain_unusable_schema(name);
    throw;
  }
}

Table Catalogue::describe(const sdk::TableName& name) {
  const Found found = find_or_explain(name);
  Table table;
  table.schema = found.schema;
  table.name = found.name;
  table.identity = std::to_string(found.oid);
  table.kind = found.relkind == 'v' || found.relkind == 'm' ? PK_TABLE_VIEW : found.relkind == 'f' ? PK_TABLE_FOREIGN : PK_TABLE_BASE;
  if (found.schema == "pg_catalog" || found.schema == "information_schema" || found.schema == "pg_toast") table.kind = PK_TABLE_SYSTEM;
  read_columns(found, table);
  read_indexes(found, table);
  const std::vector<Leaf> leaves = read_leaves(session_, found.oid, server_version_);
  read_rights(found, leaves, table);
  read_storage(found, leaves, table);
  return table;
}

void Catalogue::read_columns(const Found& found, Table& table) {
  // A domain is what it stands on, however many domains lie between.
  const sdk::Rows rows = session_.query(
      "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), b.typname::text, b.typtype::text,"
      " NOT (a.attnotnull OR t.typnotnull), a.attnum FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
      " JOIN LATERAL (WITH RECURSIVE base(oid) AS (SELECT t.oid UNION ALL SELECT d.typbasetype FROM base JOIN pg_catalog.pg_type d"
      " ON d.oid = base.oid WHERE d.typtype = 'd') SELECT u.typname, u.typtype FROM base JOIN pg_catalog.pg_type u ON u.oid = base.oid"
      " WHERE u.typtype <> 'd') b ON true"
      " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
      {Value::integer(found.oid)});
  numbers_.clear();
  for (const Row& row : rows) {
    table.columns.push_back({row.at(0).text, row.at(1).text, kind_of(row.at(2).text, row.at(3).text), row.at(4).i64 != 0});
    numbers_.push_back(static_cast<std::int16_t>(row.at(5).i64));
  }
}

void Catalogue::read_indexes(const Found& found, Table& table) {
  // Columns behind INCLUDE are no part of the order, so the count of key columns matters (PostgreSQL 11 and later).
  const std::string key_count = server_version_ >= 110000 ? "i.indnkeyatts" : "i.indnatts";
  const sdk::Rows rows = session_.query(
      "SELECT c.relname::text, i.indkey::text, " + key_count + ", i.indisunique, i.indpred IS NOT NULL, i.indisprimary, i.indimmediate"
      " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam"
      " WHERE i.indrelid = $1::oid AND i.indisvalid AND m.amname = 'btree' ORDER BY i.indisprimary DESC, c.relname",
      {Value::integer(found.oid)});
  for (const Row& row : rows) {
    sdk::Index index;
    index.name = row.at(0).text;
    std::vector<std::int16_t> numbers = numbers_in(row.at(1).text);
    numbers.resize(std::min(numbers.size(), static_cast<std::size_t>(row.at(2).i64)));
    for (const std::int16_t number : numbers) {
      const auto at = std::find(numbers_.begin(), numbers_.end(), number);
      index.columns.push_back(at == numbers_.end() ? sdk::Index::expression : static_cast<std::uint32_t>(at - numbers_.begin()));
    }
    index.unique = row.at(3).i64 != 0;
    index.partial = row.at(4).i64 != 0;
    const bool all_not_null = std::all_of(index.columns.begin(), index.columns.end(), [&](std::uint32_t position) {
      return position != sdk::Index::expression && !table.columns[position].nullable;
    });
    const bool serves = row.at(5).i64 != 0 || (index.unique && !index.partial && row.at(6).i64 != 0 && all_not_null);
    if (table.key.empty() && serves) table.key = index.columns;
    table.indexes.push_back(std::move(index));
  }
}

void Catalogue::read_references(const std::string& oids, Table& table) {
  // Constraints that stand for another one of the same table (partitions) are left out; to_jsonb reads columns that older
  // versions do not have.
  const sdk::Rows rows = session_.query(
      "SELECT k.conname::text, n.nspname::text, c.relname::text, k.confdeltype::text,"
      " (SELECT pg_catalog.json_agg(a.attname ORDER BY u.n) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(attnum, n)"
      "   JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum)::text,"
      " (SELECT pg_catalog.json_agg(a.attname ORDER BY u.n) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(attnum, n)"
      "   JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum)::text,"
      " EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL"
      "   AND (i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey"
      "   AND (i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] <@ k.conkey),"
      " COALESCE((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true)"
      " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
      " WHERE k.contype = 'f' AND k.confrelid = ANY($1::oid[]) AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint p"
      "   WHERE p.oid = COALESCE((pg_catalog.to_jsonb(k) ->> 'conparentid')::oid, 0) AND p.confrelid = ANY($1::oid[]))"
      " ORDER BY 2, 3, 1",
      {Value::string(oids)});
  for (const Row& row : rows) {
    sdk::Reference reference;
    reference.name = row.at(0).text;
    reference.child_schema = row.at(1).text;
    reference.child_table = row.at(2).text;
    switch (row.at(3).text.at(0)) {
      case 'c': reference.action = PK_FK_CASCADE; break;
      case 'n': reference.action = PK_FK_SET_NULL; break;
      case 'd': reference.action = PK_FK_SET_DEFAULT; break;
      default: reference.action = PK_FK_RESTRICT; break;
    }
    reference.child_columns = names_in(row.at(4).text);
    reference.parent_columns = names_in(row.at(5).text);
    reference.child_indexed = row.at(6).i64 != 0;
    reference.enforced = row.at(7).i64 != 0;
    table.references.push_back(std::move(reference));
  }
}

void Catalogue::read_triggers(const std::string& oids, Table& table) {
  constexpr const char* fires_on_delete = "8";  // TRIGGER_TYPE_DELETE in catalog/pg_trigger.h
  const sdk::Rows rows = session_.query(
      std::string("SELECT DISTINCT t.tgname::text FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY($1::oid[]) AND NOT t.tgisinternal"
                  " AND t.tgenabled <> 'D' AND (t.tgtype & ") + fires_on_delete + ") <> 0"
      " UNION SELECT DISTINCT 'rule ' || r.rulename FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY($1::oid[]) AND r.ev_type = '4'"
      " AND r.ev_enabled <> 'D' ORDER BY 1",
      {Value::string(oids)});
  for (const Row& row : rows) table.delete_triggers.push_back(row.at(0).text);
}

void Catalogue::read_rights(const Found& found, const std::vector<Leaf>& leaves, Table& table) {
  const sdk::Rows rows = session_.query(
      "SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE'), pg_catalog.has_table_privilege(c.oid, 'SELECT'),"
      " pg_catalog.has_table_privilege(c.oid, 'DELETE'), pg_catalog.row_security_active(c.oid), pg_catalog.quote_ident(current_user)"
      " FROM pg_catalog.pg_class c WHERE c.oid = $1::oid",
      {Value::integer(found.oid)});
  if (rows.empty()) throw Error(PK_NOT_FOUND, "table " + found.name + " was dropped while it was being described");
  const sdk::Dialect& dialect = session_.dialect();
  const std::string user = rows[0].at(4).text;
  const bool usage = rows[0].at(0).i64 != 0;
  table.can_select = usage && rows[0].at(1).i64 != 0;
  table.can_delete = usage && rows[0].at(2).i64 != 0;
  table.rows_hidden = rows[0].at(3).i64 != 0;
  if (!usage) table.grant_hint += "GRANT USAGE ON SCHEMA " + dialect.quote(found.schema) + " TO " + user + "; ";
  const auto need = [&](const std::string& schema, const std::string& name, bool may_select, bool may_delete) {
    if (may_select && may_delete) return;
    table.grant_hint += "GRANT SELECT, DELETE ON " + sdk::qualified(dialect, schema, name) + " TO " + user + "; ";
  };
  need(found.schema, found.name, rows[0].at(1).i64 != 0, rows[0].at(2).i64 != 0);
  // Partitions are purged under their own names, because a row's address is unique only within one of them.
  for (const Leaf& leaf : leaves) {
    if (leaf.oid == found.oid) continue;
    table.can_select = table.can_select && leaf.may_select;
    table.can_delete = table.can_delete && leaf.may_delete;
    need(leaf.schema, leaf.name, leaf.may_select, leaf.may_delete);
  }
  while (!table.grant_hint.empty() && table.grant_hint.back() == ' ') table.grant_hint.pop_back();
}

void Catalogue::read_storage(const Found& found, const std::vector<Leaf>& leaves, Table& table) {
  std::string oids = "{" + std::to_string(found.oid);
  std::int64_t pages = 0;
  for (const Leaf& leaf : leaves) {
    if (leaf.oid != found.oid) {
      oids += "," + std::to_string(leaf.oid);
      ++table.partition_count;
    }
    pages += leaf.pages;
  }
  oids += "}";
  table.storage = leaves.empty() ? "none" : leaves.front().relkind == 'f' ? "foreign" : leaves.front().access_method;
  read_references(oids, table);
  read_triggers(oids, table);
  const sdk::Rows sizes = session_.query(
      "SELECT COALESCE(SUM(pg_catalog.pg_table_size(oid)), 0)::bigint, COALESCE(SUM(pg_catalog.pg_indexes_size(oid)), 0)::bigint"
      " FROM pg_catalog.unnest($1::oid[]) AS t(oid)",
      {Value::string(oids)});
  table.bytes = sizes.at(0).at(0).i64;
  table.index_bytes = sizes.at(0).at(1).i64;
  if (pages == 0) {
    table.rows_estimate = table.kind == PK_TABLE_BASE ? 0 : -1;
  } else if (table.can_select && !table.rows_hidden) {
    table.rows_estimate = planned_rows("SELECT 1 FROM " + sdk::qualified(session_.dialect(), found.schema, found.name), {});
  }
}

std::int64_t Catalogue::planned_rows(const std::string& select, const std::vector<Value>& params) {
  const sdk::Rows rows = session_.query("EXPLAIN (FORMAT JSON) " + select, params);
  const nlohmann::json plan = nlohmann::json::parse(rows.at(0).at(0).text, nullptr, false);
  if (plan.is_discarded() || !plan.is_array() || plan.empty()) return -1;
  return static_cast<std::int64_t>(plan[0].value("Plan", nlohmann::json::object()).value("Plan Rows", -1.0));
}

}  // namespace purgekit::postgresql
