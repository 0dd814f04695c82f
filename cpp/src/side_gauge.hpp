/// \file side_gauge.hpp
/// A figure that is read again and again on a connection of its own, while a purge goes on. Internal to the runner.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "purgekit/control.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

/// Thread rule: latest() may be called from any thread; everything else belongs to the thread that made it.
class SideGauge {
 public:
  using Ask = std::function<double(Session&)>;
  struct Reading {
    double value = 0;        ///< the last answer
    double age_s = 0;        ///< since then
    double under_way_s = 0;  ///< how long the question under way has been waiting for its answer
    std::string problem;     ///< why the last question got none, or empty
  };

  /// `name` is for people. `connection` must outlive it. A question is asked `every_s` after the last answer.
  SideGauge(std::string name, const pk_backend& backend, const sdk::ConnectParams& connection, RunControl& control, Ask ask, double every_s);
  /// Cancels the question under way.
  ~SideGauge();
  SideGauge(const SideGauge&) = delete;
  SideGauge& operator=(const SideGauge&) = delete;

  /// Connect and ask once; from then on it goes by itself. \throws sdk::Error when there is no answer.
  void start();
  Reading latest() const;
  const std::string& name() const { return name_; }

 private:
  using Clock = std::chrono::steady_clock;

  void go_on();
  void ask_again();
  bool stopping(double wait_s);

  std::string name_;
  const sdk::ConnectParams& connection_;
  Session session_;
  Attached attached_;
  Ask ask_;
  double every_s_;
  bool lost_ = false;

  mutable std::mutex mutex_;  // guards all below but the thread
  std::condition_variable wake_;
  bool stop_ = false;
  Reading last_;
  Clock::time_point answered_at_{};
  Clock::time_point asked_at_{};
  bool asking_ = false;

  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace purgekit
