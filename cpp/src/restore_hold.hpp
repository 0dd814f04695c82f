/// \file restore_hold.hpp
/// The hold that keeps restored rows from the next purge. Internal.
#pragma once

#include <string>

#include "restore_scope.hpp"

namespace purgekit {

/// Rows of `part.source` whose key the archive marks as restored. Empty where the table has no key to tell its rows by.
std::string restored_hold_id(const RestorePart& part);

/// Open a transaction in which that hold is kept. No chunk that began without knowing of it can be committed afterwards: the table's slot is
/// locked, so that the chunk in hand is waited for, and its epoch moved on.
void begin_with_hold(Session& session, const RestorePart& part, const std::string& restored_run_id);

}  // namespace purgekit
