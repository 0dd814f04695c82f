/// \file error.hpp
/// What PostgreSQL's errors mean to the engine. Pure functions of text: no connection, no client library.
#pragma once

#include <string>
#include <string_view>

#include "purgekit/sdk/error.hpp"

namespace purgekit::postgresql {

/// Exact SQLSTATE first, then its class of two characters. 57014 counts as a timeout here: only the session knows whether
/// somebody asked to cancel.
pk_code code_for(std::string_view sqlstate) noexcept;

/// An attempt to connect has no SQLSTATE to offer, only libpq's sentence.
pk_code connect_code_for(std::string_view message) noexcept;

/// The parts of an error in libpq's verbose form that may be shown: no DETAIL and no HINT, which quote rows.
struct ServerMessage {
  std::string sqlstate;
  std::string primary;
  std::string constraint;
  std::string function;  ///< PL/pgSQL function that raised it, for triggers
};

ServerMessage parse_server_message(std::string_view text);

/// One line for people: what the server said, and what follows from it.
sdk::Error make_error(pk_code code, const ServerMessage& message);

/// `text` without `secret`, on one line.
std::string without_secret(std::string text, const std::string& secret);

}  // namespace purgekit::postgresql
