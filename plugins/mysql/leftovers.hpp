/// \file leftovers.hpp
/// What strokes left behind whose client died, and the rows of theirs that no ledger has counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "move_names.hpp"

namespace purgekit::mysql {

class Leftovers {
 public:
  void look(Line& line, const std::string& schema, const std::string& table) { found_ = move_leftovers(line, schema, table); }
  void forget() { found_.clear(); }

  /// Clear away, up to the first stroke that was carried out and not counted: its rows, which the main line's open transaction
  /// counts by deleting their note.
  std::optional<std::int64_t> count(Line& main, Line& hand, std::uint32_t lock_wait_ms);

 private:
  std::vector<MoveNames> found_;
};

}  // namespace purgekit::mysql
