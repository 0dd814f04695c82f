// How many rows are left behind a walk by address, counted so that others at work hardly notice.
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "connection.hpp"
#include "place.hpp"

namespace purgekit::postgresql {
namespace {

using sdk::Sql;
using sdk::Value;
using Clock = std::chrono::steady_clock;

// Reading a large table in one go takes the disk from the commits of others, the more so where pages are still to be cleared up and written.
// Measured beside 300 logins a second: 64 to 90 ms for one in a hundred of them, for as long as the count took.
constexpr double slice_ms = 5;
constexpr int rest_for_each = 1;  // slice, in its time
constexpr std::int64_t least_pages = 256;

// What a condition does once for a statement, such as reading another table, it would do for each slice.
bool fits_slices(const pk_predicate& predicate) {
  for (std::uint32_t i = 0; i < predicate.node_count; ++i) {
    if (sdk::node_at(predicate, i).kind == PK_NODE_SQL) return false;
  }
  return !sdk::has_subquery(predicate);
}

}  // namespace

std::int64_t PgConnection::count(const sdk::Purge& purge) {
  const bool fits = purge.walk == tid_walk && line_.server_version() >= tid_range_scan_since && fits_slices(*purge.predicate);
  if (!fits || !spares_others()) return SqlConnection::count(purge);
  // One snapshot, so that no row is missed that moves meanwhile. It locks nothing.
  line_.begin();
  try {
    line_.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", {});
    std::int64_t rows = 0;
    for (const Leaf& leaf : read_leaves(*this, table_oid(purge), line_.server_version())) rows += count_in_slices(purge, leaf);
    line_.rollback();
    return rows;
  } catch (...) {
    line_.rollback();
    throw;
  }
}

std::int64_t PgConnection::count_in_slices(const sdk::Purge& purge, const Leaf& leaf) {
  const auto slice = [&](std::int64_t from, std::optional<std::int64_t> until) {
    Sql sql(dialect_);
    sql << "SELECT COUNT(*) FROM ONLY " << sdk::qualified(dialect_, leaf.schema, leaf.name) << " AS " << dialect_.quote(purge.table) << " WHERE ctid >= ";
    sql.bind(Value::string(Address{from, 0}.text())) << "::tid";
    if (until) {
      sql << " AND ctid < ";
      sql.bind(Value::string(Address{*until, 0}.text())) << "::tid";
    }
    sql << " AND (";
    sdk::render_predicate(sql, *purge.predicate, purge.table);
    sql << ")";
    return fetch(sql).at(0).at(0).i64;
  };
  std::int64_t rows = 0;
  std::int64_t pages = least_pages;
  std::int64_t page = 0;
  while (page + pages < leaf.pages) {
    const Clock::time_point begun = Clock::now();
    rows += slice(page, page + pages);
    const Clock::duration took = Clock::now() - begun;
    std::this_thread::sleep_for(rest_for_each * took);
    page += pages;
    const double took_ms = std::max(0.1, std::chrono::duration<double, std::milli>(took).count());
    pages = std::clamp(static_cast<std::int64_t>(static_cast<double>(pages) * slice_ms / took_ms), least_pages, pages * 2);
  }
  return rows + slice(page, std::nullopt);
}

}  // namespace purgekit::postgresql
