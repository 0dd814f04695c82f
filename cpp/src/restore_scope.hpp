/// \file restore_scope.hpp
/// Which archived rows a restore is about: tables in the order that foreign keys want, each with its condition. Internal.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "purgekit/lower.hpp"
#include "purgekit/restore.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

/// One table to put rows back into.
struct RestorePart {
  sdk::Table source;
  sdk::Table archive;
  std::optional<LoweredPredicate> where;  ///< over the archive's columns; none: all rows of the run
  const FileTable* files = nullptr;       ///< what is to be loaded into the archive before
  bool to_make = false;                   ///< the archive is still to be made: it is described as it will be
};

/// Parents before children. `now_ns` is the database's clock.
/// \throws EngineError when the run is unknown or kept nothing, or when a table is not what it was.
std::vector<RestorePart> restore_parts(Session& session, const RestoreOptions& options, const std::vector<sdk::RunRecord>& records, std::int64_t now_ns,
                                       std::vector<Warning>& warnings);

}  // namespace purgekit
