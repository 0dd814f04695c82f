#include "sizes.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "declared.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Row;
using sdk::Value;

constexpr auto sizes_budget = std::chrono::milliseconds(40);  // for the table, and once more for all its indexes

struct Pages {
  std::int64_t bytes = 0;
  std::int64_t rows = 0;
  bool complete = false;
};

/// Goes through the pages of a b-tree until the time is up.
Pages count_pages(Database& db, const std::string& tree, bool rows_on_leaves_only, Database::Clock::time_point end) {
  Pages pages;
  pages.complete = db.for_each("SELECT pgsize, ncell, pagetype FROM dbstat WHERE schema = 'main' AND name = ?", {Value::string(tree)}, [&](const Row& r) {
    pages.bytes += r.at(0).i64;
    if (!rows_on_leaves_only || r.at(2).text == "leaf") pages.rows += r.at(1).i64;
    return Database::Clock::now() < end;
  });
  return pages;
}

std::int64_t extrapolated(const Pages& pages, std::int64_t rows) {
  if (pages.complete) return pages.bytes;
  if (rows <= 0 || pages.rows <= 0) return -1;
  const double share = static_cast<double>(rows) / static_cast<double>(pages.rows);
  return static_cast<std::int64_t>(static_cast<double>(pages.bytes) * std::max(share, 1.0));
}

/// Rows when ANALYZE last ran, or -1.
std::int64_t analyzed_rows(Database& db, const std::string& table) {
  try {
    std::int64_t rows = -1;
    for (const Row& r : db.query("SELECT stat FROM main.sqlite_stat1 WHERE tbl = ? COLLATE NOCASE", {Value::string(table)})) {
      rows = std::max<std::int64_t>(rows, std::strtoll(r.at(0).text.c_str(), nullptr, 10));
    }
    return rows;
  } catch (const sdk::Error& e) {
    if (e.code() == PK_NOT_FOUND) return -1;  // ANALYZE never ran
    throw;
  }
}

/// Distance between first and last rowid: never below the number of rows. -1 when there is no rowid.
std::int64_t rowid_span(Database& db, const std::string& table, const std::string& rowid) {
  if (rowid.empty()) return -1;
  const std::string quoted = quote_name(table);
  const sdk::Rows rows = db.query("SELECT (SELECT min(" + rowid + ") FROM " + quoted + "), (SELECT max(" + rowid + ") FROM " + quoted + ")");
  const Value& low = rows.at(0).at(0);
  const Value& high = rows.at(0).at(1);
  if (low.kind != PK_VALUE_INT || high.kind != PK_VALUE_INT) return 0;
  const double span = static_cast<double>(high.i64) - static_cast<double>(low.i64) + 1;
  return span < 1e15 ? static_cast<std::int64_t>(span) : -1;
}

std::int64_t guessed_rows(Database& db, const std::string& table, const std::string& rowid) {
  const std::int64_t analyzed = analyzed_rows(db, table);
  const std::int64_t span = rowid_span(db, table, rowid);
  if (analyzed < 0 || span < 0) return std::max(analyzed, span);
  return std::min(analyzed, span);
}

}  // namespace

void read_sizes(Database& db, sdk::Table& table, const std::string& rowid) {
  table.rows_estimate = guessed_rows(db, table.name, rowid);
  try {
    const Pages pages = count_pages(db, table.name, table.storage == "rowid", Database::Clock::now() + sizes_budget);
    if (pages.complete) table.rows_estimate = pages.rows;
    table.bytes = extrapolated(pages, table.rows_estimate);
    table.index_bytes = 0;
    const auto share = sizes_budget / std::max<std::size_t>(table.indexes.size(), 1);
    for (const sdk::Index& index : table.indexes) {
      const std::int64_t bytes = extrapolated(count_pages(db, index.name, false, Database::Clock::now() + share), table.rows_estimate);
      if (bytes < 0) table.index_bytes = -1;
      if (table.index_bytes >= 0) table.index_bytes += bytes;
    }
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;  // this SQLite was built without dbstat
    table.bytes = -1;
    table.index_bytes = -1;
  }
}

}  // namespace purgekit::sqlite
