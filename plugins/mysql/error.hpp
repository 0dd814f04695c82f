/// \file error.hpp
/// What the errors of MariaDB, MySQL and their client libraries mean to the engine. Pure functions: no connection needed.
#pragma once

#include <string>
#include <string_view>

#include "purgekit/sdk/error.hpp"

namespace purgekit::mysql {

/// The vendor's number first, then the class (two characters) of the SQLSTATE.
pk_code code_for(int vendor_code, std::string_view sqlstate) noexcept;

/// The same for COMMIT: whatever does not surely mean "rolled back" is in doubt.
pk_code commit_code_for(int vendor_code, std::string_view sqlstate) noexcept;

/// Name in "… CONSTRAINT `name` FOREIGN KEY …", or empty.
std::string constraint_in(std::string_view message);

/// One line for people: what the server said, without stored values, and what follows from it.
sdk::Error make_error(pk_code code, int vendor_code, std::string_view sqlstate, std::string_view message);

}  // namespace purgekit::mysql
