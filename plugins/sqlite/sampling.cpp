#include <algorithm>
#include <cmath>
#include <functional>

#include "connection.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Row;
using sdk::Sql;
using sdk::Value;

constexpr int positions = 50;
constexpr std::int64_t rows_at_position = 100;
constexpr auto budget = std::chrono::milliseconds(200);

/// Visit positions 0 to n-1 spread out from the first on, so that an early end has still seen all parts.
void spread(int n, const std::function<bool(int)>& visit) {
  const int stride = 19;  // has no divisor in common with the number of positions
  for (int i = 0; i < n; ++i) {
    if (!visit(i * stride % n)) return;
  }
}

// Largest first. Numbers and times never meet in one column's samples but through SQLite's free typing.
bool larger(const Value& a, const Value& b) {
  const auto rank = [](const Value& v) { return v.kind == PK_VALUE_REAL ? v.f64 : static_cast<double>(v.i64); };
  return rank(a) > rank(b);
}

}  // namespace

std::int64_t SqliteConnection::count(const sdk::Purge& purge) {
  const Database::Activity activity(db_);
  return SqlConnection::count(purge);
}

std::pair<std::string, std::string> SqliteConnection::along_index(const sdk::Purge& purge) {
  const std::string_view prefix = index_prefix;
  if (purge.walk.rfind(prefix, 0) != 0) return {"", ""};
  return {" INDEXED BY " + dialect_.quote(purge.walk.substr(prefix.size())), ""};
}

std::string SqliteConnection::sample_key(const sdk::Purge& purge) {
  const Database::Activity activity(db_);
  const Described& d = described(purge);
  if (!d.table.key.empty() || d.rowid.empty()) return SqlConnection::sample_key(purge);
  Sql sql(dialect_);
  sql << "SELECT " << d.rowid << " FROM " << table_sql(purge) << along_index(purge).first << " WHERE ";
  sdk::render_predicate(sql, *purge.predicate, purge.table);
  sql << dialect_.limit(1);
  const sdk::Rows rows = fetch(sql);
  return rows.empty() ? "" : "rowid=" + std::to_string(rows[0].at(0).i64);
}

std::vector<Value> SqliteConnection::sample_rows(const sdk::Purge& purge, std::size_t most) {
  const Database::Activity activity(db_);
  return SqlConnection::sample_rows(purge, most);
}

/// From evenly spread positions, each telling how dense the rowids are there and what share of them matches.
std::int64_t SqliteConnection::estimate(const sdk::Purge& purge) {
  const Database::Activity activity(db_);
  const Described& d = described(purge);
  const std::string table = table_sql(purge);
  Sql condition(dialect_);
  sdk::render_predicate(condition, *purge.predicate, purge.table);
  const auto sample = [&](const std::string& from, const Row& bounds, std::int64_t rows) {
    std::pair<std::int64_t, std::int64_t> seen{0, 0};  // rows, matching
    Row params = condition.params();
    params.insert(params.end(), bounds.begin(), bounds.end());
    params.push_back(Value::integer(rows));
    const std::string row_number = d.rowid.empty() ? "0" : d.rowid;
    std::int64_t last = 0;
    db_.for_each("SELECT (" + condition.text() + "), " + row_number + " FROM " + table + from + " LIMIT ?", params, [&](const Row& r) {
      ++seen.first;
      if (r.at(0).kind == PK_VALUE_INT && r.at(0).i64 != 0) ++seen.second;
      last = r.at(1).i64;
      return true;
    });
    return std::pair{seen, last};
  };

  const auto limits = d.rowid.empty() ? std::nullopt : rowid_limits(table, d.rowid);
  if (d.rowid.empty()) {
    const std::int64_t most = positions * rows_at_position;
    const auto [seen, last] = sample("", {}, most);
    if (seen.first < most || d.table.rows_estimate <= 0) return seen.second;
    return static_cast<std::int64_t>(static_cast<double>(d.table.rows_estimate) * static_cast<double>(seen.second) / static_cast<double>(seen.first));
  }
  if (!limits) return 0;
  const double low = static_cast<double>(limits->low);
  const double span = static_cast<double>(limits->high) - low + 1;
  if (span <= positions * rows_at_position) return SqlConnection::count(purge);

  const auto end = Database::Clock::now() + budget;
  double density = 0;
  int visited = 0;
  spread(positions, [&](int i) {
    const double at = std::floor(low + span * i / positions);
    const auto start = at >= 0x1p63 ? limits->high : static_cast<std::int64_t>(at);
    const auto [seen, last] = sample(" NOT INDEXED WHERE " + d.rowid + " >= ? AND " + d.rowid + " <= ? ORDER BY " + d.rowid,
                                     {Value::integer(start), Value::integer(limits->high)}, rows_at_position);
    const double reach = std::max(static_cast<double>(last) - at + 1, 1.0);
    if (seen.first > 0) density += static_cast<double>(seen.second) / reach;
    ++visited;
    return Database::Clock::now() < end;
  });
  return static_cast<std::int64_t>(std::llround(density / visited * span));
}

/// The newest through an index where there is one, then values from all over the table.
std::vector<Value> SqliteConnection::sample_column(const sdk::Purge& purge, const std::string& column) {
  const Database::Activity activity(db_);
  const Described& d = described(purge);
  const auto limits = d.rowid.empty() ? std::nullopt : rowid_limits(table_sql(purge), d.rowid);
  std::vector<Value> out;
  if (!limits) {
    out = SqlConnection::sample_column(purge, column);
  } else {
    const sdk::Column* described_column = d.table.find(column);
    if (described_column == nullptr) throw sdk::Error(PK_NOT_FOUND, "no column " + column + " in " + d.table.name);
    const std::string name = dialect_.quote(column);
    const auto add = [&](const std::string& tail, const Row& params) {
      for (Row& row : db_.query("SELECT " + name + " FROM " + table_sql(purge) + tail, params)) {
        if (auto value = as_sample(std::move(row.at(0)), *described_column)) out.push_back(std::move(*value));
      }
    };
    for (const sdk::Index& index : d.table.indexes) {
      if (!index.partial && !index.columns.empty() && index.columns[0] < d.table.columns.size() && d.table.columns[index.columns[0]].name == column) {
        add(" WHERE " + name + " IS NOT NULL ORDER BY " + name + " DESC LIMIT 1", {});
        break;
      }
    }
    const double span = static_cast<double>(limits->high) - static_cast<double>(limits->low);
    const bool is_small = span < positions * 10;
    add(" NOT INDEXED ORDER BY " + d.rowid + " DESC LIMIT " + std::to_string(is_small ? positions * 10 : 50), {});
    for (int i = 0; i < positions && !is_small; ++i) {
      const auto at = static_cast<std::int64_t>(std::clamp(static_cast<double>(limits->low) + span * i / positions, -0x1p62, 0x1p62));
      add(" NOT INDEXED WHERE " + d.rowid + " >= ? ORDER BY " + d.rowid + " LIMIT 10", {Value::integer(at)});
    }
  }
  // Free typing lets text into a column of numbers, and numbers into one of times: neither says anything about unit or zone.
  const sdk::Column* sampled = d.table.find(column);
  const bool holds_text = sampled != nullptr && sampled->kind == PK_COLUMN_TEXT;
  std::erase_if(out, [holds_text](const Value& v) {
    const bool is_time = v.kind == PK_VALUE_INSTANT || v.kind == PK_VALUE_WALL;
    return holds_text ? !is_time : !is_time && v.kind != PK_VALUE_INT && v.kind != PK_VALUE_REAL;
  });
  std::stable_sort(out.begin(), out.end(), larger);
  return out;
}

}  // namespace purgekit::sqlite
