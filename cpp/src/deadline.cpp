#include "purgekit/deadline.hpp"

#include <chrono>

namespace purgekit {

Deadline::Deadline(Session& session, std::int64_t budget_ms) {
  thread_ = std::thread([this, &session, budget_ms] {
    std::unique_lock lock(mutex_);
    auto wait = std::chrono::milliseconds(budget_ms);
    // Again and again: a cancel that comes before the statement reached the server has no effect.
    while (!changed_.wait_for(lock, wait, [this] { return over_; })) {
      fired_ = true;
      lock.unlock();
      session.cancel();
      lock.lock();
      wait = std::chrono::milliseconds(250);
    }
  });
}

bool Deadline::finish() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  return fired_;
}

Deadline::~Deadline() { finish(); }

}  // namespace purgekit
