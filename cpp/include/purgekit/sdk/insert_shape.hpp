/// \file insert_shape.hpp
/// What must be known of a table to insert into it, besides its description.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace purgekit::sdk {

struct InsertShape {
  std::vector<std::string> generated;   ///< columns that the database computes
  std::vector<std::string> required;    ///< columns without a default that take no NULL
  std::vector<std::string> triggers;    ///< that fire on INSERT
  bool has_identity = false;            ///< values of an identity column need a word that they are meant
  std::vector<std::string> identity{};  ///< columns that number themselves when nothing is given

  bool is_generated(const std::string& column) const { return std::find(generated.begin(), generated.end(), column) != generated.end(); }
};

}  // namespace purgekit::sdk
