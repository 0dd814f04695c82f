#include "side_gauges.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <system_error>

#include "policy_work.hpp"
#include "purgekit/error.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double stale_after_s = 15;
constexpr double look_every_s = 0.5;
constexpr double ask_lag_every_s = 1;
// Shorter than what counts as stale, so that a slow answer is told from none.
constexpr std::uint32_t longest_ms = 10'000;
constexpr double least_longest_ms = 1'000;
constexpr double probe_bound_factor = 10;

constexpr const char* no_probe = "the probe can't be read";
constexpr const char* no_lag = "replica lag can't be read";

double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

// One that was cut off took too long, which is an answer.
double probe_ms(Session& session, const std::string& sql, std::uint32_t timeout_ms) {
  const auto start = Clock::now();
  try {
    return session.measure(sql, timeout_ms).elapsed_ms;
  } catch (const sdk::Error& e) {
    if (e.code() != PK_STATEMENT_TIMEOUT && e.code() != PK_LOCK_TIMEOUT) throw;
    return std::max(ms_since(start), static_cast<double>(timeout_ms));
  }
}

double asked_lag_s(Session& session, const std::string& sql) {
  const std::optional<double> lag_s = session.measure(sql, longest_ms).value;
  if (!lag_s || !std::isfinite(*lag_s)) throw sdk::Error(PK_DATA, "the query is to give one number, the seconds");
  return std::max(0.0, *lag_s);
}

std::string above(const char* format, double value, double limit) {
  char text[80];
  std::snprintf(text, sizeof text, format, value, limit);
  return text;
}

// Whether the figure is there to be looked at; a pause while it is awaited.
std::optional<Pause> awaited(const SideGauge& gauge, const SideGauge::Reading& reading, const char* what) {
  if (reading.age_s > stale_after_s) {
    throw Stop{std::string(what) + ": " + (gauge.name().empty() ? "" : gauge.name() + ": ") + (reading.problem.empty() ? "no answer" : reading.problem)};
  }
  if (reading.problem.empty()) return std::nullopt;
  return Pause{look_every_s, what, what};
}

void start_or_refuse(SideGauge& gauge, const char* code, const std::string& what) {
  const std::string name = gauge.name().empty() ? "" : gauge.name() + ": ";
  try {
    gauge.start();
  } catch (const sdk::Error& e) {
    refuse(code, what + ": " + name + e.message() + "; nothing was changed");
  } catch (const std::system_error& e) {
    refuse(code, what + ": " + name + "there is no thread for it: " + e.what() + "; nothing was changed");
  }
}

}  // namespace

void SideGauges::start(const pk_backend& backend, const sdk::ConnectParams& connection, const RunOptions& options, RunControl& control) {
  if (options.probe_limit_ms) {
    probe_limit_ms_ = *options.probe_limit_ms;
    const auto timeout_ms = static_cast<std::uint32_t>(std::clamp(probe_bound_factor * probe_limit_ms_, least_longest_ms, static_cast<double>(longest_ms)));
    probe_ = std::make_unique<SideGauge>("", backend, connection, control,
                                         [&sql = options.probe_sql, timeout_ms](Session& session) { return probe_ms(session, sql, timeout_ms); }, look_every_s);
    start_or_refuse(*probe_, "probe", "the query of --probe-sql can't be used");
  }
  if (!options.max_replica_lag_s) return;
  lag_limit_s_ = *options.max_replica_lag_s;
  const SideGauge::Ask ask = [&sql = options.lag_sql](Session& session) { return sql.empty() ? session.own_lag() : asked_lag_s(session, sql); };
  for (const Replica& replica : options.replicas) {
    lags_.push_back(std::make_unique<SideGauge>(replica.name, backend, replica.connection, control, ask, ask_lag_every_s));
  }
  if (lags_.empty() && !options.lag_sql.empty()) lags_.push_back(std::make_unique<SideGauge>("", backend, connection, control, ask, ask_lag_every_s));
  for (const auto& lag : lags_) start_or_refuse(*lag, "replica_lag", "the replica lag can't be read, so --max-replica-lag-s can't be kept");
}

std::optional<sdk::Signal> SideGauges::probe() const {
  if (!probe_) return std::nullopt;
  const SideGauge::Reading now = probe_->latest();
  return sdk::Signal{"probe_ms", std::max(now.value, now.under_way_s * 1000), probe_limit_ms_};
}

std::optional<Pause> SideGauges::hold() const {
  for (const auto& lag : lags_) {
    const SideGauge::Reading now = lag->latest();
    if (auto pause = awaited(*lag, now, no_lag)) return pause;
    if (now.value > lag_limit_s_) return Pause{look_every_s, above("replica lag %.1f s > %.1f s", now.value, lag_limit_s_), "replica_lag_s"};
  }
  if (!probe_) return std::nullopt;
  const SideGauge::Reading now = probe_->latest();
  if (auto pause = awaited(*probe_, now, no_probe)) return pause;
  const double latest_ms = std::max(now.value, now.under_way_s * 1000);
  if (latest_ms <= probe_limit_ms_) return std::nullopt;
  return Pause{look_every_s, above("probe_ms %.0f > %.0f", latest_ms, probe_limit_ms_), "probe_ms"};
}

}  // namespace purgekit
