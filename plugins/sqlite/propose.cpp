#include <algorithm>
#include <cmath>
#include <cstdio>

#include "connection.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Error;
using sdk::Row;
using sdk::Sql;
using sdk::Value;
using sdk::Walk;

// A row reached through an index costs one page, a row met on the way through the table a part of one. Above this share of the
// rows the table is read as fast.
constexpr double sparse_share = 0.05;
constexpr std::int64_t most_counted = 1'000'000;

std::string percent(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2g %%", share * 100);
  return buffer;
}

/// Comparisons follow the column's collation; an index under another one can't be walked in that order.
bool same_collation(Database& db, const std::string& table, const std::string& column, const std::string& index) {
  const char* collation = nullptr;
  if (sqlite3_table_column_metadata(db.handle(), "main", table.c_str(), column.c_str(), nullptr, &collation, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return false;
  }
  const std::string wanted = collation == nullptr ? "BINARY" : collation;
  const sdk::Rows first = db.query("SELECT 1 FROM pragma_index_xinfo(?, 'main') WHERE seqno = 0 AND coll = ? COLLATE NOCASE",
                                   {Value::string(index), Value::string(wanted)});
  return !first.empty();
}

}  // namespace

std::vector<Walk> SqliteConnection::propose(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t) {
  const Database::Activity activity(db_);
  const Described& d = described(purge);
  const sdk::Table& table = d.table;
  std::vector<Walk> out;
  if (!d.rowid.empty()) {
    out.push_back({"rowid", "rowid-range", "", 1, "ranges of rowids, in the order the rows are stored, each visited once"});
    for (const Bound& bound : upper_bounds(*purge.predicate, dialect_)) {
      for (const sdk::Index& index : table.indexes) {
        const bool leads = !index.columns.empty() && index.columns[0] < table.columns.size() && table.columns[index.columns[0]].name == bound.column;
        if (!leads || index.partial || !same_collation(db_, table.name, bound.column, index.name)) continue;
        const std::int64_t total = rows_total > 0 ? rows_total : table.rows_estimate;
        if (auto walk = index_proposal(purge, index, bound, total)) out.push_back(std::move(*walk));
      }
    }
  } else if (d.key_not_null) {
    out.push_back({"key", "key-range", d.key_index, 1,
                   d.key_index.empty() ? "ranges of the key, since columns hide every name of the rowid" : "ranges of the primary key, in the order the rows are stored"});
  } else {
    throw Error(PK_NOT_SUPPORTED, "table " + table.name + " has columns named rowid, oid and _rowid_ that hide its row numbers, and no key without NULLs to walk "
                                                          "along; add a unique index over NOT NULL columns");
  }
  std::stable_sort(out.begin(), out.end(), [](const Walk& a, const Walk& b) { return a.cost < b.cost; });
  return out;
}

std::optional<Walk> SqliteConnection::index_proposal(const sdk::Purge& purge, const sdk::Index& index, const Bound& bound, std::int64_t rows_total) {
  const std::string name = dialect_.quote(index.name);
  const double total = static_cast<double>(std::max<std::int64_t>(rows_total, 1));
  const auto limit = std::min<std::int64_t>(most_counted, static_cast<std::int64_t>(std::ceil(total * sparse_share)) + 1);
  Sql sql(dialect_);
  sql << "SELECT count(*) FROM (SELECT 1 FROM " << table_sql(purge) << " INDEXED BY " << name << " WHERE ";
  bound.add_to(sql);
  sql << dialect_.limit(limit) << ")";
  std::int64_t rows = 0;
  try {
    rows = fetch(sql).at(0).at(0).i64;
  } catch (const Error& e) {
    if (e.code() == PK_NOT_SUPPORTED) return std::nullopt;  // the planner can't use it for this condition
    throw;
  }
  Walk walk{"index:" + index.name, "index-range", index.name, 2, ""};
  if (rows_total <= 0 || rows >= limit) {
    walk.reason = "the index on " + bound.column + " finds too large a part of the table; reading it in stored order is faster";
    return walk;
  }
  const double share = static_cast<double>(rows) / total;
  // Where equal values have other index columns between them and the rowid, each chunk sorts its equals.
  walk.cost = share / sparse_share + (index.columns.size() > 1 ? 0.002 : 0.001);
  walk.reason = "about " + percent(share) + " of the rows lie in the range of " + bound.column + " that can match; its index finds them";
  return walk;
}

}  // namespace purgekit::sqlite
