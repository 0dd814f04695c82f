/// \file loader.hpp
/// Opens one plugin file and checks it before anything is called. Internal to the registry.
#pragma once

#include <string>

#include "purgekit/abi.h"

namespace purgekit {

/// The filled and completed table of the plugin at `path`. \throws sdk::Error telling why it is refused.
pk_backend load_plugin(const std::string& path);

}  // namespace purgekit
