/// \file control.hpp
/// Ends a run from outside.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

namespace purgekit {

class Session;

/// Thread rule: every member may be called from any thread, signal handlers of the host language included (not from an
/// asynchronous C signal handler: it locks).
class RunControl {
 public:
  /// End after the chunk in hand. The first reason stays.
  void stop(const std::string& reason);
  /// Cancel the chunk in hand and roll it back.
  void cancel();

  bool stopping() const noexcept { return stopping_.load(); }
  bool cancelled() const noexcept { return cancelled_.load(); }
  std::string reason() const;

  /// Which session cancel() reaches; nullptr: none.
  void attach(Session* session);

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> cancelled_{false};
  std::string reason_;
  Session* session_ = nullptr;
};

}  // namespace purgekit
