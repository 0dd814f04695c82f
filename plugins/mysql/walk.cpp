#include "walk.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/time_text.hpp"
#include "values_between.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Row;
using sdk::Sql;
using sdk::Value;

constexpr double nowhere = std::numeric_limits<double>::quiet_NaN();

void add_guard(Sql& out, const DeleteShape& shape, const WalkPath& path) {
  pk_predicate guard = *shape.predicate;
  guard.root = *path.guard;
  sdk::render_predicate(out, guard, shape.table->name);
}

// FORCE INDEX: a narrower index would be read whole and sorted.
std::string from_index(const DeleteShape& shape, const WalkPath& path) {
  return " FROM " + sdk::qualified(*shape.dialect, shape.table->schema, shape.table->name) + " FORCE INDEX (" + shape.dialect->quote(path.index) + ")";
}

Sql end_statement(const DeleteShape& shape, const WalkPath& path, bool last) {
  Sql sql(*shape.dialect);
  sql << "SELECT " << column_list(path.columns) << from_index(shape, path);
  if (path.guard) {
    sql << " WHERE ";
    add_guard(sql, shape, path);
  }
  sql << " ORDER BY " << order_by(path.columns, last) << " LIMIT 1";
  return sql;
}

void add_range(Sql& out, const WalkPath& path, bool has_lower) {
  if (has_lower) {
    add_bound(out, path.columns, ">", 0);
    out << " AND ";
  }
  add_bound(out, path.columns, "<=", has_lower ? path.columns.size() : 0);
}

void add_place(Sql& out, const WalkPath& path) {
  for (std::size_t i = 0; i < path.columns.size(); ++i) {
    out << (i > 0 ? " AND " : "") << path.columns[i].sql << " = ";
    out.slot(i, path.columns[i].kind);
  }
}

// The cursor of a scan only counts.
std::int64_t rows_before(const std::string& cursor) {
  const Row row = sdk::decode_row(cursor);
  constexpr std::int64_t most = std::int64_t{1} << 53;
  return row.size() == 1 && row[0].kind == PK_VALUE_INT && row[0].i64 >= 0 && row[0].i64 < most ? row[0].i64 : 0;
}

std::size_t slots_of_range(const WalkPath& path, bool has_lower) { return path.columns.size() * (has_lower ? 2 : 1); }

Sql probe_statement(const DeleteShape& shape, const WalkPath& path, bool has_lower) {
  Sql sql(*shape.dialect);
  sql << "SELECT " << column_list(path.columns) << from_index(shape, path) << " WHERE ";
  add_range(sql, path, has_lower);
  if (path.guard) {
    sql << " AND ";
    add_guard(sql, shape, path);
  }
  sql << " ORDER BY " << order_by(path.columns) << " LIMIT 1 OFFSET ";
  sql.slot(slots_of_range(path, has_lower), PK_COLUMN_INT);
  return sql;
}

Sql cut_statement(const DeleteShape& shape, const WalkPath& path) {
  Sql sql(*shape.dialect);
  sql << "SELECT " << column_list(path.columns) << from_index(shape, path) << " WHERE " << path.columns[0].sql << " >= ";
  sql.slot(0, path.columns[0].kind);
  sql << " ORDER BY " << order_by(path.columns) << " LIMIT 1";
  return sql;
}

}  // namespace

Walk::Walk(sdk::SqlSession& session, const DeleteShape& shape, WalkPath path)
    : session_(session), path_(std::move(path)), rows_estimate_(shape.table->rows_estimate) {
  if (path_.columns.empty()) {
    deletes_.push_back(chunk_delete(shape, nullptr, [](Sql& out) { (out << " LIMIT ").slot(0, PK_COLUMN_INT); }));
    return;
  }
  first_kind_ = path_.columns[0].kind;
  for (const bool last : {false, true}) ends_.push_back(end_statement(shape, path_, last));
  for (const bool has_lower : {false, true}) {
    probes_.push_back(probe_statement(shape, path_, has_lower));
    AddSql tail;
    if (!path_.unique) {
      // Any number of rows may share a place; the limit keeps the chunk to its size.
      tail = [this, has_lower](Sql& out) {
        out << " ORDER BY " << order_by(path_.columns) << " LIMIT ";
        out.slot(slots_of_range(path_, has_lower), PK_COLUMN_INT);
      };
    }
    deletes_.push_back(chunk_delete(shape, [this, has_lower](Sql& out) { add_range(out, path_, has_lower); }, tail));
  }
  if (path_.strategy == "key-range") cut_ = cut_statement(shape, path_);
  if (path_.unique) single_ = chunk_delete(shape, [this](Sql& out) { add_place(out, path_); }, nullptr);
}

Walk::Place Walk::place_of(const std::string& cursor) const {
  Place place{sdk::decode_row(cursor), !cursor.empty()};
  if (place.given && place.row.size() == 1 && place.row[0].kind == PK_VALUE_NULL) place.row.clear();
  if (!place.row.empty() && place.row.size() != path_.columns.size()) {
    throw Error(PK_CORRUPT, "the cursor in the ledger is not one of this walk; nothing was changed: remove the slot row and start over");
  }
  return place;
}

Row Walk::fetch_row(const Sql& sql, const Row& slots) {
  sdk::Rows rows = session_.fetch(sql, slots);
  return rows.empty() ? Row{} : std::move(rows[0]);
}

void Walk::start_pass(bool from_start) {
  end_ = fetch_row(ends_[1]);
  low_ = end_.empty() ? 0 : position(fetch_row(ends_[0]));
  visited_ = from_start ? 0 : -1;
}

// The last row of a chunk, or nothing when the pass ends before.
Row Walk::probe(const Place& place, std::int64_t rows_wanted) {
  Row slots = place.row;
  slots.insert(slots.end(), end_.begin(), end_.end());
  slots.push_back(Value::integer(rows_wanted - 1));
  return fetch_row(probes_[!place.row.empty()], slots);
}

void Walk::count_visited(sdk::Deleted& out, const Row& until) {
  if (visited_ >= 0) visited_ += out.rows_visited;
  out.share_done = out.done ? 1 : share_of(until);
}

sdk::Deleted Walk::next(const sdk::Range& range, const Remove& remove) {
  if (path_.columns.empty()) return scan(range, remove);
  const Place place = place_of(range.cursor);
  if (!range.until.empty()) {
    end_ = place_of(range.until).row;
  } else if (!place.given || end_.empty() || ends_at_cut_) {
    start_pass(!place.given);
  }
  ends_at_cut_ = !range.until.empty();
  if (end_.empty()) return {0, 0, range.cursor, true, 1};

  const std::int64_t wanted = std::max<std::int64_t>(range.max_rows, 1);
  if (wanted == 1 && single_) return next_single(range, place, remove);
  Row until = probe(place, wanted);
  sdk::Deleted out;
  out.done = until.empty();
  if (out.done) until = end_;
  Row slots = place.row;
  slots.insert(slots.end(), until.begin(), until.end());
  slots.push_back(Value::integer(wanted));
  out.rows_deleted = remove(deletes_[!place.row.empty()], slots);
  out.rows_visited = out.done ? out.rows_deleted : wanted;
  if (!path_.unique && out.rows_deleted >= wanted) {
    // The limit may have left rows behind: the same range once more.
    out.done = false;
    out.cursor = range.cursor.empty() ? sdk::encode_row({Value::null()}) : range.cursor;
  } else {
    out.cursor = sdk::encode_row(until);
  }
  count_visited(out, until);
  return out;
}

// The first column's values are taken to lie evenly between the first and the last row; where they do not, parts differ in size
// and whoever is through first takes the next. Each cut is a row that is there, so that they are in the database's own order.
std::vector<std::string> Walk::split(std::size_t parts) {
  if (!cut_) return {};
  const Row first = fetch_row(ends_[0]);
  const Row last = fetch_row(ends_[1]);
  if (first.empty() || last.empty()) return {};
  std::vector<std::string> cuts;
  for (const Value& value : values_between(first[0], last[0], parts)) {
    const Row row = fetch_row(*cut_, {value});
    if (row.empty() || row == first || row == last) continue;
    std::string cut = sdk::encode_row(row);
    if (cuts.empty() || cuts.back() != cut) cuts.push_back(std::move(cut));
  }
  return cuts;
}

// A range scan locks the row behind the range too, to see that it ends there; so a row before a locked one would seem
// blocked itself. By its whole key a row is locked alone.
sdk::Deleted Walk::next_single(const sdk::Range& range, const Place& place, const Remove& remove) {
  const Row until = probe(place, 1);
  sdk::Deleted out;
  out.done = until.empty();
  out.cursor = out.done ? range.cursor : sdk::encode_row(until);
  if (!out.done) out.rows_deleted = remove(*single_, until);
  out.rows_visited = out.done ? 0 : 1;
  count_visited(out, until);
  return out;
}

sdk::Deleted Walk::scan(const sdk::Range& range, const Remove& remove) {
  const std::int64_t wanted = std::max<std::int64_t>(range.max_rows, 1);
  const std::int64_t before = rows_before(range.cursor);
  sdk::Deleted out;
  out.rows_deleted = remove(deletes_[0], {Value::integer(wanted)});
  out.rows_visited = out.rows_deleted;
  out.done = out.rows_deleted < wanted;
  out.cursor = sdk::encode_row({Value::integer(before + out.rows_deleted)});
  return out;
}

// Where a row stands along the first column, or NaN when that is no number and no time.
double Walk::position(const Row& row) const {
  const Value& v = row.at(0);
  switch (v.kind) {
    case PK_VALUE_INT: return static_cast<double>(v.i64);
    case PK_VALUE_UINT: return static_cast<double>(static_cast<std::uint64_t>(v.i64));
    case PK_VALUE_REAL: return v.f64;
    case PK_VALUE_DECIMAL: {
      double number = nowhere;
      std::from_chars(v.text.data(), v.text.data() + v.text.size(), number);
      return number;
    }
    case PK_VALUE_TEXT: {
      const bool time = first_kind_ == PK_COLUMN_DATE || first_kind_ == PK_COLUMN_TIMESTAMP || first_kind_ == PK_COLUMN_TIMESTAMP_ZONED;
      const auto parsed = time ? sdk::parse_iso_time(v.text) : std::nullopt;
      return parsed ? static_cast<double>(parsed->ns) : nowhere;
    }
    default: return nowhere;
  }
}

double Walk::share_of(const Row& row) const {
  double share = -1;
  const double high = position(end_);
  const double here = position(row);
  if (high > low_ && here >= low_) {
    share = (here - low_) / (high - low_);
  } else if (visited_ >= 0 && rows_estimate_ > 0) {
    share = static_cast<double>(visited_) / static_cast<double>(rows_estimate_);
  }
  return share < 0 ? -1 : std::min(share, 1.0);
}

}  // namespace purgekit::mysql
