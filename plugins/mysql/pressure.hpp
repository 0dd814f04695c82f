/// \file pressure.hpp
/// How hard pressed the server is, from what any user may read.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "line.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

class PressureGauge {
 public:
  /// \throws Error PK_NOT_SUPPORTED when the server tells nothing of what is looked for
  std::vector<sdk::Signal> read(Line& line);
  /// Redo log and, where the server counts it, binary log, in bytes since it was started.
  static std::int64_t log_bytes(Line& line);
  /// Another session, maybe another server: forget what was learned of it.
  void reset() { *this = PressureGauge(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Status = std::map<std::string, double>;

  void learn(Line& line);
  static Status status(Line& line);
  void add_history(Line& line, Status& now);
  void add_others(std::vector<sdk::Signal>& out, const Status& now, std::int64_t sent, double elapsed_s) const;
  void add_rate(std::vector<sdk::Signal>& out, const char* signal, const char* name, const Status& now, double elapsed_s) const;

  bool learned_ = false;
  bool asks_metrics_ = false;  // MySQL has the history's length nowhere else, and only PROCESS opens it
  double running_limit_ = 0;
  double dirty_limit_pct_ = 0;
  Status last_;
  std::int64_t last_sent_ = 0;
  Clock::time_point last_at_{};
};

}  // namespace purgekit::mysql
