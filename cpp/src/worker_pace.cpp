// What a worker waits for between two chunks.
#include <spdlog/spdlog.h>

#include <cmath>
#include <cstdio>
#include <utility>

#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"
#include "worker.hpp"

namespace purgekit {

void Worker::await_pace() {
  while (context_.control.paused()) wait(0.5, "paused");
  const Pause due = [&] {
    const Lock lock(work_.mutex);
    return work_.pacer.next();
  }();
  if (due.wait_s > 0) wait(due.wait_s, due.reason, due.name);
  if (context_.options.max_replica_lag_s && !context_.gauges.has_lag()) wait_for_replicas();
  while (const std::optional<Pause> held = context_.gauges.hold()) wait(held->wait_s, held->reason, held->name);
  if (context_.options.gentle || context_.options.pacer) heed_signals();
  if (context_.options.pacer && last_chunk_ms_ > 0) ask_pacer();
  last_chunk_ms_ = 0;
  sizer_.set_target_ms(chunk_ms());
}

// What a chunk may take now: as the run was started or was told since, and less under pressure.
double Worker::chunk_ms() const {
  const double told_ms = context_.control.chunk_ms();
  const double wanted_ms = told_ms > 0 ? told_ms : context_.options.chunk_ms;
  if (!context_.options.gentle) return wanted_ms;
  const Lock lock(work_.mutex);
  return work_.pressure.chunk_ms(wanted_ms);
}

// Whoever comes by when a reading is due makes it, so that it does not matter which worker is in a long chunk or done.
void Worker::heed_signals() {
  const bool gentle = context_.options.gentle;
  const auto asked = [&](auto&& question) {
    const Lock lock(work_.mutex);
    return question(work_.pressure);
  };
  for (;;) {
    read_signals();
    if (!gentle) return;
    const auto held = asked([](const Pressure& p) { return p.hold(); });
    if (!held) break;
    wait(held->wait_s, held->reason, held->name);
  }
  const auto breath = asked([&](const Pressure& p) { return p.breath(last_chunk_ms_); });
  if (breath) wait(breath->wait_s, breath->reason, breath->name);
}

void Worker::read_signals() {
  const auto turn = [&] {
    const Lock lock(work_.mutex);
    if (work_.pressure.overdue(context_.elapsed_s())) throw Stop{"the database's signals can't be read: no answer"};
    return work_.pressure.take_turn(context_.elapsed_s(), context_.gauges.has_probe());
  };
  const auto is_silent = [&] {
    const Lock lock(work_.mutex);
    return work_.pressure.silent();
  };
  while (turn()) {
    try {
      const double begun_s = context_.elapsed_s();
      std::vector<sdk::Signal> signals;
      if (!is_silent()) signals = session_.pressure();
      if (auto probe = context_.gauges.probe()) signals.push_back(std::move(*probe));
      const double now_s = context_.elapsed_s();
      const Lock lock(work_.mutex);
      work_.pressure.read(std::move(signals), (now_s - begun_s) * 1000, now_s);
      return;
    } catch (const sdk::Error& e) {
      if (context_.control.cancelled()) throw Stop{context_.control.reason()};
      if (e.connection_lost()) {
        {
          const Lock lock(work_.mutex);
          work_.pressure.interrupted();
        }
        log().warn("policy {}: {}; connecting again", work_.report.policy, e.message());
        reconnect();
        continue;
      }
      const Pressure::Unread unread = [&] {
        const Lock lock(work_.mutex);
        return work_.pressure.failed(e, context_.elapsed_s());
      }();
      switch (unread) {
        case Pressure::Unread::silent: log().debug("policy {}: no signals, pacing by chunk times: {}", work_.report.policy, e.message()); break;
        case Pressure::Unread::stale: throw Stop{"the database's signals can't be read: " + e.message()};
        case Pressure::Unread::again: wait(0.5, "signals can't be read"); break;
      }
    }
  }
}

void Worker::ask_pacer() {
  PaceFacts facts{work_.report.policy, work_.report.table, last_chunk_rows_, last_chunk_ms_, {}};
  {
    const Lock lock(work_.mutex);
    facts.signals = work_.pressure.signals();
  }
  double wait_s = 0;
  try {
    wait_s = context_.options.pacer(facts);
  } catch (const std::exception& e) {
    throw Stop{"pacer: " + sdk::one_line(e.what())};
  }
  if (!std::isfinite(wait_s) || wait_s < 0) throw Stop{"pacer: it is to return seconds to wait, 0 or more, not " + std::to_string(wait_s)};
  if (wait_s > 0) wait(wait_s, "pacer");
}

void Worker::wait_for_replicas() {
  if (context_.elapsed_s() - last_lag_check_s_ < 1) return;
  for (;;) {
    double lag_s = 0;
    try {
      lag_s = session_.replica_lag();
      lag_failed_since_s_ = -1;
    } catch (const sdk::Error& e) {
      if (e.connection_lost()) {
        log().warn("policy {}: {}; connecting again", work_.report.policy, e.message());
        reconnect();
        continue;
      }
      // A lag that can't be read any more stops the purge, not the caution.
      if (lag_failed_since_s_ < 0) lag_failed_since_s_ = context_.elapsed_s();
      if (context_.elapsed_s() - lag_failed_since_s_ > 15) throw Stop{"replica lag can't be read: " + e.message()};
      wait(1, "replica lag can't be read");
      continue;
    }
    last_lag_check_s_ = context_.elapsed_s();
    if (lag_s <= *context_.options.max_replica_lag_s) return;
    char reason[80];
    std::snprintf(reason, sizeof reason, "replica lag %.1f s > %.1f s", lag_s, *context_.options.max_replica_lag_s);
    wait(0.5, reason, "replica_lag_s");
  }
}

}  // namespace purgekit
