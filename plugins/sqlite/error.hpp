/// \file error.hpp
/// What SQLite's result codes mean to the engine.
#pragma once

#include <string_view>

#include "purgekit/sdk/error.hpp"

namespace purgekit::sqlite {

/// Pure: an extended result code, and SQLite's message where the code alone does not tell.
pk_code classify(int extended_code, std::string_view message) noexcept;

/// The error for people: what happened, what is safe, what to do next.
/// \param detail SQLite's own words. They name tables and columns, never values.
sdk::Error make_error(int extended_code, std::string_view detail);

}  // namespace purgekit::sqlite
