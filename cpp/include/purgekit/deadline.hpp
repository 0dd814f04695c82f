/// \file deadline.hpp
/// Cancels the call under way on a session when time is up.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "purgekit/session.hpp"

namespace purgekit {

/// While it lives, one call of `session` is cancelled after `budget_ms`. fired() tells whether it was; the destructor waits
/// until no cancel is on its way any more.
class Deadline {
 public:
  Deadline(Session& session, std::int64_t budget_ms);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  /// Stop the clock; whether it had fired.
  bool finish();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  bool fired_ = false;
  std::thread thread_;
};

}  // namespace purgekit
