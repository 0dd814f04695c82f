/// \file move_names.hpp
/// Names of the tables that a move makes beside the one it purges. Each stroke has its own, so that what a dead client's sessions
/// are still about to do can never hit the tables of a later one.
#pragma once

#include <string>
#include <vector>

#include "line.hpp"

namespace purgekit::mysql {

struct MoveNames {
  std::string schema;
  std::string base;  ///< what they have in common

  std::string fresh() const { return quoted("_new"); }  ///< gets the rows that stay
  std::string aside() const { return quoted("_old"); }  ///< holds the rows that go, once the stroke is carried out; before, it is empty
  std::string note() const { return quoted("_note"); }  ///< says how many those are, until the ledger does

 private:
  std::string quoted(const char* suffix) const;
};

/// Names that nobody has used.
MoveNames new_move_names(const std::string& schema, const std::string& table);

/// What strokes that were not brought to their end have left behind.
std::vector<MoveNames> move_leftovers(Line& line, const std::string& schema, const std::string& table);

/// The server locks names in the order of their bytes, and a rename must come to wait for the table before it has anything else
/// (see swap_move.cpp). False for a long name only.
bool sorts_behind_its_table(const std::string& table);

}  // namespace purgekit::mysql
