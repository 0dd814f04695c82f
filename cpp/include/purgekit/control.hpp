/// \file control.hpp
/// Ends a run from outside.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

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

  /// Other limits for a run in progress: each chunk that begins from now on heeds them.
  void set_chunk_ms(double chunk_ms) noexcept { chunk_ms_ = chunk_ms; }
  void set_paused(bool paused) noexcept { paused_ = paused; }
  /// 0: as the run was started.
  double chunk_ms() const noexcept { return chunk_ms_; }
  bool paused() const noexcept { return paused_; }

  /// cancel() reaches this session from now on.
  void attach(Session& session);
  /// And no longer: call it before the session ends.
  void detach(Session& session);

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<double> chunk_ms_{0};
  std::atomic<bool> paused_{false};
  std::string reason_;
  std::vector<Session*> sessions_;
};

/// Attached for as long as this lives.
class Attached {
 public:
  Attached(RunControl& control, Session& session) : control_(control), session_(session) { control_.attach(session_); }
  ~Attached() { control_.detach(session_); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

 private:
  RunControl& control_;
  Session& session_;
};

}  // namespace purgekit
