#include "pressure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace purgekit {
namespace {

constexpr double read_every_s = 0.25;
constexpr double stale_after_s = 15;
// From here on the pace goes down in proportion, to half of it at the limit: a small redo log fills by a fifth each second, so that what
// reacts to the limit only overshoots it by far.
constexpr double near_limit = 0.7;
constexpr double ease_at_limit = 0.5;
// Five times the best is what people call slow; below 20 ms nobody does.
constexpr double probe_factor = 5;
constexpr double least_probe_limit_ms = 20;
// An eighth leaves a purge 12 % of the time in chunks of 12 ms: seen by nobody, and still an end in sight.
constexpr double least_ease = 0.125;
// From an eighth to the whole in about six seconds: longer than a checkpoint or a burst of logins that ended lets a log rest.
constexpr double recovery = 1.09;

constexpr const char* probe_name = "probe_ms";

std::string compared(const sdk::Signal& s) {
  const auto text = [](double value) {
    char out[48];
    std::snprintf(out, sizeof out, "%.*f", std::abs(value) < 10 && value != std::floor(value) ? 1 : 0, value);
    return std::string(out);
  };
  return s.name + " " + text(s.value) + " > " + text(s.limit);
}

}  // namespace

bool Pressure::take_turn(double now_s, bool has_probe) {
  if ((silent_ && !has_probe) || reading_ || now_s - last_read_s_ < read_every_s) return false;
  reading_ = true;
  if (tried_since_s_ < 0) tried_since_s_ = now_s;
  return true;
}

void Pressure::read(std::vector<sdk::Signal> signals, double took_ms, double now_s) {
  for (const sdk::Signal& s : signals) {
    const bool shares = s.shared_chunk_ms == 0 || (s.shared_chunk_ms > 0 && s.shared_time > 0 && s.shared_time <= 1);
    if (!std::isfinite(s.value) || !std::isfinite(s.limit) || s.limit < 0 || !shares) throw sdk::Error(PK_DATA, "the signal " + s.name + " is not a number");
  }
  reading_ = false;
  ever_read_ = true;
  tried_since_s_ = -1;
  last_read_s_ = now_s;
  signals_ = std::move(signals);
  const bool has_probe = std::any_of(signals_.begin(), signals_.end(), [](const sdk::Signal& s) { return s.name == probe_name; });
  if (!signals_.empty() && !has_probe) signals_.push_back(probe(took_ms));
  const auto found = std::max_element(signals_.begin(), signals_.end(), [](const auto& a, const auto& b) { return strain(a) < strain(b); });
  worst_.reset();
  if (found != signals_.end()) worst_ = *found;
  others_.reset();
  for (const sdk::Signal& s : signals_) {
    if (s.value > 0 && s.shared_chunk_ms > 0 && (!others_ || s.shared_chunk_ms < others_->shared_chunk_ms)) others_ = s;
  }
  const double worst = worst_ ? strain(*worst_) : 0;
  if (worst > near_limit) eased_by_ = worst_->name;
  if (worst > 1) {
    ease_ = std::max(least_ease, ease_ / 2);
  } else {
    const double allowed = 1 - (1 - ease_at_limit) * std::max(0.0, worst - near_limit) / (1 - near_limit);
    ease_ = std::min(allowed, ease_ * recovery);
  }
}

// Against the best of this very database: what is slow for one is usual for another. The middle of three, so that one hiccup is none.
sdk::Signal Pressure::probe(double took_ms) {
  took_ms_.push_back(took_ms);
  if (took_ms_.size() > 3) took_ms_.pop_front();
  std::vector<double> sorted(took_ms_.begin(), took_ms_.end());
  std::sort(sorted.begin(), sorted.end());
  const double middle_ms = sorted[(sorted.size() - 1) / 2];
  best_ms_ = best_ms_ > 0 ? std::min(best_ms_ * 1.005, middle_ms) : middle_ms;
  return {probe_name, middle_ms, std::max(least_probe_limit_ms, probe_factor * best_ms_)};
}

Pressure::Unread Pressure::failed(const sdk::Error& error, double now_s) {
  reading_ = false;
  if (!ever_read_ && (error.code() == PK_NOT_SUPPORTED || error.code() == PK_PRIVILEGE)) {
    silent_ = true;
    return Unread::silent;
  }
  return now_s - tried_since_s_ >= stale_after_s ? Unread::stale : Unread::again;
}

bool Pressure::overdue(double now_s) const { return reading_ && now_s - tried_since_s_ >= stale_after_s; }

void Pressure::interrupted() {
  reading_ = false;
  tried_since_s_ = -1;
}

std::optional<Pause> Pressure::hold() const {
  const double worst = worst_ ? strain(*worst_) : 0;
  if (worst <= 1) return std::nullopt;
  return Pause{std::min(2.0, read_every_s * (1 + 4 * (worst - 1))), compared(*worst_), worst_->name};
}

std::optional<Pause> Pressure::breath(double chunk_ms) const {
  const bool shares = others_ && others_->shared_time < ease_;
  const double share = shares ? others_->shared_time : ease_;
  if (share >= 1 || chunk_ms <= 0) return std::nullopt;
  return Pause{std::min(2.0, chunk_ms / 1000 * (1 / share - 1)), shares ? "others at work" : eased_by_ + " near its limit", shares ? others_->name : eased_by_};
}

double Pressure::chunk_ms(double wanted_ms) const { return (others_ ? std::min(wanted_ms, others_->shared_chunk_ms) : wanted_ms) * ease_; }

}  // namespace purgekit
