#include "side_gauge.hpp"

#include <utility>

#include "purgekit/sdk/error.hpp"

namespace purgekit {

SideGauge::SideGauge(std::string name, const pk_backend& backend, const sdk::ConnectParams& connection, RunControl& control, Ask ask, double every_s)
    : name_(std::move(name)), connection_(connection), session_(backend), attached_(control, session_), ask_(std::move(ask)), every_s_(every_s) {}

SideGauge::~SideGauge() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  while (!ended_) {
    // One that comes before its question has reached the database is lost.
    session_.cancel();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  thread_.join();
}

void SideGauge::start() {
  session_.connect(connection_);
  last_.value = ask_(session_);
  answered_at_ = Clock::now();
  thread_ = std::thread([this] {
    go_on();
    ended_ = true;
  });
}

bool SideGauge::stopping(double wait_s) {
  std::unique_lock lock(mutex_);
  return wake_.wait_for(lock, std::chrono::duration<double>(wait_s), [this] { return stop_; });
}

void SideGauge::go_on() {
  while (!stopping(every_s_)) ask_again();
}

void SideGauge::ask_again() {
  {
    const std::scoped_lock lock(mutex_);
    asking_ = true;
    asked_at_ = Clock::now();
  }
  double value = 0;
  std::string problem;
  try {
    if (lost_) session_.connect(connection_);
    lost_ = false;
    value = ask_(session_);
  } catch (const sdk::Error& e) {
    lost_ = lost_ || e.connection_lost() || e.code() == PK_SERVER_SHUTDOWN;
    problem = e.message();
  } catch (const std::exception& e) {
    problem = e.what();
  }
  const std::scoped_lock lock(mutex_);
  asking_ = false;
  last_.problem = problem;
  if (!problem.empty()) return;
  last_.value = value;
  answered_at_ = Clock::now();
}

SideGauge::Reading SideGauge::latest() const {
  const std::scoped_lock lock(mutex_);
  const auto since = [](Clock::time_point instant) { return std::chrono::duration<double>(Clock::now() - instant).count(); };
  Reading out = last_;
  out.age_s = since(answered_at_);
  out.under_way_s = asking_ ? since(asked_at_) : 0;
  return out;
}

}  // namespace purgekit
