/// \file create_text.hpp
/// What SHOW CREATE TABLE says, in the pieces a move needs. The server writes one column or key a line.
#pragma once

#include <string>
#include <vector>

#include "line.hpp"

namespace purgekit::mysql {

struct CreateText {
  std::string shape;                    ///< all of it but the table's name and its next AUTO_INCREMENT value
  std::string auto_increment;           ///< that value, or empty
  std::vector<std::string> keys;        ///< definitions of those that can be made later, in their order
  std::vector<std::string> key_names;   ///< quoted
};

/// \param name as it stands in SQL.
CreateText show_create(Line& line, const std::string& name);

/// The same of a text that the server gave.
CreateText parse_create(const std::string& text);

}  // namespace purgekit::mysql
