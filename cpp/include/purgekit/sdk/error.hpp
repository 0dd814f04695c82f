/// \file error.hpp
/// The one exception of the SDK and of the engine, and what follows from each code.
#pragma once

#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "purgekit/abi.h"

namespace purgekit::sdk {

/// Stable lower-case word for a code; appears in JSON and as `PurgekitError.code` in Python.
inline const char* code_name(pk_code code) noexcept {
  switch (code) {
    case PK_OK: return "ok";
    case PK_INVALID_ARGUMENT: return "invalid_argument";
    case PK_NOT_FOUND: return "not_found";
    case PK_NOT_SUPPORTED: return "not_supported";
    case PK_CONNECT_FAILED: return "connect_failed";
    case PK_AUTHENTICATION: return "authentication";
    case PK_PRIVILEGE: return "privilege";
    case PK_READ_ONLY: return "read_only";
    case PK_CONNECTION_LOST: return "connection_lost";
    case PK_IN_DOUBT: return "in_doubt";
    case PK_LOCK_TIMEOUT: return "lock_timeout";
    case PK_DEADLOCK: return "deadlock";
    case PK_SERIALIZATION: return "serialization";
    case PK_STATEMENT_TIMEOUT: return "statement_timeout";
    case PK_CANCELLED: return "cancelled";
    case PK_FOREIGN_KEY: return "foreign_key";
    case PK_TRIGGER: return "trigger";
    case PK_SERVER_RESOURCES: return "server_resources";
    case PK_SERVER_SHUTDOWN: return "server_shutdown";
    case PK_FENCED: return "fenced";
    case PK_SCHEMA_CHANGED: return "schema_changed";
    case PK_DATA: return "data";
    case PK_CORRUPT: return "corrupt";
    case PK_INTERNAL: return "internal";
    case PK_ARCHIVE_REFUSED: return "archive_refused";
  }
  return "internal";
}

/// Control characters as blanks: names and reasons come from policies, databases and servers.
inline std::string one_line(std::string text) {
  for (char& c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) c = ' ';
  }
  return text;
}

/// The same chunk may be tried again after a rollback, on the same connection.
inline bool is_retryable(pk_code code) noexcept {
  return code == PK_LOCK_TIMEOUT || code == PK_DEADLOCK || code == PK_SERIALIZATION || code == PK_STATEMENT_TIMEOUT ||
         code == PK_SERVER_RESOURCES;
}

/// The session is gone; a new one is needed.
inline bool is_connection_lost(pk_code code) noexcept {
  return code == PK_CONNECTION_LOST || code == PK_IN_DOUBT || code == PK_SERVER_SHUTDOWN;
}

/// What a verb throws. The message is one line for people, without values and secrets.
class Error : public std::exception {
 public:
  Error(pk_code code, std::string message) : code_(code), message_(one_line(std::move(message))) {}

  Error& sqlstate(std::string_view state) { sqlstate_ = state; return *this; }
  Error& vendor_code(int number) { vendor_code_ = number; return *this; }
  Error& constraint(std::string name) { constraint_ = std::move(name); return *this; }
  /// Put what was being done in front: "deleting from orders: …".
  Error& context(std::string_view doing) { message_ = std::string(doing) + ": " + message_; return *this; }

  pk_code code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const noexcept { return message_; }
  const std::string& sqlstate() const noexcept { return sqlstate_; }
  int vendor_code() const noexcept { return vendor_code_; }
  const std::string& constraint() const noexcept { return constraint_; }
  bool retryable() const noexcept { return is_retryable(code_); }
  bool connection_lost() const noexcept { return is_connection_lost(code_); }
  bool in_doubt() const noexcept { return code_ == PK_IN_DOUBT; }

  /// Write this error into the C struct, cutting what does not fit.
  int32_t to_c(pk_error* out) const noexcept {
    if (out != nullptr) {
      std::memset(out, 0, sizeof *out);
      out->code = code_;
      out->vendor_code = vendor_code_;
      copy(out->sqlstate, sizeof out->sqlstate, sqlstate_);
      copy(out->message, sizeof out->message, message_);
      copy(out->constraint, sizeof out->constraint, constraint_);
      out->retryable = retryable() ? 1 : 0;
      out->connection_lost = connection_lost() ? 1 : 0;
      out->in_doubt = in_doubt() ? 1 : 0;
    }
    return code_;
  }

  static Error from_c(int32_t code, const pk_error& error) {
    const bool known = code > PK_OK && code <= PK_ARCHIVE_REFUSED;
    const std::string message = bounded(error.message, sizeof error.message);
    Error result(known ? static_cast<pk_code>(code) : PK_INTERNAL, message.empty() ? "the backend gave no reason" : message);
    result.sqlstate(bounded(error.sqlstate, sizeof error.sqlstate)).vendor_code(error.vendor_code);
    result.constraint(bounded(error.constraint, sizeof error.constraint));
    return result;
  }

 private:
  // A backend may have forgotten the NUL.
  static std::string bounded(const char* text, std::size_t size) { return {text, strnlen(text, size)}; }

  static void copy(char* to, std::size_t size, const std::string& from) noexcept {
    std::size_t n = from.size() < size - 1 ? from.size() : size - 1;
    // Never cut inside a UTF-8 sequence.
    while (n > 0 && n < from.size() && (static_cast<unsigned char>(from[n]) & 0xC0u) == 0x80u) --n;
    std::memcpy(to, from.data(), n);
    to[n] = '\0';
  }

  pk_code code_;
  std::string message_;
  std::string sqlstate_;
  int vendor_code_ = 0;
  std::string constraint_;
};

}  // namespace purgekit::sdk
