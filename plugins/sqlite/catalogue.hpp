/// \file catalogue.hpp
/// Reads tables, keys, indexes, foreign keys and sizes from SQLite's schema.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "database.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sqlite {

/// A table with what the walks need beyond sdk::Table.
struct Described {
  sdk::Table table;
  std::string rowid;       ///< how a statement names the rowid; empty: it has none, or real columns hide all its names
  std::string key_index;   ///< WITHOUT ROWID: name of the index that is the table
  bool key_not_null = false;  ///< no key column can be NULL, so a walk along the key sees every row
};

/// \throws sdk::Error PK_NOT_FOUND.
Described read_catalogue(Database& db, const sdk::TableName& name);

/// Tables a person could have meant.
std::vector<std::string> table_names(Database& db);

/// Kind of a column from its declared type, by SQLite's own rules of affinity; times are text unless declared as numbers.
pk_column_kind column_kind(const std::string& declared_type);

/// The CREATE TRIGGER text, as SQLite keeps it, is about this event ("delete", "insert", "update").
bool fires_on(const std::string& event, const std::string& create_trigger);

}  // namespace purgekit::sqlite
