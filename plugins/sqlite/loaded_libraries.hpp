/// \file loaded_libraries.hpp
/// Which copies of SQLite are loaded into this process.
#pragma once

#include <string>

namespace purgekit::sqlite {

/// Name of a loaded object that holds a SQLite other than the one this plugin calls, or empty. Finds copies that were linked
/// in statically with hidden symbols, too. Scans each loaded object once: tens of milliseconds after libraries were loaded,
/// next to nothing otherwise. Always empty where the platform can't tell.
std::string other_sqlite_library();

}  // namespace purgekit::sqlite
