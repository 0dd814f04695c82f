/// \file pressure.hpp
/// How hard pressed the server is, from what this user may read.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::postgresql {

class PressureGauge {
 public:
  PressureGauge(sdk::SqlSession& session, int server_version, std::int64_t table_oid) : session_(session), server_version_(server_version), table_oid_(table_oid) {}
  std::vector<sdk::Signal> read();
  std::int64_t table_oid() const { return table_oid_; }
  /// As last read.
  bool others_at_work() const { return others_at_work_; }

 private:
  struct Part {
    std::string name;
    std::string value;  // an SQL expression; NULL: nothing to tell
    std::string limit;
  };
  std::vector<Part> parts() const;
  void learn();

  sdk::SqlSession& session_;
  int server_version_;
  std::int64_t table_oid_;
  std::vector<std::string> names_;
  std::string text_;  // reads all that can be read; empty: not known yet
  bool others_at_work_ = false;
  std::optional<double> last_wal_bytes_;
  std::chrono::steady_clock::time_point last_at_{};
};

}  // namespace purgekit::postgresql
