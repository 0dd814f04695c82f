/// \file time_limit.hpp
/// Ends what a line has under way when its time is up. MySQL has no limit of its own for statements that write.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "line.hpp"

namespace purgekit::mysql {

class TimeLimit {
 public:
  /// \param limit zero: none.
  TimeLimit(Line& line, std::chrono::milliseconds limit) {
    if (limit.count() == 0) return;
    thread_ = std::thread([this, &line, limit] {
      std::unique_lock<std::mutex> lock(mutex_);
      if (ended_.wait_for(lock, limit, [this] { return stopped_; })) return;
      passed_ = true;
      lock.unlock();
      line.cancel();
    });
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  ~TimeLimit() { stop(); }

  /// No statement is ended by it any more. True when the time was up before.
  bool stop() noexcept {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    ended_.notify_all();
    if (thread_.joinable()) thread_.join();
    return passed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool stopped_ = false;
  bool passed_ = false;
  std::thread thread_;
};

}  // namespace purgekit::mysql
