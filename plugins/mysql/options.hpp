/// \file options.hpp
/// From a database URL to what the connector wants to know.
#pragma once

#include <string>

#include "client.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// What the operator wants of the encryption of the line.
enum class Tls { preferred, disabled, required, verify_ca, verify_identity };

struct ClientOptions {
  sql::ConnectOptionsMap map;  ///< holds the password
  Tls tls = Tls::preferred;
  bool local_socket = false;
  bool loopback = false;
  std::string place;  ///< "host:port" or the socket, for people
  int port = 0;  ///< 0: no TCP
  int read_timeout_s = 0;
};

/// \throws Error PK_INVALID_ARGUMENT for an unknown option, PK_NOT_SUPPORTED for one this connector would ignore.
ClientOptions client_options(const sdk::ConnectParams& params);

}  // namespace purgekit::mysql
