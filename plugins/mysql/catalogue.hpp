/// \file catalogue.hpp
/// What information_schema says of a table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "line.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// \param database the URL's database, used when the name has no schema.
sdk::Table read_catalogue(Line& line, const sdk::TableName& name, const std::string& database);

/// Tables of the named or default schema.
std::vector<std::string> table_names(Line& line, const sdk::TableName& name, const std::string& database);

/// A column whose values sort otherwise than they compare with text (ENUM, SET), or not at all: no range of it can be walked.
bool is_walkable(const sdk::Column& column);

/// What InnoDB calls a table, "schema/table"; nothing where the name is written in a code of the server's own.
std::optional<std::string> innodb_name(const std::string& schema, const std::string& table);

/// The server would let this user run `statement`, as far as EXPLAIN tells without running it.
bool may_run(Line& line, const std::string& statement);

}  // namespace purgekit::mysql
