/// \file time_functions.hpp
/// SQL functions that read ISO 8601 text exactly, registered on our own connection only.
#pragma once

#include <sqlite3.h>

namespace purgekit::sqlite {

/// purgekit_before(text, instant_ns, wall_ns): 1 when the text is a time before the cutoff, 0 when it is not, NULL when it is no
///   readable time. purgekit_ns(text): nanoseconds, of the instant or of the wall clock. purgekit_zoned(text): 1, 0 or NULL.
/// Only values stored as text are read. Throws sdk::Error when SQLite refuses them.
void register_time_functions(sqlite3* db);

}  // namespace purgekit::sqlite
