#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <limits>

#include "connection.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Deleted;
using sdk::Error;
using sdk::Range;
using sdk::Row;
using sdk::Sql;
using sdk::Value;

// `numbers` are the positions of row ids.
Row read_cursor(const Range& range, std::size_t members, std::initializer_list<std::size_t> numbers) {
  Row row = sdk::decode_row(range.cursor);
  const bool fits = row.size() == members && std::all_of(numbers.begin(), numbers.end(), [&](std::size_t at) { return row[at].kind == PK_VALUE_INT; });
  if (!fits) throw Error(PK_CORRUPT, "the cursor in the ledger belongs to another way through the table; start this purge afresh");
  return row;
}

double share_of(const Value& at, const Value& low, const Value& high) {
  const auto number = [](const Value& v) { return v.kind == PK_VALUE_INT ? static_cast<double>(v.i64) : v.f64; };
  for (const Value* v : {&at, &low, &high}) {
    if (v->kind != PK_VALUE_INT && v->kind != PK_VALUE_REAL) return -1;
  }
  const double span = number(high) - number(low);
  return span > 0 ? std::clamp((number(at) - number(low)) / span, 0.0, 1.0) : 1.0;
}

}  // namespace

std::vector<std::string> SqliteConnection::prepare(const sdk::Purge& purge) {
  const Database::Activity activity(db_);
  const Described& d = described(purge);
  budget_.reset();
  foreign_keys_.clear();
  triggers_ = d.table.delete_triggers;
  for (const sdk::Reference& reference : d.table.references) {
    if (reference.action == PK_FK_RESTRICT) foreign_keys_.push_back(reference.name);
  }
  if (in_stroke_) end_stroke(false);
  stroke_.reset();
  if (purge.walk == swap_walk || purge.walk == truncate_walk) return prepare_stroke(purge);
  std::vector<std::string> statements;
  if (purge.walk == sdk::keys_walk) {
    way_ = Way::key;
    hint_.clear();
    return SqlConnection::prepare(purge);  // made anew for each call, and checked by it
  }
  if (purge.walk == "key") {
    way_ = Way::key;
    hint_ = d.key_index.empty() ? "" : " INDEXED BY " + dialect_.quote(d.key_index);
    statements = SqlConnection::prepare(purge);
  } else {
    prepare_common(purge);
    rowid_ = d.rowid;
    if (rowid_.empty()) throw Error(PK_SCHEMA_CHANGED, "table " + purge.table + " has no rowid any more; plan again");
    if (purge.walk == "rowid") {
      way_ = Way::rowid;
      hint_ = " NOT INDEXED";  // allows the rowid itself, and nothing that would be searched anew for each chunk
      add_statement(statements, rowid_delete());
    } else if (purge.walk.rfind(index_prefix, 0) == 0) {
      way_ = Way::index;
      const std::string name = purge.walk.substr(std::string(index_prefix).size());
      const auto index = std::find_if(d.table.indexes.begin(), d.table.indexes.end(), [&](const sdk::Index& i) { return i.name == name; });
      if (index == d.table.indexes.end() || index->columns.empty() || index->columns[0] >= d.table.columns.size()) {
        throw Error(PK_SCHEMA_CHANGED, "index " + name + " of table " + purge.table + " is gone; plan again");
      }
      const sdk::Column& column = d.table.columns[index->columns[0]];
      index_walk_ = {name, dialect_.quote(column.name), column.kind, std::nullopt};
      for (Bound& bound : upper_bounds(*purge.predicate, dialect_)) {
        if (bound.column == column.name && !index_walk_.bound) index_walk_.bound = std::move(bound);
      }
      hint_ = " INDEXED BY " + dialect_.quote(name);
      add_statement(statements, index_delete(false));
    } else {
      throw Error(PK_INVALID_ARGUMENT, "unknown walk " + purge.walk + " for SQLite");
    }
    add_child_statements(statements);
  }
  if (archives_.empty()) {  // a plan is made before its archive tables are
    for (const std::string& statement : statements) db_.check(statement);
  }
  return statements;
}

sdk::SharedSlot SqliteConnection::slot_share(const std::string& key) {
  const Database::Activity activity(db_);
  return SqlConnection::slot_share(key);
}

void SqliteConnection::begin(const std::string& key, std::int64_t epoch, std::int64_t seq) {
  const Database::Activity activity(db_);
  open_chunk_ = {};
  if (stroke_) {
    begin_stroke(key, epoch, seq);
    return;
  }
  if (!budget_) budget_.emplace();
  if (const auto room_bytes = db_.make_room(budget_->wanted_bytes())) budget_->set_limit(*room_bytes);
  else budget_.reset();
  db_.written_bytes();
  SqlConnection::begin(key, epoch, seq);
}

void SqliteConnection::note_add(const std::string& kind, const sdk::RunRecord& note) {
  const Database::Activity activity(db_);
  if (in_stroke_ && stroke_->copies()) stroke_->copied_ledger().add_note(kind, note);
  else SqlConnection::note_add(kind, note);
}

void SqliteConnection::checkpoint(const sdk::Slot& slot) {
  const Database::Activity activity(db_);
  if (in_stroke_ && stroke_->copies()) stroke_->copied_ledger().checkpoint(slot);
  else SqlConnection::checkpoint(slot);
}

void SqliteConnection::commit() {
  const Database::Activity activity(db_);
  if (in_stroke_ && stroke_->copies()) stroke_->commit_copy();
  else SqlConnection::commit();
  if (in_stroke_) end_stroke(true);
  if (budget_) budget_->record(open_chunk_.rows_visited, open_chunk_.rows_deleted, db_.written_bytes());
  open_chunk_ = {};
}

void SqliteConnection::rollback() {
  const Database::Activity activity(db_);
  open_chunk_ = {};
  SqlConnection::rollback();
  if (in_stroke_) end_stroke(false);
}

Deleted SqliteConnection::delete_range(const Range& range) {
  const Database::Activity activity(db_);
  start_chunk(range);
  if (in_stroke_) return make_stroke(range);
  try {
    open_chunk_ = delete_next(range);
  } catch (const Error& e) {
    throw explained(e);
  }
  return open_chunk_;
}

// Fewer rows than asked for, where those would fill the log.
Deleted SqliteConnection::delete_next(const Range& range) {
  if (way_ == Way::rowid) return delete_by_rowid(range);
  if (purge_.walk == sdk::keys_walk) return SqlConnection::delete_range(range);
  Range affordable = range;
  if (budget_) affordable.max_rows = std::min(range.max_rows, budget_->visits());
  return way_ == Way::index ? delete_by_index(affordable) : SqlConnection::delete_range(affordable);
}

std::int64_t SqliteConnection::delete_children(std::size_t index) {
  const Database::Activity activity(db_);
  try {
    return SqlConnection::delete_children(index);
  } catch (const Error& e) {
    throw explained(e);
  }
}

std::vector<sdk::KeyColumn> SqliteConnection::row_address() {
  if (way_ == Way::key) return SqlConnection::row_address();
  return {{rowid_, PK_COLUMN_INT}};
}

/// SQLite does not name the constraint; where only one can be meant, we do.
sdk::Error SqliteConnection::explained(const Error& error) const {
  Error out(error.code() == PK_NOT_FOUND ? PK_SCHEMA_CHANGED : error.code(), "deleting from " + purge_.table + ": " + error.message());
  out.vendor_code(error.vendor_code()).constraint(error.constraint());
  if (error.code() == PK_FOREIGN_KEY && foreign_keys_.size() == 1) out.constraint(foreign_keys_[0]);
  if (error.code() == PK_TRIGGER && triggers_.size() == 1) out.constraint(triggers_[0]);
  return out;
}

void SqliteConnection::write_delete(Sql& out, const std::function<void(Sql&)>& add_range) {
  out << "DELETE FROM " << table_sql(purge_) << hint_ << " WHERE ";
  add_range(out);
  out << " AND ";
  add_predicate(out);
}

// ---------------------------------------------------------------------------------------------------- rowid

std::optional<SqliteConnection::Rowids> SqliteConnection::rowid_limits(const std::string& table, const std::string& rowid) {
  // Two questions: min and max in one would read the whole table.
  const Row row = db_.query("SELECT (SELECT min(" + rowid + ") FROM " + table + "), (SELECT max(" + rowid + ") FROM " + table + ")").at(0);
  if (row.at(0).kind != PK_VALUE_INT || row.at(1).kind != PK_VALUE_INT) return std::nullopt;
  return Rowids{row.at(0).i64, row.at(1).i64};
}

Sql SqliteConnection::rowid_delete() {
  Sql sql(dialect_);
  write_delete(sql, [&](Sql& out) {
    out << rowid_ << " >= ";
    out.slot(0, PK_COLUMN_INT) << " AND " << rowid_ << " <= ";
    out.slot(1, PK_COLUMN_INT);
  });
  return sql;
}

// The cursor holds the next rowid to visit, and the pass's first and last, so that a pass ends where it was meant to, even when
// another process goes on with it and rows were added meanwhile.
Deleted SqliteConnection::delete_by_rowid(const Range& range) {
  Rowids pass;
  std::int64_t next = 0;
  if (range.cursor.empty()) {
    const auto limits = rowid_limits(table_sql(purge_), rowid_);
    if (!limits) return Deleted{0, 0, "", true, 1};
    pass = *limits;
    next = pass.low;
  } else {
    const Row cursor = read_cursor(range, 3, {0, 1, 2});
    next = cursor[0].i64;
    pass = {cursor[1].i64, cursor[2].i64};
  }
  // How many of the next rows will go is known only afterwards. So the budget is used up in steps: a single one where all go.
  const std::int64_t wanted = std::max<std::int64_t>(range.max_rows, 1);
  const std::int64_t most = budget_ ? budget_->deletes() : wanted;
  Deleted out;
  sdk::Rows collected;
  while (!out.done && out.rows_visited < wanted && out.rows_deleted < most) {
    const std::int64_t affordable = std::max(most - out.rows_deleted, most / 16 + 1);
    const Deleted step = delete_rowids({next, pass.high}, std::min(wanted - out.rows_visited, affordable), next);
    out.rows_deleted += step.rows_deleted;
    out.rows_visited += step.rows_visited;
    out.done = step.done;
    std::move(collected_.begin(), collected_.end(), std::back_inserter(collected));
  }
  collected_ = std::move(collected);
  out.cursor = sdk::encode_row({Value::integer(next), Value::integer(pass.low), Value::integer(pass.high)});
  out.share_done = out.done ? 1 : share_of(Value::integer(next), Value::integer(pass.low), Value::integer(pass.high));
  return out;
}

// The next `wanted` rows of `left`; `next` becomes the rowid behind them.
Deleted SqliteConnection::delete_rowids(const Rowids& left, std::int64_t wanted, std::int64_t& next) {
  const Row probe = db_.query("SELECT max(r), count(*) FROM (SELECT " + rowid_ + " AS r FROM " + table_sql(purge_) + " NOT INDEXED WHERE " + rowid_ +
                                  " >= ? AND " + rowid_ + " <= ? ORDER BY " + rowid_ + " LIMIT ?)",
                              {Value::integer(left.low), Value::integer(left.high), Value::integer(wanted)})
                        .at(0);
  Deleted out;
  out.rows_visited = probe.at(1).i64;
  const std::int64_t until = out.rows_visited < wanted ? left.high : probe.at(0).i64;
  out.rows_deleted = delete_rows(rowid_delete(), {Value::integer(left.low), Value::integer(until)});
  out.done = until >= left.high;
  next = out.done ? until : until + 1;
  return out;
}

// ---------------------------------------------------------------------------------------------------- index

// First or last (column, rowid) of the part of the index that can match.
Sql SqliteConnection::index_edge(bool last) const {
  const std::string order = index_walk_.column + (last ? " DESC, " : ", ") + rowid_ + (last ? " DESC" : "");
  Sql sql(dialect_);
  sql << "SELECT " << index_walk_.column << ", " << rowid_ << " FROM " << table_sql(purge_) << hint_ << " WHERE ";
  if (index_walk_.bound) {
    index_walk_.bound->add_to(sql);
  } else {
    sql << index_walk_.column << " IS NOT NULL";
  }
  sql << " ORDER BY " << order << dialect_.limit(1);
  return sql;
}

Sql SqliteConnection::index_delete(bool includes_start) {
  const std::string pair = "(" + index_walk_.column + ", " + rowid_ + ")";
  Sql sql(dialect_);
  write_delete(sql, [&](Sql& out) {
    out << pair << (includes_start ? " >= (" : " > (");
    out.slot(0, index_walk_.column_kind) << ", ";
    out.slot(1, PK_COLUMN_INT) << ") AND " << pair << " <= (";
    out.slot(2, index_walk_.column_kind) << ", ";
    out.slot(3, PK_COLUMN_INT) << ")";
  });
  return sql;
}

// The order is (column, rowid): exact among equal values too. The cursor holds the last pair visited, the pass's first value, and
// its last pair.
Deleted SqliteConnection::delete_by_index(const Range& range) {
  const bool starts = range.cursor.empty();
  Row from;
  Value first;
  Row end;
  if (starts) {
    const sdk::Rows low = fetch(index_edge(false));
    const sdk::Rows high = fetch(index_edge(true));
    if (low.empty() || high.empty()) return Deleted{0, 0, "", true, 1};
    from = low[0];
    first = from.at(0);
    end = high[0];
  } else {
    const Row cursor = read_cursor(range, 5, {1, 4});
    from = {cursor[0], cursor[1]};
    first = cursor[2];
    end = {cursor[3], cursor[4]};
  }
  const std::int64_t wanted = std::max<std::int64_t>(range.max_rows, 1);
  const std::string pair = "(" + index_walk_.column + ", " + rowid_ + ")";
  const std::string text = "SELECT " + index_walk_.column + ", " + rowid_ + " FROM " + table_sql(purge_) + hint_ + " WHERE " + pair +
                           (starts ? " >= (?, ?) AND " : " > (?, ?) AND ") + pair + " <= (?, ?) ORDER BY " + index_walk_.column + ", " + rowid_ +
                           " LIMIT 1 OFFSET ?";
  Row params = joined(from, end);
  params.push_back(Value::integer(wanted - 1));
  const sdk::Rows probe = db_.query(text, params);
  const Row& until = probe.empty() ? end : probe[0];
  Deleted out;
  out.rows_deleted = delete_rows(index_delete(starts), joined(from, until));
  out.rows_visited = probe.empty() ? out.rows_deleted : wanted;
  out.done = probe.empty() || until == end;
  out.cursor = sdk::encode_row({until.at(0), until.at(1), first, end.at(0), end.at(1)});
  out.share_done = out.done ? 1 : share_of(until.at(0), first, end.at(0));
  return out;
}

}  // namespace purgekit::sqlite
