/// \file move_judge.hpp
/// What forbids a move, in one line with the way out; empty: nothing.
#pragma once

#include <string>

#include "line.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// What refers to the table by more than its name: triggers and foreign keys, either way.
std::string dependents_problem(Line& line, const std::string& schema, const std::string& table);

/// For every strategy.
std::string move_problem(Line& line, const sdk::Table& table, const sdk::Purge& purge, const std::string& account);

/// For "swap" and "truncate" beside that.
std::string swap_problem(Line& line, const sdk::Table& table);

/// For "partition" beside that.
std::string partition_problem(Line& line, const sdk::Table& table);

}  // namespace purgekit::mysql
