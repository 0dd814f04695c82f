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
  if (session_ != nullptr) session_->cancel();
}

std::string RunControl::reason() const {
  const std::scoped_lock lock(mutex_);
  return reason_;
}

void RunControl::attach(Session* session) {
  const std::scoped_lock lock(mutex_);
  session_ = session;
}

}  // namespace purgekit
