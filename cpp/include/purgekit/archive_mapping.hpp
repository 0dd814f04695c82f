/// \file archive_mapping.hpp
/// An archive that is a table of somebody else's making, such as a product's own audit table: what goes into which of its columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "purgekit/predicate.hpp"

namespace purgekit {

/// What goes into one column of the target.
struct ArchivePart {
  enum class From { column, now, run_id, value, own_default };

  std::string target;  ///< names as written
  From from = From::column;
  std::string source{};          ///< From::column
  Value value{};                 ///< From::value
  Unit unit = Unit::timestamp;   ///< From::now, into a number
  std::string timezone = "UTC";  ///< From::now, into a wall clock
  bool operator==(const ArchivePart&) const = default;
};

struct ArchiveMapping {
  std::string table;                 ///< as written
  std::vector<ArchivePart> parts{};  ///< by target; all else goes by name

  bool operator==(const ArchiveMapping&) const = default;
  std::string to_json() const;
  /// \throws EngineError (policy)
  static ArchiveMapping from_json(std::string_view text);
  /// Bring the parts into their order. \throws EngineError (policy) when a member can't be right.
  void check();
};

/// Add the zones that it reads the clock in, each once.
void collect_zones(const ArchiveMapping& mapping, std::vector<std::string>& zones);

}  // namespace purgekit
