/// \file render.hpp
/// Writes a predicate as SQL. The only place where nodes become text; databases differ through their Dialect.
#pragma once

#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

#include "purgekit/abi.h"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

/// "schema"."table", or the table alone.
inline std::string qualified(const Dialect& dialect, std::string_view schema, std::string_view table) {
  return (schema.empty() ? "" : dialect.quote(schema) + ".") + dialect.quote(table);
}

inline const char* op_text(std::uint32_t op) {
  switch (op) {
    case PK_EQ: return " = ";
    case PK_NE: return " <> ";
    case PK_LT: return " < ";
    case PK_LE: return " <= ";
    case PK_GT: return " > ";
    case PK_GE: return " >= ";
    default: throw Error(PK_INVALID_ARGUMENT, "unknown comparison " + std::to_string(op));
  }
}

/// Node `index`, whatever the stride of the caller's nodes.
inline const pk_node& node_at(const pk_predicate& predicate, std::uint32_t index) {
  if (index >= predicate.node_count || predicate.node_size < sizeof(pk_node) || predicate.node_size % alignof(pk_node) != 0) {
    throw Error(PK_INVALID_ARGUMENT, "predicate node out of range");
  }
  return *reinterpret_cast<const pk_node*>(reinterpret_cast<const char*>(predicate.nodes) + predicate.node_size * index);
}

/// The predicate reads rows of `table` in a subquery.
inline bool reads_table(const pk_predicate& predicate, std::string_view schema, std::string_view table) {
  for (std::uint32_t i = 0; i < predicate.node_count; ++i) {
    const pk_node& n = node_at(predicate, i);
    if ((n.kind == PK_NODE_EXISTS || n.kind == PK_NODE_KEEP_LATEST) && to_view(n.other_table) == table && to_view(n.other_schema) == schema) {
      return true;
    }
  }
  return false;
}

/// The predicate looks at more than the row itself, so its own columns need a qualifier.
inline bool has_subquery(const pk_predicate& predicate) {
  for (std::uint32_t i = 0; i < predicate.node_count; ++i) {
    const std::uint32_t kind = node_at(predicate, i).kind;
    if (kind == PK_NODE_EXISTS || kind == PK_NODE_KEEP_LATEST) return true;
  }
  return false;
}

class Renderer {
 public:
  /// \param table qualifier of the outer row in subqueries: the quoted bare table name or an alias.
  /// \param qualify write the qualifier in front of the outer row's own columns too.
  Renderer(Sql& out, const pk_predicate& predicate, std::string table, bool qualify)
      : out_(out), dialect_(out.dialect()), predicate_(predicate), outer_(std::move(table)), qualify_(qualify) {}

  void render() { node(predicate_.root, qualify_ ? outer_ + "." : "", outer_ + "."); }

 private:
  std::string column(pk_text name, const std::string& prefix) const { return prefix + dialect_.quote(to_view(name)); }

  // `prefix` goes before the row's own columns, `reference` before them inside a subquery.
  void node(std::uint32_t index, const std::string& prefix, const std::string& reference) {
    const pk_node& n = node_at(predicate_, index);
    const bool negated = (n.flags & PK_NEGATED) != 0;
    switch (n.kind) {
      case PK_NODE_TRUE: out_ << "1 = 1"; break;
      case PK_NODE_FALSE: out_ << "1 = 0"; break;
      case PK_NODE_AND: list(index, n, " AND ", prefix, reference); break;
      case PK_NODE_OR: list(index, n, " OR ", prefix, reference); break;
      case PK_NODE_COMPARE: compare(n, prefix); break;
      case PK_NODE_IN:
        if (n.value_count == 0) throw Error(PK_INVALID_ARGUMENT, "a list of values is empty");
        out_ << column(n.column, prefix) << (negated ? " NOT IN (" : " IN (");
        for (std::uint32_t i = 0; i < n.value_count; ++i) {
          if (i > 0) out_ << ", ";
          out_.bind(value(n.first_value + i), n.column_kind);
        }
        out_ << ")";
        break;
      case PK_NODE_NULL: out_ << column(n.column, prefix) << (negated ? " IS NOT NULL" : " IS NULL"); break;
      case PK_NODE_TIME: time(n, column(n.column, prefix), prefix); break;
      case PK_NODE_EXISTS: exists(index, n, reference); break;
      case PK_NODE_KEEP_LATEST: keep_latest(n, reference); break;
      case PK_NODE_SQL: raw(n); break;
      case PK_NODE_UNREADABLE:
        out_ << (n.storage == PK_STORED_TEXT ? dialect_.unreadable(column(n.column, prefix)) : std::string("1 = 0"));
        break;
      default: throw Error(PK_NOT_SUPPORTED, "predicate node kind " + std::to_string(n.kind) + " is newer than this backend");
    }
  }

  void list(std::uint32_t index, const pk_node& n, const char* glue, const std::string& prefix, const std::string& reference) {
    if (n.child_count == 0) throw Error(PK_INVALID_ARGUMENT, "a list of conditions is empty");
    out_ << "(";
    for (std::uint32_t i = 0; i < n.child_count; ++i) {
      if (i > 0) out_ << glue;
      child(index, n.first_child + i, prefix, reference);
    }
    out_ << ")";
  }

  // Children stand behind their parent, so that no node can be its own descendant.
  void child(std::uint32_t parent, std::uint32_t index, const std::string& prefix, const std::string& reference) {
    if (index <= parent) throw Error(PK_INVALID_ARGUMENT, "a predicate node stands before its parent");
    node(index, prefix, reference);
  }

  void compare(const pk_node& n, const std::string& prefix) {
    out_ << column(n.column, prefix) << op_text(n.op);
    const Value v = value(n.first_value);
    if (v.kind == PK_VALUE_INSTANT || v.kind == PK_VALUE_WALL) {
      need_calendar(v.i64);
      dialect_.bind_time(out_, n, v.i64);
    } else {
      out_.bind(v, n.column_kind);
    }
  }

  void time(const pk_node& n, const std::string& col, const std::string& prefix) {
    const bool negated = (n.flags & PK_NEGATED) != 0;
    const bool purge_null = !negated && (n.flags & PK_PURGE_NULL) != 0;
    need_calendar(n.cutoff_ns);
    need_calendar(n.wall_cutoff_ns);
    if (Dialect::is_epoch(n) && n.unit_ns <= 0) throw Error(PK_INVALID_ARGUMENT, "a number is to be read as a time without a unit");
    const std::string counts = dialect_.counts(col, n);
    if (purge_null) out_ << "(";
    out_ << "(";
    if (n.lifetime_column.size == 0) {
      dialect_.time_before(out_, col, n, negated);
    } else {
      lifetime(n, col, column(n.lifetime_column, prefix), negated);
    }
    if (!counts.empty()) out_ << " AND " << counts;
    out_ << ")";
    if (purge_null) {
      out_ << " OR " << col << " IS NULL";
      if (!counts.empty()) out_ << " OR NOT (" << counts << ")";
      out_ << ")";
    }
  }

  // stored time + lifetime < cutoff, as: lifetime * unit < cutoff - stored time; the bare time column is tested against the
  // cutoff as well, which a positive lifetime implies and an index can use.
  void lifetime(const pk_node& n, const std::string& col, const std::string& life, bool negated) {
    const bool never_purges = (n.flags & PK_PURGE_NEVER) != 0;
    if (!negated) {
      dialect_.time_before(out_, col, n, false);
      out_ << " AND ";
    }
    if (never_purges) {
      out_ << "CASE WHEN " << life << " > 0 THEN " << dialect_.exact(life) << " ELSE 0 END";
    } else {
      out_ << life << " > 0 AND " << dialect_.exact(life);
    }
    out_ << " * " << std::to_string(n.lifetime_unit_ns) << (negated ? " >= " : " < ");
    dialect_.age_ns(out_, col, n);
    if (n.zone_step_count == 0) return;
    const pk_zone_step* steps = part(predicate_.zone_steps, predicate_.zone_step_count, n.first_zone_step, n.zone_step_count);
    for (std::uint32_t i = 1; i < n.zone_step_count; ++i) need_calendar(steps[i].from_wall_ns);
    dialect_.zone_offset(out_, col, n, steps);
  }

  void exists(std::uint32_t index, const pk_node& n, const std::string& reference) {
    const pk_join* joins = part(predicate_.joins, predicate_.join_count, n.first_join, n.join_count);
    if (n.join_count == 0) throw Error(PK_INVALID_ARGUMENT, "rows of another table are looked for without a column in common");
    const std::string alias = next_alias();
    out_ << ((n.flags & PK_NEGATED) != 0 ? "NOT EXISTS" : "EXISTS") << " (SELECT 1 FROM "
         << qualified(dialect_, to_view(n.other_schema), to_view(n.other_table)) << " AS " << alias << " WHERE ";
    for (std::uint32_t i = 0; i < n.join_count; ++i) {
      const pk_join& join = joins[i];
      if (i > 0) out_ << " AND ";
      out_ << column(join.other_column, alias + ".") << op_text(join.op) << column(join.this_column, reference);
    }
    if (n.child_count > 0) {
      out_ << " AND ";
      child(index, n.first_child, alias + ".", alias + ".");
    }
    out_ << ")";
  }

  void keep_latest(const pk_node& n, const std::string& reference) {
    const bool negated = (n.flags & PK_NEGATED) != 0;
    const pk_text* names = part(predicate_.names, predicate_.name_count, n.first_name, n.name_count);
    const pk_text* ties = part(predicate_.names, predicate_.name_count, n.first_tie, n.tie_count);
    const std::string alias = next_alias();
    const std::string mine = column(n.column, reference);
    const std::string other = column(n.column, alias + ".");
    if (n.count == 1) {
      out_ << (negated ? "NOT EXISTS" : "EXISTS") << " (SELECT 1 FROM ";
    } else {
      out_ << "(SELECT COUNT(*) FROM ";
    }
    out_ << qualified(dialect_, to_view(n.other_schema), to_view(n.other_table)) << " AS " << alias << " WHERE ";
    for (std::uint32_t i = 0; i < n.name_count; ++i) {
      const pk_text name = names[i];
      out_ << dialect_.null_safe_equal(column(name, alias + "."), column(name, reference)) << " AND ";
    }
    out_ << "(" << other << " > " << mine << " OR (" << mine << " IS NULL AND " << other << " IS NOT NULL)";
    if (n.tie_count > 0) {
      out_ << " OR (" << dialect_.null_safe_equal(other, mine) << " AND (";
      for (std::uint32_t i = 0; i < n.tie_count; ++i) {
        if (i > 0) out_ << " OR (";
        for (std::uint32_t j = 0; j < i; ++j) {
          const pk_text equal = ties[j];
          out_ << column(equal, alias + ".") << " = " << column(equal, reference) << " AND ";
        }
        const pk_text name = ties[i];
        out_ << column(name, alias + ".") << " > " << column(name, reference);
        if (i > 0) out_ << ")";
      }
      out_ << "))";
    }
    out_ << "))";
    if (n.count != 1) out_ << (negated ? " < " : " >= ") << std::to_string(n.count);
  }

  // :name outside quotes and comments becomes a placeholder; "::" is a cast.
  void raw(const pk_node& n) {
    const std::string_view text = to_view(n.sql);
    out_ << ((n.flags & PK_NEGATED) != 0 ? "NOT (" : "(");
    std::size_t plain = 0;
    for (std::size_t i = 0; i < text.size();) {
      const char c = text[i];
      if (c == '\'' || c == '"' || c == '`') {
        const std::size_t end = text.find(c, i + 1);
        i = end == std::string_view::npos ? text.size() : end + 1;
      } else if (c == '-' && text.substr(i, 2) == "--") {
        const std::size_t end = text.find('\n', i);
        i = end == std::string_view::npos ? text.size() : end;
      } else if (c == '/' && text.substr(i, 2) == "/*") {
        const std::size_t end = text.find("*/", i + 2);
        i = end == std::string_view::npos ? text.size() : end + 2;
      } else if (c == ':' && i + 1 < text.size() && text[i + 1] == ':') {
        i += 2;
      } else if (c == ':' && i + 1 < text.size() && is_name_start(text[i + 1])) {
        std::size_t end = i + 1;
        while (end < text.size() && (is_name_start(text[end]) || (text[end] >= '0' && text[end] <= '9'))) ++end;
        out_ << text.substr(plain, i - plain);
        out_.bind(named(n, text.substr(i + 1, end - i - 1)));
        plain = i = end;
      } else {
        ++i;
      }
    }
    // A "--" comment at the end of the text must not swallow the bracket.
    out_ << text.substr(plain) << (text.find("--") == std::string_view::npos ? ")" : "\n)");
  }

  static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

  Value named(const pk_node& n, std::string_view name) const {
    const pk_text* names = part(predicate_.names, predicate_.name_count, n.first_name, n.name_count);
    for (std::uint32_t i = 0; i < n.name_count; ++i) {
      if (to_view(names[i]) == name) return value(n.first_value + i);
    }
    throw Error(PK_INVALID_ARGUMENT, "the sql rule uses :" + std::string(name) + " but gives no value for it");
  }

  // `count` items from number `first` on, all of them there.
  template <class T>
  static const T* part(const T* items, std::size_t all, std::uint32_t first, std::uint32_t count) {
    if (first > all || count > all - first) throw Error(PK_INVALID_ARGUMENT, "a predicate node points behind its lists");
    return items + first;
  }

  static void need_calendar(std::int64_t ns) {
    if (!is_in_calendar(ns)) throw Error(PK_INVALID_ARGUMENT, "a time of the predicate lies outside the years 1678 to 2261");
  }

  Value value(std::uint32_t index) const {
    if (index >= predicate_.value_count) throw Error(PK_INVALID_ARGUMENT, "predicate value out of range");
    return Value::from_c(predicate_.values[index]);
  }

  std::string next_alias() { return "pk" + std::to_string(++aliases_); }

  Sql& out_;
  const Dialect& dialect_;
  const pk_predicate& predicate_;
  std::string outer_;
  bool qualify_;
  int aliases_ = 0;
};

/// Add the predicate of a statement on `table` to `out`. Columns are qualified only where a subquery could confuse them.
inline void render_predicate(Sql& out, const pk_predicate& predicate, std::string_view table) {
  Renderer(out, predicate, out.dialect().quote(table), has_subquery(predicate)).render();
}

}  // namespace purgekit::sdk
