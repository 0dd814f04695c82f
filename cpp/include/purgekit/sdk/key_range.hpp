/// \file key_range.hpp
/// "Behind this key, up to that key" for keys of one or more columns.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "purgekit/sdk/dialect.hpp"

namespace purgekit::sdk {

/// A key column as it appears in statements.
struct KeyColumn {
  std::string sql;  ///< quoted
  std::uint32_t kind = PK_COLUMN_OTHER;
};

/// "a, b"
inline std::string column_list(const std::vector<KeyColumn>& key) {
  std::string out;
  for (const KeyColumn& column : key) out += (out.empty() ? "" : ", ") + column.sql;
  return out;
}

/// "a DESC, b DESC" or ascending.
inline std::string order_by(const std::vector<KeyColumn>& key, bool descending = false) {
  std::string out;
  for (const KeyColumn& column : key) out += (out.empty() ? "" : ", ") + column.sql + (descending ? " DESC" : "");
  return out;
}

/// The values of both, for the slots of two bounds.
inline Row joined(const Row& a, const Row& b) {
  Row out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

/// Adds "key > slots" or "key <= slots" (`op` is ">" or "<="), the slots being first_slot, first_slot + 1, …
/// Row constructors where the dialect walks them through an index, else a ladder of ORs behind a plain bound on the first
/// column, which every optimizer turns into a range.
inline void add_bound(Sql& out, const std::vector<KeyColumn>& key, const char* op, std::size_t first_slot) {
  const bool upper = op[0] == '<';
  if (key.size() == 1) {
    out << key[0].sql << " " << op << " ";
    out.slot(first_slot, key[0].kind);
    return;
  }
  if (out.dialect().has_row_ranges()) {
    out << "(" << column_list(key) << ") " << op << " (";
    for (std::size_t i = 0; i < key.size(); ++i) {
      if (i > 0) out << ", ";
      out.slot(first_slot + i, key[i].kind);
    }
    out << ")";
    return;
  }
  out << key[0].sql << (upper ? " <= " : " >= ");
  out.slot(first_slot, key[0].kind);
  out << " AND (";
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (i > 0) out << " OR (";
    for (std::size_t j = 0; j < i; ++j) {
      out << key[j].sql << " = ";
      out.slot(first_slot + j, key[j].kind);
      out << " AND ";
    }
    const bool last = i + 1 == key.size();
    out << key[i].sql << (upper ? (last ? " <= " : " < ") : " > ");
    out.slot(first_slot + i, key[i].kind);
    if (i > 0) out << ")";
  }
  out << ")";
}

/// Adds that the key is one of `rows` keys: slots 0, 1, … hold one after the other.
inline void add_any_of(Sql& out, const std::vector<KeyColumn>& key, std::size_t rows) {
  if (key.size() == 1) {
    out << key[0].sql << " IN (";
    for (std::size_t row = 0; row < rows; ++row) {
      if (row > 0) out << ", ";
      out.slot(row, key[0].kind);
    }
    out << ")";
    return;
  }
  for (std::size_t row = 0; row < rows; ++row) {
    out << (row > 0 ? " OR (" : "(");
    for (std::size_t i = 0; i < key.size(); ++i) {
      out << (i > 0 ? " AND " : "") << key[i].sql << " = ";
      out.slot(row * key.size() + i, key[i].kind);
    }
    out << ")";
  }
}

}  // namespace purgekit::sdk
