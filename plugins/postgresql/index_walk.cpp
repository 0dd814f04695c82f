// A time index from its oldest end up to the cutoff: reads little where little is expired.
#include <algorithm>
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

constexpr const char* before_all_rows = "(0,0)";  // lines on a page are numbered from 1

class IndexWalk final : public LeafWalk {
 public:
  IndexWalk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid, std::string column,
            std::string type, Sql bound)
      : LeafWalk(session, remover, dialect, table_oid), column_(std::move(column)), type_(std::move(type)), bound_(std::move(bound)) {}

  std::vector<std::string> statements() const override {
    if (leaves_.empty()) return {};
    const Leaf& leaf = leaves_.front();
    return {value_probe({0, "", IndexEntry{}}, leaf, 1000).text(), remover_.remove_text(leaf, [&](Sql& out) { add_range(out, IndexEntry{}, IndexEntry{}, ""); })};
  }

  Deleted next(const Range& range) override {
    std::optional<IndexPlace> known = IndexPlace::parse(range.cursor);
    if (!known) read_again();
    IndexPlace place = known.value_or(IndexPlace{});
    for (;;) {
      const Leaf* leaf = leaf_from(place.leaf);
      if (leaf == nullptr) return end_of_pass(place.text());
      try {
        if (leaf->oid != place.leaf) {
          const std::optional<std::string> last = last_value(*leaf);
          if (!last) {
            place = {leaf->oid + 1, "", std::nullopt};
            continue;
          }
          place = {leaf->oid, *last, std::nullopt};
        }
        return chunk(*leaf, place, std::max<std::int64_t>(range.max_rows, 1));
      } catch (const Error&) {
        rethrow_vanished(*leaf);
      }
    }
  }

 private:
  Deleted chunk(const Leaf& leaf, IndexPlace place, std::int64_t max_rows) {
    for (std::int64_t rows = max_rows;; rows = std::max<std::int64_t>(rows / 2, 1)) {
      const std::optional<IndexEntry> until = end_of_chunk(place, leaf, rows);
      const auto removed = remover_.remove(leaf, [&](Sql& out) { add_range(out, place.after, until, place.last); }, max_rows);
      if (removed.too_many) {
        if (rows > 1) continue;
        throw Error(PK_SERIALIZATION, "rows came into the range being purged; the chunk was rolled back and can be tried again");
      }
      Deleted out{removed.rows, until ? rows : removed.rows, "", false, -1};
      if (until) {
        place.after = until;
      } else {
        place = {leaf.oid + 1, "", std::nullopt};
        out.done = leaf_from(place.leaf) == nullptr;
        if (out.done) out.share_done = 1;
      }
      out.cursor = place.text();
      return out;
    }
  }

  std::optional<std::string> last_value(const Leaf& leaf) {
    const std::string text = "SELECT max(" + column_ + ")::text FROM " + remover_.target(leaf) + " WHERE " + bound_.text();
    const Rows rows = session_.fetch(bound_.with_text(text));
    if (rows.at(0).at(0).kind == PK_VALUE_NULL) return std::nullopt;
    return rows[0][0].text;
  }

  // The entry that ends a chunk of so many rows; nothing when the range ends before. A cut between two values is read off the
  // index alone; only among rows of one value the rows themselves are looked up.
  std::optional<IndexEntry> end_of_chunk(const IndexPlace& place, const Leaf& leaf, std::int64_t rows) {
    if (rows > 1) {
      const Rows next_value = session_.fetch(value_probe(place, leaf, rows));
      if (next_value.empty()) return std::nullopt;
      if (!place.after || place.after->column != next_value[0].at(0).text) return IndexEntry{next_value[0][0].text, before_all_rows};
    }
    const Rows found = session_.fetch(entry_probe(place, leaf, rows));
    if (found.empty()) return std::nullopt;
    return IndexEntry{found[0].at(0).text, found[0].at(1).text};
  }

  Sql value_probe(const IndexPlace& place, const Leaf& leaf, std::int64_t rows) const {
    Sql sql(dialect_);
    // Named, because ORDER BY would take a result column of the same name for the row's own.
    sql << "SELECT " << column_ << "::text AS purgekit_value FROM " << remover_.target(leaf) << " WHERE " << column_ << " <= ";
    sql.bind(Value::string(place.last)) << "::" << type_;
    if (place.after) {
      sql << " AND " << column_ << " >= ";
      sql.bind(Value::string(place.after->column)) << "::" << type_;
    }
    sql << " ORDER BY " << column_ << dialect_.limit(1, rows);
    return sql;
  }

  Sql entry_probe(const IndexPlace& place, const Leaf& leaf, std::int64_t rows) const {
    Sql sql(dialect_);
    sql << "SELECT " << column_ << "::text AS purgekit_value, ctid::text AS purgekit_address FROM " << remover_.target(leaf) << " WHERE ";
    add_range(sql, place.after, std::nullopt, place.last);
    sql << " ORDER BY " << column_ << ", ctid" << dialect_.limit(1, rows - 1);
    return sql;
  }

  // Behind `after`, up to `until` or else up to the value `last`. The plain bounds serve the index; the pairs place the cut
  // between rows of equal value.
  void add_range(Sql& out, const std::optional<IndexEntry>& after, const std::optional<IndexEntry>& until, const std::string& last) const {
    out << column_ << " <= ";
    out.bind(Value::string(until ? until->column : last)) << "::" << type_;
    if (until) {
      out << " AND (" << column_ << ", ctid) <= (";
      add_entry(out, *until);
    }
    if (!after) return;
    out << " AND " << column_ << " >= ";
    out.bind(Value::string(after->column)) << "::" << type_ << " AND (" << column_ << ", ctid) > (";
    add_entry(out, *after);
  }

  void add_entry(Sql& out, const IndexEntry& entry) const {
    out.bind(Value::string(entry.column)) << "::" << type_ << ", ";
    out.bind(Value::string(entry.ctid)) << "::tid)";
  }

  std::string column_;
  std::string type_;
  Sql bound_;
};

}  // namespace

std::unique_ptr<Walk> make_index_walk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid,
                                      std::string column, std::string type, sdk::Sql bound) {
  return std::make_unique<IndexWalk>(session, remover, dialect, table_oid, std::move(column), std::move(type), std::move(bound));
}

}  // namespace purgekit::postgresql
