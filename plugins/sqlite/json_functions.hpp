/// \file json_functions.hpp
/// JSON functions in the schema of a file, for a library that does not count them among those without side effects.
#pragma once

#include <sqlite3.h>

namespace purgekit::sqlite {

/// Before 3.41 SQLite forbids its own JSON functions in CHECK constraints, generated columns, indexes and triggers of a schema that
/// is not trusted, so that no table of such a file can be read. They have no side effects: those that test or take a value are
/// registered once more on our own connection, as allowed there, and answered by the library itself.
/// Throws sdk::Error when SQLite refuses them.
void allow_json_in_schema(sqlite3* db);

}  // namespace purgekit::sqlite
