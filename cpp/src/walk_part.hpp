/// \file walk_part.hpp
/// A part of one pass through a table. Internal.
#pragma once

#include <string>

namespace purgekit {

/// One worker goes through it at a time; a pass that is not cut is one part.
struct WalkPart {
  std::string cursor;  ///< the last committed chunk's end, in the backend's words; empty: start of the table
  std::string until;   ///< where it ends; empty: end of the table
  bool taken = false;  ///< by a worker
  bool done = false;
};

}  // namespace purgekit
