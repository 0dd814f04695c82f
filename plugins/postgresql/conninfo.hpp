/// \file conninfo.hpp
/// A database URL as libpq's "key='value' …" string.
#pragma once

#include <string>

#include "purgekit/sdk/table.hpp"

namespace purgekit::postgresql {

/// \throws Error PK_INVALID_ARGUMENT for an option that is not offered, naming the nearest one that is.
std::string conninfo(const sdk::ConnectParams& params);

/// The sslmode that holds: the URL's, else the environment's.
std::string effective_sslmode(const sdk::ConnectParams& params);

}  // namespace purgekit::postgresql
