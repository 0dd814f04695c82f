/// \file values.hpp
/// SDK values into the connector's parameters, and its rows back.
#pragma once

#include <functional>
#include <memory>
#include <sstream>
#include <vector>

#include "client.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::mysql {

/// Streams the connector reads bytes from when it executes; must live until then.
using ByteStreams = std::vector<std::unique_ptr<std::istringstream>>;

ByteStreams bind_all(sql::PreparedStatement& statement, const std::vector<sdk::Value>& params);

void for_each_row(sql::ResultSet& result, const std::function<void(sdk::Row)>& visit);

}  // namespace purgekit::mysql
