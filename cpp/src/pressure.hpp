/// \file pressure.hpp
/// What a database's signals mean for a gentle purge: when it waits, how long it breathes between chunks, how small chunks get.
/// Internal to the runner.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/pacer.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit {

/// Above a limit it holds the purge until the value is back. `ease` falls to half with each such reading, and in proportion when a
/// value comes near its limit, so that a purge which fills a log by itself slows down before it has to stop; it comes back slowly.
/// Knows no clock: instants are seconds since the run began. Thread rule: the owner's lock is held.
class Pressure {
 public:
  enum class Unread {
    again,   ///< wait a moment and read again; no chunk meanwhile
    silent,  ///< this database tells nothing: the purge paces itself by its chunk times
    stale    ///< for too long: the purge ends, not the caution
  };

  /// Whether the signals are to be read now. Who is told so reads them and reports by one of the next three.
  /// `has_probe`: there is a user's probe among them, also where the database tells nothing.
  bool take_turn(double now_s, bool has_probe = false);
  /// The database tells nothing.
  bool silent() const { return silent_; }
  /// `took_ms`: to read them, which any small statement of others would have taken too. It becomes a signal of its own, `probe_ms`,
  /// unless a user's probe is among them.
  /// \throws sdk::Error PK_DATA when a figure is none; report it by `failed`
  void read(std::vector<sdk::Signal> signals, double took_ms, double now_s);
  Unread failed(const sdk::Error& error, double now_s);
  /// The reader's connection is gone, which is another's business.
  void interrupted();
  /// A reading that was begun long ago has not ended: whoever makes it hangs.
  bool overdue(double now_s) const;

  /// While a signal is above its limit: how long to wait before reading again. Longer the further above.
  std::optional<Pause> hold() const;
  /// What a chunk of `chunk_ms` is to be followed by.
  std::optional<Pause> breath(double chunk_ms) const;
  /// 1: unhindered. The share of the chunk's target time that a chunk may take, and of all time that chunks may take.
  double ease() const { return ease_; }
  /// What a chunk may take that is to take `wanted_ms` unhindered.
  double chunk_ms(double wanted_ms) const;
  const std::vector<sdk::Signal>& signals() const { return signals_; }

 private:
  sdk::Signal probe(double took_ms);
  static double strain(const sdk::Signal& signal) { return signal.limit > 0 ? signal.value / signal.limit : 0; }

  bool silent_ = false;
  bool ever_read_ = false;
  bool reading_ = false;
  double last_read_s_ = -1e9;
  double tried_since_s_ = -1;  // first try that has brought nothing yet
  std::vector<sdk::Signal> signals_;
  std::optional<sdk::Signal> worst_;  // the nearest to its limit, or the furthest above
  std::optional<sdk::Signal> others_;  // tells that others are at work
  std::deque<double> took_ms_;  // of the last readings
  double best_ms_ = 0;
  double ease_ = 1;
  std::string eased_by_;  // the signal that took it down
};

}  // namespace purgekit
