/// \file restore.hpp
/// Putting archived rows back, chunk by chunk, so that each comes back once: in one transaction a chunk is taken in hand (its number
/// becomes 0), inserted, and marked as restored (its number becomes negative). The archive keeps every row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/archive.hpp"
#include "purgekit/sdk/insert_shape.hpp"
#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

/// pk_purge.walk for archive_create: also make what finds archived rows by run and by key.
inline constexpr const char* restore_walk = "restore";

inline bool is_archive_mark(std::string_view column) {
  return column == archive_run_column || column == archive_chunk_column || column == archive_instant_column;
}

/// \throws Error when the rows of `archive` can't be those of `source` as it is now.
inline void check_restorable(const Table& source, const Table& archive, const std::vector<std::string>& required = {}) {
  for (const char* mark : {archive_run_column, archive_chunk_column, archive_instant_column}) {
    if (archive.find(mark) == nullptr) throw Error(PK_SCHEMA_CHANGED, "table " + archive.name + " is no archive of purgekit: it lacks column " + std::string(mark) + "; nothing was changed");
  }
  if (archive.kind != PK_TABLE_BASE || !archive.transactional) {
    throw Error(PK_NOT_SUPPORTED, "archive " + archive.name + " is not an ordinary table that can roll back, so what is restored could not be marked; nothing was changed");
  }
  for (const Column& column : archive.columns) {
    if (is_archive_mark(column.name)) continue;
    const Column* now = source.find(column.name);
    if (now == nullptr) {
      throw Error(PK_SCHEMA_CHANGED, "table " + source.name + " has no column " + column.name + " (" + column.type_name + ") any more, which its archive " + archive.name +
                                         " holds; nothing was changed: add it to the table, or drop it from the archive if its values are not needed");
    }
    if (now->type_name != column.type_name) {
      throw Error(PK_SCHEMA_CHANGED, "column " + column.name + " of table " + source.name + " is " + now->type_name + " now, in its archive " + archive.name + " it is " +
                                         column.type_name + "; nothing was changed: change it in the archive");
    }
  }
  for (const std::string& column : required) {
    if (archive.find(column) != nullptr) continue;
    throw Error(PK_SCHEMA_CHANGED, "column " + column + " was added to table " + source.name + " after its rows were archived, takes no NULL and has no default; nothing was changed: give it a default");
  }
}

/// An index of `table` leads with these columns, in any order among themselves.
inline bool has_index_on(const Table& table, const std::vector<std::string>& columns) {
  return std::any_of(table.indexes.begin(), table.indexes.end(), [&](const Index& index) {
    if (index.partial || index.columns.size() < columns.size()) return false;
    return std::all_of(index.columns.begin(), index.columns.begin() + static_cast<std::ptrdiff_t>(columns.size()), [&](std::uint32_t at) {
      return at < table.columns.size() && std::find(columns.begin(), columns.end(), table.columns[at].name) != columns.end();
    });
  });
}

/// An index with a name of its own: in most databases an archive that was renamed keeps the names of its indexes.
inline std::string create_index(const Dialect& dialect, const ArchiveTable& table, const char* prefix, const std::vector<std::string>& columns) {
  std::random_device random;
  char name[40];
  std::snprintf(name, sizeof name, "%s_%08x%08x", prefix, static_cast<unsigned>(random()), static_cast<unsigned>(random()));
  std::string list;
  for (const std::string& column : columns) list += (list.empty() ? "" : ", ") + dialect.quote(column);
  return "CREATE INDEX " + dialect.quote(name) + " ON " + qualified(dialect, table.schema, table.table) + " (" + list + ")";
}

/// By which a run's chunks are found.
inline std::string create_run_index(const Dialect& dialect, const ArchiveTable& table) {
  return create_index(dialect, table, "purgekit_run", {archive_run_column, archive_chunk_column});
}

/// By which a hold finds a row that was restored.
inline std::string create_key_index(const Dialect& dialect, const ArchiveTable& table, const std::vector<std::string>& key) {
  return create_index(dialect, table, "purgekit_key", key);
}

/// Statements that make what a restore out of this archive, and the hold on what it puts back, find rows by.
inline std::vector<std::string> missing_indexes(const Dialect& dialect, const Table& source, const Table& archive, const ArchiveTable& name) {
  std::vector<std::string> key;
  key.reserve(source.key.size());
  for (const std::uint32_t at : source.key) key.push_back(source.columns.at(at).name);
  std::vector<std::string> out;
  if (!has_index_on(archive, {archive_run_column, archive_chunk_column})) out.push_back(create_run_index(dialect, name));
  if (!key.empty() && !has_index_on(archive, key)) out.push_back(create_key_index(dialect, name, key));
  return out;
}

/// The statements that put the rows of one archive back into one table.
class RowRestore {
 public:
  /// The predicate of `request` is read during each call of next().
  RowRestore(const Dialect& dialect, const Table& source, InsertShape shape, const Table& archive, const Restore& request)
      : dialect_(dialect), source_(source), shape_(std::move(shape)), request_(request), source_name_(qualified(dialect, source.schema, source.name)),
        archive_name_(qualified(dialect, archive.schema, archive.name)), outer_(dialect.quote(archive.name)), newest_first_(refers_to_itself(source)) {
    check_restorable(source, archive, shape_.required);
    for (const Column& column : archive.columns) {
      if (!is_archive_mark(column.name) && !shape_.is_generated(column.name)) columns_.push_back(column.name);
    }
    if (add_unique(source.key)) has_key_ = true;
    for (const Index& index : source.indexes) {
      if (index.unique && !index.partial) add_unique(index.columns);
    }
  }

  /// See pk_backend.restore_next.
  Restored next(SqlSession& session, std::int64_t after) const {
    const Rows found = session.fetch(find(after));
    if (found.empty()) return Restored{after, 0, 0, true};
    Restored out;
    out.chunk = found[0].at(0).i64;
    out.rows_restored = session.run(take(out.chunk));
    if (out.rows_restored > 0) {
      if (request_.conflict != PK_CONFLICT_SKIP) check_conflicts(session);
      put(session, out.rows_restored);
      const std::int64_t marked = session.run(renumber(0, -out.chunk, false));
      if (marked != out.rows_restored) throw Error(PK_SERIALIZATION, "rows of archive " + request_.archive.table + " changed while they were restored; the chunk is rolled back");
    }
    if (request_.conflict == PK_CONFLICT_SKIP) out.rows_skipped = session.fetch(count(out.chunk)).at(0).at(0).i64;
    return out;
  }

 private:
  // A row that refers to one of the same table went before it, so it comes back after it.
  static bool refers_to_itself(const Table& source) {
    return std::any_of(source.references.begin(), source.references.end(),
                       [&](const Reference& r) { return r.child_table == source.name && r.child_schema == source.schema; });
  }

  // Whether rows can be compared by these columns.
  bool add_unique(const std::vector<std::uint32_t>& positions) {
    std::vector<std::string> names;
    for (const std::uint32_t at : positions) {
      if (at >= source_.columns.size()) return false;
      names.push_back(source_.columns[at].name);
      if (std::find(columns_.begin(), columns_.end(), names.back()) == columns_.end()) return false;  // not ours to compare
    }
    if (names.empty()) return false;
    if (std::find(unique_.begin(), unique_.end(), names) == unique_.end()) unique_.push_back(std::move(names));
    return true;
  }

  std::string q(const std::string& column) const { return dialect_.quote(column); }

  std::string list() const {
    std::string out;
    for (const std::string& column : columns_) out += (out.empty() ? "" : ", ") + q(column);
    return out;
  }

  void add_where(Sql& sql, std::int64_t chunk) const {
    sql << " WHERE " << outer_ << "." << q(archive_run_column) << " = ";
    sql.bind(Value::string(request_.run_id), PK_COLUMN_TEXT) << " AND " << outer_ << "." << q(archive_chunk_column) << " = ";
    sql.bind(Value::integer(chunk), PK_COLUMN_INT);
  }

  void add_predicate(Sql& sql) const {
    if (request_.predicate == nullptr) return;
    sql << " AND ";
    render_predicate(sql, *request_.predicate, request_.archive.table);
  }

  Sql find(std::int64_t after) const {
    Sql sql(dialect_);
    sql << "SELECT " << q(archive_chunk_column) << " FROM " << archive_name_ << " WHERE " << q(archive_run_column) << " = ";
    sql.bind(Value::string(request_.run_id), PK_COLUMN_TEXT) << " AND " << q(archive_chunk_column) << " > ";
    sql.bind(Value::integer(newest_first_ ? 0 : std::max<std::int64_t>(after, 0)), PK_COLUMN_INT);
    if (newest_first_ && after != 0) {
      sql << " AND " << q(archive_chunk_column) << " < ";
      sql.bind(Value::integer(after), PK_COLUMN_INT);
    }
    add_predicate(sql);
    return sql << " ORDER BY " << q(archive_chunk_column) << (newest_first_ ? " DESC" : "") << dialect_.limit(1);
  }

  Sql renumber(std::int64_t from, std::int64_t to, bool filtered) const {
    Sql sql(dialect_);
    sql << "UPDATE " << archive_name_ << " SET " << q(archive_chunk_column) << " = ";
    sql.bind(Value::integer(to), PK_COLUMN_INT);
    add_where(sql, from);
    if (filtered) add_predicate(sql);
    return sql;
  }

  // Locks the rows, so that nobody else restores them too.
  Sql take(std::int64_t chunk) const {
    Sql sql = renumber(chunk, 0, true);
    if (request_.conflict == PK_CONFLICT_SKIP && !unique_.empty()) sql << " AND NOT (" << conflict(0, "") << ")";
    return sql;
  }

  Sql count(std::int64_t chunk, const std::string& condition = "") const {
    Sql sql(dialect_);
    sql << "SELECT COUNT(*) FROM " << archive_name_;
    add_where(sql, chunk);
    if (condition.empty()) add_predicate(sql);
    else sql << " AND (" << condition << ")";
    return sql;
  }

  /// A row is there with the archived row's values in a unique index, from number `first` of them on.
  std::string conflict(std::size_t first, const std::string& besides) const {
    std::string out;
    for (std::size_t i = first; i < unique_.size(); ++i) {
      out += (out.empty() ? "" : " OR ") + std::string("EXISTS (SELECT 1 FROM ") + source_name_ + " AS pk_there WHERE " + equal(unique_[i]) + besides + ")";
    }
    return out;
  }

  // The table's column first: its collation decides in SQLite.
  std::string equal(const std::vector<std::string>& columns) const {
    std::string out;
    for (const std::string& column : columns) out += (out.empty() ? "" : " AND ") + std::string("pk_there.") + q(column) + " = " + outer_ + "." + q(column);
    return out;
  }

  void check_conflicts(SqlSession& session) const {
    const bool replacing = request_.conflict == PK_CONFLICT_REPLACE && has_key_;
    const std::string condition = replacing ? conflict(1, " AND NOT (" + equal(unique_[0]) + ")") : conflict(0, "");
    if (condition.empty()) return;
    const std::int64_t rows = session.fetch(count(0, condition)).at(0).at(0).i64;
    if (rows == 0) return;
    std::string columns;
    for (const std::string& column : unique_[replacing ? 1 : 0]) columns += (columns.empty() ? "" : ", ") + column;
    const std::string which = unique_.size() > (replacing ? 2u : 1u) ? "a unique index" : "(" + columns + ")";
    throw Error(PK_DATA, std::to_string(rows) + " archived rows of table " + source_.name + " have the same value in " + which + " as rows that are there" +
                             (replacing ? " under another primary key" : "") + "; nothing of their chunk was restored: leave such rows in the archive with on-conflict skip" +
                             (replacing ? "" : ", or overwrite what is there with replace"))
        .constraint(columns);
  }

  void put(SqlSession& session, std::int64_t rows) const {
    Sql sql(dialect_);
    sql << "INSERT INTO " << source_name_ << " (" << list() << ")" << (shape_.has_identity ? dialect_.overriding_identity() : "") << " SELECT " << list() << " FROM " << archive_name_;
    add_where(sql, 0);
    const bool replacing = request_.conflict == PK_CONFLICT_REPLACE && has_key_;
    if (replacing) {
      std::vector<std::string> others;
      for (const std::string& column : columns_) {
        if (std::find(unique_[0].begin(), unique_[0].end(), column) == unique_[0].end()) others.push_back(column);
      }
      sql << dialect_.replacing(unique_[0], others);
    }
    std::int64_t inserted = 0;
    try {
      inserted = session.run(sql);
    } catch (const Error& e) {
      throw explained(e);
    }
    if (!replacing && inserted != rows) {
      throw Error(PK_TRIGGER, "of " + std::to_string(rows) + " archived rows table " + source_.name + " took " + std::to_string(inserted) + ": " + trigger_text() + " is in the way; nothing of their chunk was restored");
    }
    if (!shape_.triggers.empty() && has_key_) verify(session, rows);
  }

  std::string trigger_text() const { return shape_.triggers.empty() ? "a rule or trigger" : "trigger " + shape_.triggers[0]; }

  // A trigger may change what is inserted; then it is not the row that was deleted.
  void verify(SqlSession& session, std::int64_t rows) const {
    Sql sql(dialect_);
    sql << "SELECT COUNT(*) FROM " << archive_name_ << " JOIN " << source_name_ << " AS pk_there ON " << equal(unique_[0]);
    for (const std::string& column : columns_) sql << " AND " << dialect_.identical("pk_there." + q(column), outer_ + "." + q(column));
    add_where(sql, 0);
    const std::int64_t same = session.fetch(sql).at(0).at(0).i64;
    if (same == rows) return;
    throw Error(PK_TRIGGER, trigger_text() + " of table " + source_.name + " changed " + std::to_string(rows - same) + " of " + std::to_string(rows) +
                                " rows as they came back; nothing of their chunk was restored: disable it while rows are restored")
        .constraint(shape_.triggers[0]);
  }

  // Backends word these for a delete.
  Error explained(const Error& e) const {
    if (e.code() != PK_FOREIGN_KEY && e.code() != PK_TRIGGER && e.code() != PK_DATA) return e;
    const std::string what = e.code() == PK_FOREIGN_KEY ? "archived rows of table " + source_.name + " refer to rows that are not there: restore those first"
                             : e.code() == PK_TRIGGER   ? "a unique index, check or trigger of table " + source_.name + " refused archived rows"
                                                        : "a value of archived rows does not fit into table " + source_.name;
    const std::string by = e.constraint().empty() ? "" : " (" + e.constraint() + ")";
    const std::string number = e.sqlstate().empty() ? std::to_string(e.vendor_code()) : e.sqlstate();
    Error out(e.code(), what + by + "; nothing of their chunk was restored (error " + number + ")");
    out.sqlstate(e.sqlstate()).vendor_code(e.vendor_code()).constraint(e.constraint());
    return out;
  }

  const Dialect& dialect_;
  const Table& source_;
  InsertShape shape_;
  const Restore& request_;
  std::string source_name_;
  std::string archive_name_;
  std::string outer_;  // what the archive is called in conditions
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> unique_;  // columns of the key first, then of each unique index
  bool has_key_ = false;
  bool newest_first_;
};

}  // namespace purgekit::sdk
