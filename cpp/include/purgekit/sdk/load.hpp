/// \file load.hpp
/// Rows out of an archive file on their way into an archive table: INSERTs of many rows, all values bound.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "purgekit/sdk/archive.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

/// "(columns of the rows, ours)", quoted.
inline std::string load_columns(const Dialect& dialect, const Load& load) {
  std::string out = "(";
  for (const Column& column : load.columns) out += dialect.quote(column.name) + ", ";
  return out + dialect.quote(archive_run_column) + ", " + dialect.quote(archive_chunk_column) + ", " + dialect.quote(archive_instant_column) + ")";
}

/// Number `row` of the rows.
inline const pk_value* load_row(const Load& load, std::size_t row) { return load.values + row * load.columns.size(); }

/// Stores rows by statements of few sizes, so that a session prepares each once.
class RowLoad {
 public:
  static constexpr std::size_t most_bytes = std::size_t{512} * 1024;  // of one statement; servers refuse a packet above 1 to 16 MB
  static constexpr std::size_t most_placeholders = 30'000;

  RowLoad(const Dialect& dialect, const Load& load) : dialect_(dialect), load_(load), width_(load.columns.size() + 3) {}

  /// \throws Error when the database stored other than all of them
  void run(SqlSession& session) {
    for (std::size_t row = 0; row < load_.rows;) {
      const std::size_t rows = rows_at(row);
      std::size_t at = 0;
      params_.resize(rows * width_);
      for (std::size_t i = row; i < row + rows; ++i) fill(load_row(load_, i), at);
      const std::int64_t stored = session.execute(statement(rows), params_);
      if (stored != static_cast<std::int64_t>(rows)) {
        throw Error(PK_TRIGGER, "of " + std::to_string(rows) + " rows the archive table " + load_.archive.table + " took " + std::to_string(stored) + ": a rule or trigger is in the way; nothing of their chunk was loaded");
      }
      row += rows;
    }
  }

 private:
  // 1, 4, 16, 64, …: as many as there are and as fit into a statement.
  std::size_t rows_at(std::size_t row) const {
    const std::size_t most = std::min({dialect_.load_rows(), load_.rows - row, std::max<std::size_t>(most_placeholders / width_, 1)});
    std::size_t fit = 0;
    for (std::size_t bytes = 0; fit < most; ++fit) {
      const pk_value* values = load_row(load_, row + fit);
      for (std::size_t i = 0; i < load_.columns.size(); ++i) bytes += sizeof(pk_value) + values[i].text.size;
      if (bytes > most_bytes) break;
    }
    std::size_t rows = 1;
    while (rows * 4 <= fit) rows *= 4;
    return rows;
  }

  // Into parameters that are there already: their memory is used again.
  void fill(const pk_value* values, std::size_t& at) {
    for (std::size_t i = 0; i < load_.columns.size(); ++i, ++at) {
      Value& to = params_[at];
      to.kind = checked_kind(values[i].kind, PK_VALUE_NULL, PK_VALUE_WALL);
      to.i64 = values[i].i64;
      to.f64 = values[i].f64;
      to.text.assign(to_view(values[i].text));
      dialect_.for_load(to, load_.columns[i].kind);
    }
    params_[at++] = Value::string(load_.run_id);
    params_[at++] = Value::integer(load_.chunk);
    params_[at++] = dialect_.archive_instant_value(load_.archived_ns);
  }

  std::string statement(std::size_t rows) const {
    std::string out = "INSERT INTO " + qualified(dialect_, load_.archive.schema, load_.archive.table) + " " + load_columns(dialect_, load_) + " VALUES ";
    std::size_t place = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      out += row == 0 ? "(" : ", (";
      for (std::size_t i = 0; i < width_; ++i) out += (i == 0 ? "" : ", ") + dialect_.placeholder(++place);
      out += ")";
    }
    return out;
  }

  const Dialect& dialect_;
  const Load& load_;
  std::size_t width_;
  std::vector<Value> params_;
};

}  // namespace purgekit::sdk
