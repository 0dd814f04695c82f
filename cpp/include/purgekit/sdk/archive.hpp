/// \file archive.hpp
/// Deleting rows so that they are kept in a table, in the same transaction: what is there is what was deleted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/row_mapping.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

/// Columns an archive table has behind those of its source.
inline constexpr const char* archive_run_column = "purgekit_run_id";
inline constexpr const char* archive_chunk_column = "purgekit_chunk";
inline constexpr const char* archive_instant_column = "purgekit_archived_utc";

/// Moves the rows of one source table into its archive table.
class ArchiveWriter {
 public:
  /// \param mapping into a table that is not of purgekit's making.
  ArchiveWriter(const Dialect& dialect, const Table& source, const ArchiveTable& target, std::string run_id, std::optional<RowMapping> mapping = std::nullopt)
      : dialect_(dialect), name_(source.name), target_(qualified(dialect, target.schema, target.table)), run_id_(std::move(run_id)),
        has_triggers_(!source.delete_triggers.empty()), mapping_(std::move(mapping)), target_name_(target.table) {
    for (const Column& column : source.columns) {
      columns_ += (columns_.empty() ? "" : ", ") + dialect.quote(column.name);
      returned_ += (returned_.empty() ? "" : ", ") + dialect.quote(source.name) + "." + dialect.quote(column.name);
    }
    references_.reserve(source.references.size());
    for (const Reference& r : source.references) references_.push_back(r.name);
  }

  void start_chunk(std::int64_t chunk) { chunk_ = chunk; }

  /// Delete and keep. \param statement a DELETE without RETURNING. \param collect columns whose values are wanted of each row.
  /// \returns how many rows went, and `collect` of them.
  std::pair<std::int64_t, Rows> move(SqlSession& session, const Sql& statement, const Row& slots, const std::vector<std::string>& collect = {}) const {
    if (dialect_.has_modifying_ctes()) return move_at_once(session, statement, slots, collect);
    Rows collected;
    if (!collect.empty() && !dialect_.has_returning()) collected = session.fetch(select(statement, names(collect)), slots);
    const std::int64_t kept = keep(session, insert(statement), slots);
    std::int64_t deleted = 0;
    if (!collect.empty() && dialect_.has_returning()) {
      Sql returning = statement;
      returning << " RETURNING " << names(collect);
      collected = session.fetch(returning, slots);
      deleted = static_cast<std::int64_t>(collected.size());
    } else {
      deleted = session.run(statement, slots);
    }
    check(kept, deleted);
    if (!collect.empty()) check(kept, static_cast<std::int64_t>(collected.size()));
    return {deleted, std::move(collected)};
  }

  /// Copy and lock the rows, then delete them by a second look, where nothing but the rows themselves decides which go: less work than
  /// one statement that does both. \returns how many rows went, or how many were copied where that is more than `most`: none is deleted then
  std::int64_t copy_and_delete(SqlSession& session, const Sql& statement, std::int64_t most) const {
    const std::int64_t kept = keep(session, insert(statement), {});
    if (kept > most) return kept;
    check(kept, session.run(statement));
    return kept;
  }

  /// Copy the rows that a DELETE would take, locking them.
  Sql insert(const Sql& statement) const {
    Sql sql(dialect_);
    add_head(sql);
    sql << " FROM ";
    return sql.append(statement, start_of(statement)) << dialect_.for_update();
  }

  /// "INSERT INTO archive (columns) SELECT values".
  void add_head(Sql& sql) const {
    sql << "INSERT INTO " << target_ << " (";
    if (mapping_) return add_mapped(sql);
    sql << columns_ << ", " << dialect_.quote(archive_run_column) << ", " << dialect_.quote(archive_chunk_column) << ", " << dialect_.quote(archive_instant_column)
        << ") SELECT " << columns_ << ", ";
    sql.bind(Value::string(run_id_), PK_COLUMN_TEXT) << ", ";
    sql.bind(Value::integer(chunk_), PK_COLUMN_INT) << ", " << dialect_.archive_instant().second;
  }

  /// Run a statement that keeps rows.
  std::int64_t keep(SqlSession& session, const Sql& statement, const Row& slots) const {
    try {
      return session.run(statement, slots);
    } catch (const Error& e) {
      throw explained(e, false);
    }
  }

  /// \throws Error when not every row that was kept was deleted, and the other way round.
  void check(std::int64_t kept, std::int64_t deleted) const {
    if (kept == deleted) return;
    throw Error(has_triggers_ || (mapping_ && mapping_->has_triggers) ? PK_TRIGGER : PK_SERIALIZATION, "table " + name_ + ": " + std::to_string(kept) + " rows were archived but " + std::to_string(deleted) +
                                                                   " deleted, so the chunk was rolled back and nothing of it was done");
  }

  /// The statement that moves rows, for people.
  std::string text(const Sql& statement) const { return dialect_.has_modifying_ctes() ? at_once(statement, {}).text() : insert(statement).text(); }

 private:
  std::string names(const std::vector<std::string>& columns) const {
    std::string out;
    for (const std::string& column : columns) out += (out.empty() ? "" : ", ") + dialect_.quote(column);
    return out;
  }

  static std::size_t start_of(const Sql& statement) {
    constexpr std::string_view prefix = "DELETE FROM ";
    if (statement.text().rfind(prefix, 0) != 0) throw Error(PK_INTERNAL, "a statement to archive by does not begin with DELETE FROM");
    return prefix.size();
  }

  Sql select(const Sql& statement, const std::string& columns) const {
    Sql sql(dialect_);
    sql << "SELECT " << columns << " FROM ";
    return sql.append(statement, start_of(statement)) << dialect_.for_update();
  }

  // First column: rows kept. With `collect`: one row for each that was deleted; without: one row, second column rows deleted.
  Sql at_once(const Sql& statement, const std::vector<std::string>& collect) const {
    Sql sql(dialect_);
    sql << "WITH pk_moved AS (";
    sql.append(statement) << " RETURNING " << returned_ << "), pk_kept AS (";
    add_head(sql);
    sql << " FROM pk_moved RETURNING 1) SELECT (SELECT count(*) FROM pk_kept), ";
    return collect.empty() ? sql << "(SELECT count(*) FROM pk_moved)" : sql << names(collect) << " FROM pk_moved";
  }

  Rows fetch_at_once(SqlSession& session, const Sql& statement, const Row& slots) const {
    try {
      return session.fetch(statement, slots);
    } catch (const Error& e) {
      throw explained(e, true);
    }
  }

  void add_mapped(Sql& sql) const {
    for (std::size_t i = 0; i < mapping_->columns.size(); ++i) sql << (i > 0 ? ", " : "") << dialect_.quote(mapping_->columns[i].target.name);
    sql << ")" << (mapping_->names_identity ? dialect_.overriding_identity() : "") << " SELECT ";
    for (std::size_t i = 0; i < mapping_->columns.size(); ++i) {
      const MappedColumn& column = mapping_->columns[i];
      sql << (i > 0 ? ", " : "");
      if (column.from == PK_ARCHIVE_FROM_COLUMN) sql << dialect_.quote(column.source);
      else if (column.from == PK_ARCHIVE_FROM_RUN) sql.bind(Value::string(run_id_), column.target.kind);
      else add_value(sql, column.target, column.value);
    }
  }

  // Backends word refusals for a delete. Where one statement does both, only what names the target is taken for its word.
  Error explained(const Error& e, bool deletes_too) const {
    const bool refused = e.code() == PK_TRIGGER || e.code() == PK_FOREIGN_KEY || (e.code() == PK_DATA && !deletes_too);
    if (!mapping_ || !refused || (deletes_too && !is_of_target(e))) return e;
    const std::string by = e.constraint().empty() ? "" : " by " + e.constraint();
    const std::string number = e.sqlstate().empty() ? std::to_string(e.vendor_code()) : e.sqlstate();
    Error out(PK_ARCHIVE_REFUSED, "table " + target_name_ + " refused a row of table " + name_ + by + " (error " + number + "), so it stays where it is");
    out.sqlstate(e.sqlstate()).vendor_code(e.vendor_code()).constraint(e.constraint());
    return out;
  }

  bool is_of_target(const Error& e) const {
    const auto names = [&](const std::vector<std::string>& list) { return std::find(list.begin(), list.end(), e.constraint()) != list.end(); };
    if (e.code() == PK_FOREIGN_KEY) return !names(references_);
    return names(mapping_->unique) || (!has_triggers_ && !mapping_->has_triggers);
  }

  std::pair<std::int64_t, Rows> move_at_once(SqlSession& session, const Sql& statement, const Row& slots, const std::vector<std::string>& collect) const {
    Rows rows = fetch_at_once(session, at_once(statement, collect), slots);
    if (collect.empty()) {
      check(rows.at(0).at(0).i64, rows[0].at(1).i64);
      return {rows[0][1].i64, {}};
    }
    const auto deleted = static_cast<std::int64_t>(rows.size());
    if (deleted > 0) check(rows[0].at(0).i64, deleted);
    for (Row& row : rows) row.erase(row.begin());
    return {deleted, std::move(rows)};
  }

  const Dialect& dialect_;
  std::string name_;
  std::string target_;
  std::string columns_;   // quoted
  std::string returned_;  // the same, each with the table's name: a DELETE may join what has columns of its own
  std::string run_id_;
  std::int64_t chunk_ = 1;
  bool has_triggers_;
  std::optional<RowMapping> mapping_;
  std::string target_name_;
  std::vector<std::string> references_{};  // foreign keys that forbid a delete
};

}  // namespace purgekit::sdk
