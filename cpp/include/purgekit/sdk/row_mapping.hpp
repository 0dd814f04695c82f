/// \file row_mapping.hpp
/// How rows of one table go into another that is not of purgekit's making: what goes into which column, and whether it can.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/insert_shape.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/time_text.hpp"
#include "purgekit/sdk/type_fit.hpp"

namespace purgekit::sdk {

struct MappedColumn {
  Column target;
  pk_archive_from from = PK_ARCHIVE_FROM_COLUMN;
  std::string source{};
  Value value{};
};

struct RowMapping {
  std::vector<MappedColumn> columns;
  std::vector<std::string> lost;     ///< of the source, that go nowhere
  std::vector<std::string> unique;   ///< names of the target's unique indexes
  bool has_triggers = false;         ///< that fire on INSERT
  bool names_identity = false;       ///< a column that numbers itself is given values
  std::string problem;               ///< why rows can't go there, with the way out; empty: they can
};

/// Longest text that a run's id is.
inline constexpr std::int64_t most_run_id_characters = 64;

namespace detail {

inline bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return lower(x) == lower(y);
  });
}

/// The column of that name: exact, or the only one without regard to case.
inline const Column* find_like(const Table& table, std::string_view name) {
  if (const Column* exact = table.find(name)) return exact;
  const Column* found = nullptr;
  for (const Column& column : table.columns) {
    if (!equal_without_case(column.name, name)) continue;
    if (found != nullptr) return nullptr;
    found = &column;
  }
  return found;
}

inline bool is_in(const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

}  // namespace detail

/// What is said of a column that is of no use: which, in which table, of which type.
inline std::string column_text(const Column& column, const Table& table) { return "column " + column.name + " (" + column.type_name + ") of table " + table.name; }

class Mapper {
 public:
  Mapper(const Dialect& dialect, const Table& source, const Table& target, const InsertShape& shape, const ArchiveTable& wanted)
      : dialect_(dialect), source_(source), target_(target), shape_(shape), wanted_(wanted) {}

  RowMapping map() {
    for (const ArchiveColumn& column : wanted_.columns) {
      if (target_.find(column.target) == nullptr) problem("table " + target_.name + " has no column " + column.target + " any more");
      if (column.from == PK_ARCHIVE_FROM_COLUMN && source_.find(column.source) == nullptr) problem("table " + source_.name + " has no column " + column.source + " any more");
    }
    for (const Column& column : target_.columns) {
      if (out_.problem.empty()) add(column);
    }
    for (const Column& column : source_.columns) {
      const bool kept = std::any_of(out_.columns.begin(), out_.columns.end(), [&](const MappedColumn& m) { return m.from == PK_ARCHIVE_FROM_COLUMN && m.source == column.name; });
      if (!kept) out_.lost.push_back(column.name);
    }
    if (out_.columns.empty()) problem("no column of table " + target_.name + " is named like one of table " + source_.name + ": say with columns = { THEIRS = \"OURS\" } what goes where");
    for (const Index& index : target_.indexes) {
      if (index.unique) out_.unique.push_back(index.name);
    }
    out_.has_triggers = !shape_.triggers.empty();
    return std::move(out_);
  }

 private:
  void problem(const std::string& text) {
    if (out_.problem.empty()) out_.problem = text;
  }

  void add(const Column& column) {
    const auto given = std::find_if(wanted_.columns.begin(), wanted_.columns.end(), [&](const ArchiveColumn& c) { return c.target == column.name; });
    const bool is_given = given != wanted_.columns.end() && given->from != PK_ARCHIVE_FROM_DEFAULT;
    const bool fills_itself = shape_.is_generated(column.name) || detail::is_in(shape_.identity, column.name);
    if (is_given) {
      if (shape_.is_generated(column.name)) problem(column_text(column, target_) + " is computed by the database: leave it out of columns");
      if (detail::is_in(shape_.identity, column.name)) out_.names_identity = true;
      take({column, given->from, given->source, given->value});
      return;
    }
    const Column* same = given == wanted_.columns.end() && !fills_itself ? detail::find_like(source_, column.name) : nullptr;
    if (same != nullptr) {
      take({column, PK_ARCHIVE_FROM_COLUMN, same->name, {}});
    } else if (!fills_itself && detail::is_in(shape_.required, column.name)) {
      problem(column_text(column, target_) + " takes no NULL and has no default, and nothing goes into it: say what with columns = { " + column.name + " = … }");
    }
  }

  void take(MappedColumn mapped) {
    const Column& target = mapped.target;
    if (mapped.from == PK_ARCHIVE_FROM_COLUMN) {
      const Column& from = *source_.find(mapped.source);
      if (!dialect_.fits(target.type_name, from.type_name)) {
        problem(column_text(target, target_) + " can't hold all that " + column_text(from, source_) + " may: change it, or leave it to its own default with " + target.name + " = { default = true }");
      }
      if (from.nullable && !target.nullable && dialect_.replaces_null(target.type_name, detail::is_in(shape_.identity, target.name))) {
        problem(column_text(target, target_) + " turns NULL, which " + column_text(from, source_) + " may be, into another value: let it take NULL, or leave it to its own default with " +
                target.name + " = { default = true }");
      }
    } else if (target.kind == PK_COLUMN_TEXT) {
      const std::int64_t characters = mapped.from == PK_ARCHIVE_FROM_RUN ? most_run_id_characters : length_of(mapped.value);
      if (characters > text_room(target.type_name)) {
        problem(column_text(target, target_) + " is too short for what the policy puts into it, which has " + std::to_string(characters) + " characters");
      }
    }
    out_.columns.push_back(std::move(mapped));
  }

  static std::int64_t length_of(const Value& value) {
    return std::count_if(value.text.begin(), value.text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; });
  }

  const Dialect& dialect_;
  const Table& source_;
  const Table& target_;
  const InsertShape& shape_;
  const ArchiveTable& wanted_;
  RowMapping out_{};
};

/// Add a value that goes into `column`. A time is cut, and not rounded, to what the column keeps.
inline void add_value(Sql& out, const Column& column, const Value& value) {
  if (value.kind != PK_VALUE_INSTANT && value.kind != PK_VALUE_WALL) {
    out.bind(value, column.kind);
    return;
  }
  std::int64_t step = column.kind == PK_COLUMN_DATE ? ns_per_day : 1;
  for (int digit = time_digits_of(column.type_name); digit < 9 && step < ns_per_day; ++digit) step *= 10;
  pk_node node{};
  node.kind = PK_NODE_TIME;
  node.column_kind = column.kind;
  node.storage = value.kind == PK_VALUE_INSTANT ? PK_STORED_ZONED : PK_STORED_UNZONED;
  out.dialect().bind_time(out, node, floor_div(value.i64, step) * step);
}

}  // namespace purgekit::sdk
