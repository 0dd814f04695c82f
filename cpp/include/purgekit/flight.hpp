/// \file flight.hpp
/// What a run did last, kept in bounded memory, so that a failure can be looked into afterwards.
///
/// No row values and no secrets get in: statements as prepared (with parameter marks), names, counts, times, error codes. Messages of
/// servers and cursors stay out, because both may quote values of rows.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace purgekit {

namespace sdk {
class Error;
}

/// May be used from several threads.
class FlightRecorder {
 public:
  using Fact = std::pair<std::string, std::variant<std::int64_t, double, std::string>>;

  FlightRecorder();

  /// Something rare: a phase, a wait, a takeover. The last 150 are kept.
  void note(const std::string& kind, const std::string& policy, std::initializer_list<Fact> facts);
  /// A chunk. The last 50 are kept, so that a long calm flight does not push out what went wrong early.
  void chunk(const std::string& policy, std::initializer_list<Fact> facts);
  /// The code, never the message.
  void error(const std::string& policy, const std::string& during, const sdk::Error& error);
  /// The statements a policy works with now.
  void statements(const std::string& policy, const std::vector<std::string>& texts);

  /// {"events": [{"at_s", "utc", "kind", "policy", …}], "events_dropped", "statements": {policy: [text]}}
  std::string to_json() const;

 private:
  struct Event {
    std::uint64_t number = 0;
    double at_s = 0;  // since the recorder was made, by a clock that nobody sets
    std::int64_t utc_ns = 0;
    std::string kind;
    std::string policy;
    std::vector<Fact> facts;
  };
  void add(std::deque<Event>& ring, std::size_t most, const std::string& kind, const std::string& policy, std::vector<Fact> facts);

  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point start_;
  std::uint64_t events_ = 0;
  std::deque<Event> chunks_;
  std::deque<Event> others_;
  std::map<std::string, std::vector<std::string>> statements_;
};

}  // namespace purgekit
