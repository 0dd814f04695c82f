#include "purgekit/control.hpp"

#include "purgekit/session.hpp"

namespace purgekit {

void RunControl::stop(const std::string& reason) {
  const std::scoped_lock lock(mutex_);
  if (!stopping_) reason_ = reason;
  stopping_ = true;
}

void RunControl::cancel() {
  const std::scoped_lock lock(mutex_);
  if (!stopping_) reason_ = "cancelled";
  stopping_ = true;
  cancelled_ = true;
  for (Session* session : sessions_) session->cancel();
}

std::string RunControl::reason() const {
  const std::scoped_lock lock(mutex_);
  return reason_;
}

void RunControl::attach(Session& session) {
  const std::scoped_lock lock(mutex_);
  sessions_.push_back(&session);
}

void RunControl::detach(Session& session) {
  const std::scoped_lock lock(mutex_);
  std::erase(sessions_, &session);
}

}  // namespace purgekit
