/// \file children.hpp
/// Deletes the rows of child tables that belonged to the parents a chunk deleted, by those parents' values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/archive.hpp"
#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sink_writer.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

/// Columns of the table that its dependents need, each once. \param parent 0: the purge's own table; k: dependent k - 1
inline std::vector<std::string> collected_columns(const std::vector<Dependent>& dependents, std::uint32_t parent = 0) {
  std::vector<std::string> out;
  for (const Dependent& d : dependents) {
    if (d.parent != parent) continue;
    for (const std::string& column : d.parent_columns) {
      if (std::find(out.begin(), out.end(), column) == out.end()) out.push_back(column);
    }
  }
  return out;
}

class ChildDelete {
 public:
  ChildDelete(const Dialect& dialect, const Purge& purge, const Dependent& dependent) : dialect_(dialect), dependent_(dependent) {
    const std::vector<std::string> collected = collected_columns(purge.dependents, dependent.parent);
    for (const std::string& column : dependent.parent_columns) {
      positions_.push_back(static_cast<std::size_t>(std::find(collected.begin(), collected.end(), column) - collected.begin()));
    }
    if (dependent.unless_referenced) {
      still_used_ = " AND NOT EXISTS (SELECT 1 FROM " + qualified(dialect, purge.schema, purge.table) + " AS pk1 WHERE ";
      for (std::size_t i = 0; i < dependent.columns.size(); ++i) {
        if (i > 0) still_used_ += " AND ";
        still_used_ += "pk1." + dialect.quote(dependent.parent_columns[i]) + " = " + dialect.quote(dependent.table) + "." +
                       dialect.quote(dependent.columns[i]);
      }
      still_used_ += ")";
    }
  }

  /// The statement for `tuples` parents.
  Sql statement(std::size_t tuples) const {
    Sql sql(dialect_);
    sql << "DELETE FROM " << qualified(dialect_, dependent_.schema, dependent_.table) << " WHERE ";
    const std::size_t width = dependent_.columns.size();
    if (width == 1) {
      sql << column(0) << " IN (";
      for (std::size_t i = 0; i < tuples; ++i) {
        if (i > 0) sql << ", ";
        sql.slot(i, PK_COLUMN_OTHER);
      }
      sql << ")";
    } else {
      sql << "(";
      for (std::size_t i = 0; i < tuples; ++i) {
        sql << (i > 0 ? " OR (" : "(");
        for (std::size_t j = 0; j < width; ++j) {
          sql << (j > 0 ? " AND " : "") << column(j) << " = ";
          sql.slot(i * width + j, PK_COLUMN_OTHER);
        }
        sql << ")";
      }
      sql << ")";
    }
    sql << still_used_;
    return sql;
  }

  /// Delete the children of the parents whose collected values are `parents`, keeping them when there is an archive or a sink. In
  /// the open transaction.
  std::int64_t run(SqlSession& session, const Rows& parents, const ArchiveWriter* archive = nullptr, const SinkWriter* sink = nullptr) const {
    std::int64_t deleted = 0;
    for_each_batch(parents, [&](const Sql& statement, const Row& slots) {
      if (sink != nullptr) deleted += sink->move(session, statement, slots).first;
      else deleted += archive == nullptr ? session.run(statement, slots) : archive->move(session, statement, slots).first;
    });
    return deleted;
  }

  /// Lock the same children and give `columns` of each: what their own children are deleted by.
  Rows read(SqlSession& session, const Rows& parents, const std::vector<std::string>& columns) const {
    std::string list;
    for (const std::string& column : columns) list += (list.empty() ? "" : ", ") + dialect_.quote(column);
    Rows out;
    for_each_batch(parents, [&](const Sql& statement, const Row& slots) {
      constexpr std::string_view prefix = "DELETE FROM ";
      const Sql reading = statement.with_text("SELECT " + list + " FROM " + statement.text().substr(prefix.size()) + dialect_.for_update());
      for (Row& row : session.fetch(reading, slots)) out.push_back(std::move(row));
    });
    return out;
  }

 private:
  template <typename Visit>
  void for_each_batch(const Rows& parents, const Visit& visit) const {
    Rows tuples;
    tuples.reserve(parents.size());
    for (const Row& parent : parents) {
      Row tuple;
      for (const std::size_t position : positions_) tuple.push_back(parent.at(position));
      const bool has_null = std::any_of(tuple.begin(), tuple.end(), [](const Value& v) { return v.kind == PK_VALUE_NULL; });
      if (!has_null) tuples.push_back(std::move(tuple));
    }
    const auto less = [](const Row& a, const Row& b) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i].i64 != b[i].i64) return a[i].i64 < b[i].i64;
        if (a[i].text != b[i].text) return a[i].text < b[i].text;
      }
      return false;
    };
    std::sort(tuples.begin(), tuples.end(), less);
    tuples.erase(std::unique(tuples.begin(), tuples.end()), tuples.end());

    for (std::size_t start = 0; start < tuples.size();) {
      // Few statement sizes, so that the database can reuse its plans; the last one repeats its final tuple.
      const std::size_t left = tuples.size() - start;
      const std::size_t size = left > 64 ? 256 : left > 8 ? 64 : 8;
      Row slots;
      for (std::size_t i = 0; i < size; ++i) {
        const Row& tuple = tuples[std::min(start + i, tuples.size() - 1)];
        slots.insert(slots.end(), tuple.begin(), tuple.end());
      }
      visit(statement(size), slots);
      start += size;
    }
  }

  std::string column(std::size_t i) const { return dialect_.quote(dependent_.columns[i]); }

  const Dialect& dialect_;
  Dependent dependent_;
  std::vector<std::size_t> positions_;
  std::string still_used_;
};

}  // namespace purgekit::sdk
