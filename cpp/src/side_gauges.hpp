/// \file side_gauges.hpp
/// What a run looks at beside its own database session: a user's probe, and how far replicas are behind. Internal to the runner.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "purgekit/pacer.hpp"
#include "purgekit/runner.hpp"
#include "side_gauge.hpp"

namespace purgekit {

/// Thread rule: start() once, before the workers; then any thread.
class SideGauges {
 public:
  /// \throws EngineError when something can't be read: nothing was changed. All arguments must outlive it.
  void start(const pk_backend& backend, const sdk::ConnectParams& connection, const RunOptions& options, RunControl& control);

  /// While something is above its limit, or gives no answer: how long to wait before looking again.
  /// \throws Stop when there has been no answer for too long
  std::optional<Pause> hold() const;

  /// The user's probe as a signal of the database.
  std::optional<sdk::Signal> probe() const;
  bool has_probe() const { return probe_ != nullptr; }
  bool has_lag() const { return !lags_.empty(); }

 private:
  double lag_limit_s_ = 0;
  double probe_limit_ms_ = 0;
  std::unique_ptr<SideGauge> probe_;
  std::vector<std::unique_ptr<SideGauge>> lags_;
};

}  // namespace purgekit
