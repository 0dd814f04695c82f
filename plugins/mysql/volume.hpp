/// \file volume.hpp
/// Room left where the server keeps its tables.
#pragma once

#include <cstdint>

#include "line.hpp"

namespace purgekit::mysql {

/// Bytes, or -1 when neither the server tells (MariaDB's plugin DISKS) nor it runs on this machine.
std::int64_t free_bytes(Line& line);

}  // namespace purgekit::mysql
