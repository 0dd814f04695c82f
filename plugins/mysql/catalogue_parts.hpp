/// \file catalogue_parts.hpp
/// The pieces read_catalogue is put together from.
#pragma once

#include <string>
#include <utility>

#include "catalogue.hpp"

namespace purgekit::mysql {

/// Exact database and table.
std::pair<std::string, std::string> resolve_table(Line& line, const sdk::TableName& name, const std::string& database);

/// Each fills its part of `table`, whose schema and name are known.
void read_columns(Line& line, sdk::Table& table);
void read_indexes(Line& line, sdk::Table& table);
void read_references(Line& line, sdk::Table& table);
void read_triggers(Line& line, sdk::Table& table);
void read_sizes(Line& line, sdk::Table& table);
void read_privileges(Line& line, sdk::Table& table);

}  // namespace purgekit::mysql
