// The heap in physical order, by row address (ctid).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "place.hpp"
#include "purgekit/sdk/error.hpp"
#include "walk.hpp"

namespace purgekit::postgresql {
namespace {

using sdk::Deleted;
using sdk::Error;
using sdk::Range;
using sdk::Rows;
using sdk::Sql;
using sdk::Value;

constexpr int sampled_pages = 16;
constexpr std::int64_t least_pages_of_part = 8;
constexpr std::int64_t pages_of_piece = 256;  // 2 MB, of which the server keeps an answer in memory

// Line of "(page,line)".
std::int64_t line_of(std::string_view tid) {
  const std::size_t comma = tid.find(',');
  std::int64_t line = 0;
  if (comma != std::string_view::npos) std::from_chars(tid.data() + comma + 1, tid.data() + tid.size(), line);
  return line;
}

class TidWalk final : public LeafWalk {
 public:
  TidWalk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid)
      : LeafWalk(session, remover, dialect, table_oid) {
    for (const Leaf& leaf : leaves_) {
      if (!leaf.is_heap()) {
        throw Error(PK_NOT_SUPPORTED, "rows of " + leaf.name + " are not stored in a heap of this server, so they can't be walked by their address");
      }
    }
    // MaxHeapTuplesPerPage of access/htup_details.h: a page header of 24 bytes, at least 24 bytes and a pointer of 4 for a row.
    const sdk::Rows block = session_.query("SELECT pg_catalog.current_setting('block_size')::bigint", {});
    lines_on_page_ = (block.at(0).at(0).i64 - 24) / 28;
  }

  std::vector<std::string> statements() const override {
    if (leaves_.empty()) return {};
    return {remover_.remove_text(leaves_.front(), [&](Sql& out) { add_range(out, {0, 0}, {1, 0}); })};
  }

  // By pages, since a page costs about the same whatever is on it.
  std::vector<std::string> split(std::size_t parts) override {
    read_again();
    std::vector<std::int64_t> pages;
    for (const Leaf& leaf : leaves_) pages.push_back(std::max<std::int64_t>(pages_of(leaf), 0));
    const std::int64_t all = std::accumulate(pages.begin(), pages.end(), std::int64_t{0});
    const std::int64_t pages_of_part = std::max(all / static_cast<std::int64_t>(std::max<std::size_t>(parts, 1)) + 1, least_pages_of_part);
    std::vector<std::string> cuts;
    std::int64_t before = 0;  // pages of the leaves before this one
    for (std::size_t i = 0; i < leaves_.size(); before += pages[i], ++i) {
      // A cut lies within a leaf, never at its first page, which would belong to the part before as well.
      for (std::int64_t page = pages_of_part - before % pages_of_part; page < pages[i]; page += pages_of_part) cuts.push_back(TidPlace{leaves_[i].oid, {page, 0}, pages[i]}.text());
    }
    return cuts;
  }

  void clear_up() override {
    if (!last_) return;
    const Removal last = *std::exchange(last_, std::nullopt);
    Sql sql(dialect_);
    sql << "SELECT count(*) FROM " << remover_.target(last.leaf) << " WHERE ";
    add_range(sql, last.from, last.until);
    session_.fetch(sql);
  }

  Deleted next(const Range& range) override {
    last_.reset();
    const std::optional<TidPlace> known = TidPlace::parse(range.cursor);
    const std::optional<TidPlace> until = TidPlace::parse(range.until);
    if (!until && !range.until.empty()) sdk::detail::bad_cursor();
    if (!known) read_again();
    TidPlace place = known.value_or(TidPlace{});
    for (int empty_pages = 0;;) {
      const Leaf* leaf = leaf_from(place.leaf);
      if (leaf == nullptr || (until && leaf->oid > until->leaf)) return end_of_pass(place.text());
      if (leaf->oid != place.leaf) {
        place = {leaf->oid, {}, std::max<std::int64_t>(pages_of(*leaf), 0)};
        rows_per_page_ = 0;
      }
      if (until && leaf->oid == until->leaf) place.end_page = std::min(place.end_page, until->at.page);
      if (place.at.page >= place.end_page) {
        place = {leaf->oid + 1, {}, 0};
        continue;
      }
      try {
        Deleted out = chunk(*leaf, place, std::max<std::int64_t>(range.max_rows, 1));
        // Pages without a visible row are no chunk worth a transaction, but a call must end.
        if (out.rows_visited == 0 && place.at.page < place.end_page && ++empty_pages < 1000) continue;
        const Leaf* following = leaf_from(leaf->oid + 1);
        out.done = place.at.page >= place.end_page && (following == nullptr || (until && following->oid > until->leaf));
        out.share_done = out.done ? 1 : share(leaf->oid, place.at.page);
        out.cursor = place.text();
        return out;
      } catch (const Error&) {
        rethrow_vanished(*leaf);
      }
    }
  }

 private:
  Deleted chunk(const Leaf& leaf, TidPlace& place, std::int64_t max_rows) {
    if (rows_per_page_ <= 0) rows_per_page_ = density(leaf, place.end_page);
    // One row at a time is how the engine steps over a row: then the number of rows must not be a guess.
    while (place.at.line == 0 && max_rows > 1) {
      const auto pages = static_cast<std::int64_t>(std::floor(static_cast<double>(max_rows) / rows_per_page_));
      if (pages < 1) break;
      std::int64_t last = std::min(place.at.page + pages, place.end_page);
      const auto removed = remove_pages(leaf, place.at.page, last, max_rows);
      if (removed.too_many) continue;
      const double visited = std::ceil(static_cast<double>(last - place.at.page) * rows_per_page_);
      if (removed.rows > 0) last_ = Removal{leaf, place.at, {last, 0}};
      place.at = {last, 0};
      return Deleted{removed.rows, std::clamp(static_cast<std::int64_t>(visited), removed.rows, max_rows), "", false, -1};
    }
    return lines(leaf, place, max_rows);
  }

  // Up to page `last`; when rows went before a piece that proves too long, `last` becomes where they end.
  RangeRemover::Removed remove_pages(const Leaf& leaf, std::int64_t from, std::int64_t& last, std::int64_t max_rows) {
    const std::int64_t step = remover_.gives_rows() ? pages_of_piece : last - from;
    RangeRemover::Removed all;
    for (std::int64_t at = from; at < last; at += step) {
      const std::int64_t end = std::min(at + step, last);
      if (all.rows > 0) remover_.end_piece();
      const auto removed = remover_.remove(leaf, [&](Sql& out) { add_range(out, {at, 0}, {end, 0}); }, max_rows - all.rows);
      if (removed.too_many) {
        // A little above what was found, so that the ups and downs of the pages do not undo the next chunk too.
        rows_per_page_ = 1.05 * static_cast<double>(all.rows + removed.rows) / static_cast<double>(end - from);
        last = at;
        all.too_many = all.rows == 0;
        break;
      }
      all.rows += removed.rows;
    }
    return all;
  }

  // A part of one page. Which rows it visits does not depend on the predicate, so that the engine can step over a row.
  Deleted lines(const Leaf& leaf, TidPlace& place, std::int64_t max_rows) {
    const Address page_end{place.at.page + 1, 0};
    Sql probe(dialect_);
    // Named, because ORDER BY would take a result column of the same name for the row's own.
    probe << "SELECT ctid::text AS purgekit_address FROM " << remover_.target(leaf) << " WHERE ";
    add_range(probe, place.at, page_end);
    probe << " ORDER BY ctid" << dialect_.limit(max_rows);
    const Rows rows = session_.fetch(probe);
    const auto visited = static_cast<std::int64_t>(rows.size());
    const Address end = visited < max_rows ? page_end : Address{place.at.page, line_of(rows.back().at(0).text) + 1};
    std::int64_t deleted = 0;
    if (visited > 0) {
      const auto removed = remover_.remove(leaf, [&](Sql& out) { add_range(out, place.at, end); }, max_rows);
      if (removed.too_many) throw Error(PK_SERIALIZATION, "rows came into the page being purged; the chunk was rolled back and can be tried again");
      deleted = removed.rows;
    }
    place.at = end;
    return Deleted{deleted, visited, "", false, -1};
  }

  // Live rows on a page, from the middle of the leaf; at least one, so that a chunk of a nearly empty heap stays short.
  double density(const Leaf& leaf, std::int64_t end_page) {
    const std::int64_t from = std::max<std::int64_t>(0, (end_page - sampled_pages) / 2);
    const std::int64_t until = std::min(end_page, from + sampled_pages);
    Sql sample(dialect_);
    sample << "SELECT count(*) FROM " << remover_.target(leaf) << " WHERE ";
    add_range(sample, {from, 0}, {until, 0});
    const auto rows = static_cast<double>(session_.fetch(sample).at(0).at(0).i64);
    return std::max(rows / static_cast<double>(std::max<std::int64_t>(until - from, 1)), 1.0);
  }

  // ctid from `from` on and before `until`.
  void add_range(Sql& out, const Address& from, const Address& until) const {
    if (dialect_.server_version() >= tid_range_scan_since) {
      out << "ctid >= ";
      out.bind(Value::string(from.text())) << "::tid AND ctid < ";
      out.bind(Value::string(until.text())) << "::tid";
      return;
    }
    // Older servers have no range scan by address: they are given every address there can be.
    const std::int64_t last_page = until.line > 0 ? until.page : until.page - 1;
    const std::int64_t last_line = until.line > 0 ? until.line - 1 : lines_on_page_;
    out << "ctid = ANY(ARRAY(SELECT pg_catalog.format('(%s,%s)', p, l)::tid FROM pg_catalog.generate_series(";
    out.bind(Value::integer(from.page)) << ", ";
    out.bind(Value::integer(last_page)) << ") AS p, pg_catalog.generate_series(";
    out.bind(Value::integer(std::max<std::int64_t>(from.line, 1))) << ", ";
    out.bind(Value::integer(last_line)) << ") AS l))";
  }

  struct Removal {
    Leaf leaf;
    Address from;
    Address until;
  };

  std::optional<Removal> last_;
  double rows_per_page_ = 0;  // of the leaf the walk is in
  std::int64_t lines_on_page_ = 0;
};

}  // namespace

std::unique_ptr<Walk> make_tid_walk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid) {
  return std::make_unique<TidWalk>(session, remover, dialect, table_oid);
}

}  // namespace purgekit::postgresql
