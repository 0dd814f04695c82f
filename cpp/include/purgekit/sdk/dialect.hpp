/// \file dialect.hpp
/// How one database writes SQL: quoting, placeholders, times. Everything the renderer must not know by itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/time_text.hpp"
#include "purgekit/sdk/type_fit.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

class Dialect;

/// SQL text under construction, with its bound parameters in order. Values never enter the text.
class Sql {
 public:
  explicit Sql(const Dialect& dialect) : dialect_(&dialect) {}

  Sql& operator<<(std::string_view text) {
    text_ += text;
    return *this;
  }
  /// Add a placeholder for a value known now. `kind` is the column it is compared with (for a cast where needed).
  Sql& bind(Value value, std::uint32_t column_kind = PK_COLUMN_OTHER);
  /// Add a placeholder for number `slot` of the values given at execution.
  Sql& slot(std::size_t slot, std::uint32_t column_kind = PK_COLUMN_OTHER);

  /// Add another statement's text from position `from` on, with its parameters, which must all lie behind that position.
  Sql& append(const Sql& other, std::size_t from = 0);

  const std::string& text() const { return text_; }
  /// The same parameters under another text, which must have the same placeholders in the same order.
  Sql with_text(std::string text) const {
    Sql out = *this;
    out.text_ = std::move(text);
    return out;
  }
  const Dialect& dialect() const { return *dialect_; }
  /// The parameters in order of their placeholders, slots filled from `slots`.
  std::vector<Value> params(const Row& slots = {}) const {
    std::vector<Value> out;
    out.reserve(params_.size());
    for (const Param& p : params_) out.push_back(p.slot < 0 ? p.value : slots.at(static_cast<std::size_t>(p.slot)));
    return out;
  }

 private:
  struct Param {
    Value value;
    int slot;  // -1: the value itself
    std::uint32_t column_kind;
    std::size_t begin, end;  // of the placeholder in the text
  };
  Sql& add(Value value, int slot, std::uint32_t column_kind);

  const Dialect* dialect_;
  std::string text_;
  std::vector<Param> params_;
};

/// Derive and override what differs from standard SQL. Stateless but for facts learnt while connecting.
class Dialect {
 public:
  virtual ~Dialect() = default;

  /// Quote one identifier.
  virtual std::string quote(std::string_view identifier) const { return quote_with(identifier, '"'); }
  /// Placeholder number `index` (from 1).
  virtual std::string placeholder(std::size_t) const { return "?"; }
  /// A placeholder as compared with a column of this kind; add a cast where the database can't infer the type.
  virtual std::string typed(std::string placeholder, std::uint32_t /*column_kind*/, pk_value_kind) const { return placeholder; }
  /// Equality for which NULL equals NULL.
  virtual std::string null_safe_equal(const std::string& a, const std::string& b) const {
    return "(" + a + " = " + b + " OR (" + a + " IS NULL AND " + b + " IS NULL))";
  }
  /// Lock suffix of a SELECT in a transaction; empty where the transaction locks the whole database anyway.
  virtual std::string for_update() const { return " FOR UPDATE"; }
  /// The same for a lock that others may share and no writer.
  virtual std::string for_share() const { return for_update(); }
  /// Whole microseconds since the epoch on the database's clock, now; empty: this dialect does not tell.
  virtual std::string clock_us() const { return ""; }
  /// First n rows after skipping some.
  virtual std::string limit(std::int64_t rows, std::int64_t skip = 0) const {
    return " LIMIT " + std::to_string(rows) + (skip > 0 ? " OFFSET " + std::to_string(skip) : "");
  }
  /// DELETE … RETURNING works on the tables we purge.
  virtual bool has_returning() const { return false; }
  /// WITH x AS (DELETE … RETURNING …) INSERT … works: rows are moved by one statement.
  virtual bool has_modifying_ctes() const { return false; }
  /// (a, b) > (x, y) is walked through an index.
  virtual bool has_row_ranges() const { return false; }
  /// A DELETE may not read its own table in a subquery, so such predicates delete by keys found first.
  virtual bool self_subquery_needs_keys() const { return false; }
  /// "INSERT INTO t …" that leaves an existing key alone: what stands before and after.
  virtual std::pair<std::string, std::string> insert_or_ignore() const { return {"INSERT INTO ", ""}; }
  /// Behind "INSERT INTO t (…) SELECT … WHERE …": overwrite the `others` columns of a row that has the same key.
  virtual std::string replacing(const std::vector<std::string>& key, const std::vector<std::string>& others) const {
    std::string out;
    for (const std::string& column : key) out += (out.empty() ? " ON CONFLICT (" : ", ") + quote(column);
    for (std::size_t i = 0; i < others.size(); ++i) out += (i == 0 ? ") DO UPDATE SET " : ", ") + quote(others[i]) + " = EXCLUDED." + quote(others[i]);
    return others.empty() ? out + ") DO NOTHING" : out;
  }
  /// The two are the same value, whatever their type counts as equal.
  virtual std::string identical(const std::string& a, const std::string& b) const { return null_safe_equal(a, b); }
  /// Before the rows of an INSERT that names an identity column: the values given are meant.
  virtual std::string overriding_identity() const { return ""; }
  /// A column of the first type holds every value of the second one unchanged.
  virtual bool fits(std::string_view target_type, std::string_view source_type) const { return type_fits(target_type, source_type); }
  /// A NULL that is inserted into such a column, which takes none, is no error but becomes another value.
  virtual bool replaces_null(std::string_view /*type_name*/, bool /*numbers_itself*/) const { return false; }
  /// Column types of the ledger.
  virtual std::string ledger_text(int characters) const { return "VARCHAR(" + std::to_string(characters) + ")"; }
  virtual std::string ledger_long_text() const { return "TEXT"; }
  /// Behind the closing bracket of CREATE TABLE.
  virtual std::string ledger_suffix() const { return ""; }

  /// Type of a column for the database's own clock in UTC, and the expression that reads it.
  virtual std::pair<std::string, std::string> archive_instant() const { return {"TIMESTAMP", "CURRENT_TIMESTAMP"}; }
  /// Expression for a column's value as row_batch.hpp wants it, where the session's own form is not that.
  virtual std::string for_sink(std::string column, std::uint32_t /*column_kind*/, std::string_view /*type_name*/) const { return column; }
  /// The other way round: a value in that form as it is bound to be stored in such a column.
  virtual void for_load(Value& /*value*/, std::uint32_t /*column_kind*/) const {}
  /// An instant as archive_instant() would have read it.
  virtual Value archive_instant_value(std::int64_t ns) const { return time_value(ns, PK_STORED_UNZONED); }
  /// Most rows of one INSERT that stores rows out of files.
  virtual std::size_t load_rows() const { return 256; }
  /// What is selected to show a column to people: the first `most` characters of its text, or of its bytes in hexadecimal. As it
  /// stands here, values come whole and are cut by us.
  virtual std::string shown(const std::string& column, std::uint32_t /*kind*/, int /*most*/) const { return column; }
  /// Whole length of what shown() cuts: characters, or bytes of a column of bytes. Empty: shown() cuts nothing.
  virtual std::string shown_length(const std::string& /*column*/, std::uint32_t /*kind*/) const { return ""; }
  /// Longest name of a table, in bytes; 0: any. A database that cuts longer ones off would take one table for another.
  virtual std::size_t max_name_bytes() const { return 0; }

  // ------------------------------------------------------------------------------------------------ times

  /// Decimal digits of a second this database keeps in its time types.
  virtual int time_digits() const { return 6; }

  /// Text a time parameter is bound as. ZONED columns get "+00:00" behind.
  virtual Value time_value(std::int64_t ns, std::uint32_t storage) const {
    return Value::string(format_time(ns, time_digits()) + (storage == PK_STORED_ZONED ? "+00:00" : ""));
  }

  /// Placeholder for an instant or wall clock compared with `node.column`. Override for a cast, or for ZONED_WALL.
  virtual void bind_time(Sql& out, const pk_node& node, std::int64_t ns) const {
    if (node.storage == PK_STORED_ZONED_WALL) throw Error(PK_NOT_SUPPORTED, "stored = \"wall\" is not offered by this backend");
    out.bind(time_value(ns, node.storage), node.column_kind);
  }

  /// "The stored value does not count as NULL", given it is not NULL. Empty: always so.
  virtual std::string counts(const std::string& column, const pk_node& node) const {
    return is_epoch(node) ? column + " > 0" : "";
  }

  /// Condition "stored time < cutoff" (or >= when negated). The column stays bare. NULL gives unknown.
  virtual void time_before(Sql& out, const std::string& column, const pk_node& node, bool negated) const {
    if (node.storage == PK_STORED_TEXT) throw Error(PK_NOT_SUPPORTED, "times stored as text are not offered by this backend");
    out << column << (negated ? " >= " : " < ");
    if (is_epoch(node)) {
      out.bind(epoch_cutoff(node), node.column_kind);
    } else {
      bind_time(out, node, round_up(stored_cutoff(node)));
    }
  }

  /// Exact number expression `cutoff - stored time` in nanoseconds, zone not considered for wall clocks.
  virtual void age_ns(Sql& out, const std::string& column, const pk_node& node) const {
    if (!is_epoch(node)) throw Error(PK_NOT_SUPPORTED, "a lifetime column with this kind of time is not offered by this backend");
    out << "(";
    out.bind(Value::integer(node.cutoff_ns), PK_COLUMN_DECIMAL);
    out << " - " << exact(column) << " * " << std::to_string(node.unit_ns) << ")";
  }

  /// What is added to the age of a wall clock in a zone with changing offsets: instant = wall - offset, so the age grows by it.
  /// `steps` has node.zone_step_count members.
  virtual void zone_offset(Sql& out, const std::string& column, const pk_node& node, const pk_zone_step* steps) const {
    if (node.zone_step_count == 1) {  // a CASE without WHEN is no SQL
      out << " + (" << std::to_string(steps[0].offset_ns) << ")";
      return;
    }
    out << " + CASE";
    for (std::uint32_t i = node.zone_step_count; i-- > 1;) {
      out << " WHEN " << column << " >= ";
      bind_time(out, node, steps[i].from_wall_ns);
      out << " THEN " << std::to_string(steps[i].offset_ns);
    }
    out << " ELSE " << std::to_string(steps[0].offset_ns) << " END";
  }

  /// A column as a number that neither overflows nor rounds in products.
  virtual std::string exact(const std::string& column) const { return "CAST(" + column + " AS DECIMAL(38, 9))"; }

  /// Condition "text can't be read as a time".
  virtual std::string unreadable(const std::string& /*column*/) const { return "1 = 0"; }

  static bool is_epoch(const pk_node& node) { return node.storage == PK_STORED_EPOCH_INT || node.storage == PK_STORED_EPOCH_DECIMAL; }
  static bool is_wall(const pk_node& node) { return node.storage == PK_STORED_UNZONED || node.storage == PK_STORED_ZONED_WALL; }
  static std::int64_t stored_cutoff(const pk_node& node) { return is_wall(node) ? node.wall_cutoff_ns : node.cutoff_ns; }

 protected:
  static std::string quote_with(std::string_view identifier, char mark) {
    if (identifier.find('\0') != std::string_view::npos) throw Error(PK_INVALID_ARGUMENT, "an identifier holds a NUL character");
    std::string out(1, mark);
    for (const char c : identifier) {
      if (c == mark) out += c;
      out += c;
    }
    return out + mark;
  }

  /// Up to the precision of the database: col < x and col >= x mean the same for the next value it can hold.
  std::int64_t round_up(std::int64_t ns) const {
    std::int64_t step = 1;
    for (int digit = time_digits(); digit < 9; ++digit) step *= 10;
    return ceil_div(ns, step) * step;
  }

  /// The constant a number column is compared with: col < constant if and only if col * unit < cutoff.
  static Value epoch_cutoff(const pk_node& node) {
    if (node.storage == PK_STORED_EPOCH_INT || node.cutoff_ns % node.unit_ns == 0) {
      return Value::integer(ceil_div(node.cutoff_ns, node.unit_ns));
    }
    // Units are powers of ten, so the fraction is exact.
    const std::int64_t whole = floor_div(node.cutoff_ns, node.unit_ns);
    std::string fraction = std::to_string(node.unit_ns + (node.cutoff_ns - whole * node.unit_ns));
    return Value::decimal(std::to_string(whole) + "." + fraction.substr(1));
  }
};

inline Sql& Sql::add(Value value, int slot, std::uint32_t column_kind) {
  const std::size_t begin = text_.size();
  text_ += dialect_->typed(dialect_->placeholder(params_.size() + 1), column_kind, value.kind);
  params_.push_back({std::move(value), slot, column_kind, begin, text_.size()});
  return *this;
}

inline Sql& Sql::bind(Value value, std::uint32_t column_kind) { return add(std::move(value), -1, column_kind); }

inline Sql& Sql::slot(std::size_t slot, std::uint32_t column_kind) { return add(Value::null(), static_cast<int>(slot), column_kind); }

inline Sql& Sql::append(const Sql& other, std::size_t from) {
  for (const Param& p : other.params_) {
    text_.append(other.text_, from, p.begin - from);
    add(p.value, p.slot, p.column_kind);
    from = p.end;
  }
  text_.append(other.text_, from);
  return *this;
}

}  // namespace purgekit::sdk
