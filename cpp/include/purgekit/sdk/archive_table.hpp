/// \file archive_table.hpp
/// An archive table of purgekit's own: how it is made, and whether one that is there still fits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "purgekit/sdk/archive.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

/// Types of a table's columns as they stand in CREATE TABLE, and what stands behind its closing bracket.
struct ArchiveShape {
  std::vector<std::string> types;
  std::string suffix;
  std::string text_type;    ///< of our own columns; empty: as in the ledger
  std::string number_type = "BIGINT";
};

/// For databases that print types as CREATE TABLE reads them.
inline ArchiveShape plain_archive_shape(const Table& source) {
  ArchiveShape shape;
  for (const Column& column : source.columns) {
    const bool plain = column.type_name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_(), ") == std::string::npos;
    if (!plain) throw Error(PK_NOT_SUPPORTED, "the type of column " + column.name + " of table " + source.name + " can't be written by this backend; make the archive table by hand");
    shape.types.push_back(column.type_name);
  }
  return shape;
}

/// The CREATE TABLE.
inline std::string create_archive(const Dialect& dialect, const Table& source, const ArchiveTable& target, const ArchiveShape& shape) {
  std::string out = "CREATE TABLE " + qualified(dialect, target.schema, target.table) + " (";
  for (std::size_t i = 0; i < source.columns.size(); ++i) out += dialect.quote(source.columns[i].name) + " " + shape.types.at(i) + ", ";
  return out + dialect.quote(archive_run_column) + " " + (shape.text_type.empty() ? dialect.ledger_text(64) : shape.text_type) + " NOT NULL, " +
         dialect.quote(archive_chunk_column) + " " + shape.number_type + " NOT NULL, " +
         dialect.quote(archive_instant_column) + " " + dialect.archive_instant().first + " NOT NULL)" + shape.suffix;
}

/// What keeps `found`, called `name` by people, from taking rows of the source, with the way out; empty: nothing.
inline std::string archive_misfit(const Table& source, const Table& found, const std::string& name) {
  for (const Index& index : found.indexes) {
    const bool elsewhere = std::all_of(index.columns.begin(), index.columns.end(), [&](std::uint32_t c) {
      return c < found.columns.size() && source.find(found.columns[c].name) == nullptr && found.columns[c].name.rfind("purgekit_", 0) != 0;
    });
    if (index.unique && !elsewhere) return "archive table " + name + " has the unique index " + index.name + ", which would refuse a row that comes a second time; drop it";
  }
  for (const Column& column : source.columns) {
    const Column* same = found.find(column.name);
    if (same == nullptr) return "archive table " + name + " lacks column " + column.name + " (" + column.type_name + ") of table " + source.name + ": add it";
    if (same->type_name != column.type_name) {
      return "column " + column.name + " of archive table " + name + " is " + same->type_name + ", in table " + source.name + " it is " + column.type_name + ": change it";
    }
  }
  for (const char* column : {archive_run_column, archive_chunk_column, archive_instant_column}) {
    if (found.find(column) == nullptr) return "table " + name + " is no archive of purgekit: it lacks column " + std::string(column) + "; name another with table:NAME";
  }
  return "";
}

}  // namespace purgekit::sdk
