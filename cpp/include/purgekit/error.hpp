/// \file error.hpp
/// What the engine throws: an Error that knows which policy and table it is about and whether anything was changed.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/error.hpp"

namespace purgekit {

/// Decides the Python class and the exit code.
enum class ErrorKind {
  policy,      ///< the policy or an argument is wrong (PolicyError, exit 2)
  connection,  ///< the database can't be reached or does not let us in (ConnectionFailed, exit 2)
  refused,     ///< it could be done but must not be (PurgeRefused, exit 2)
  failed       ///< it failed while under way (PurgeFailed, exit 1)
};

/// One line for people: what happened, to which table, what to do next. Thrown before anything was changed unless `failed`.
class EngineError : public std::exception {
 public:
  EngineError(ErrorKind kind, std::string code, std::string message)
      : kind_(kind), code_(std::move(code)), message_(sdk::one_line(std::move(message))) {}
  /// From a backend's error; the kind follows from the code.
  explicit EngineError(const sdk::Error& error);

  EngineError& table(std::string name) { table_ = std::move(name); return *this; }
  EngineError& policy(std::string name) { policy_ = std::move(name); return *this; }

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const noexcept { return message_; }
  bool retryable() const noexcept { return retryable_; }
  const std::string& table() const noexcept { return table_; }
  const std::string& policy() const noexcept { return policy_; }

 private:
  ErrorKind kind_;
  std::string code_;
  std::string message_;
  bool retryable_ = false;
  std::string table_;
  std::string policy_;
};

/// A policy or argument that can't be right.
[[noreturn]] void bad_policy(const std::string& message);
/// Something that could be done and must not be.
[[noreturn]] void refuse(std::string code, const std::string& message);

/// " (did you mean X?)" with the candidate nearest to `wrong`, or "" when none is near.
std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& candidates);

}  // namespace purgekit
