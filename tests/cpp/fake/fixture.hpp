/// \file fixture.hpp
/// Plans and runs one policy on the scripted backend.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fake/connection.hpp"
#include "gtest/gtest.h"
#include "purgekit/planner.hpp"
#include "purgekit/runner.hpp"

namespace purgekit::fake {

class RunTest : public ::testing::Test {
 protected:
  RunTest();

  /// Rows 1 to n; every `each`-th is expired, with so many children.
  void fill(std::int64_t n, std::int64_t each = 2, std::int64_t children = 0);
  void with_children();
  Plan plan();
  /// Plan and run on a connection of its own.
  Report run();
  Report run(const Plan& plan);
  /// The one policy's report, after checking what must hold after any run.
  PolicyReport only(const Report& report);
  /// Rows that `only` must account for.
  std::int64_t expired() const { return db.expired_rows(0); }
  std::int64_t live() const { return static_cast<std::int64_t>(db.rows.size()) - expired(); }

  Database& db;
  Policy policy;
  PlanOptions plan_options;
  RunOptions run_options;
  RunControl control;
  FlightRecorder flight;
  std::vector<Progress> progress;
  std::unique_ptr<Session> session;
  std::int64_t rows_before = 0;      ///< when the last run began
  std::int64_t children_before = 0;
  std::int64_t live_before = 0;
};

}  // namespace purgekit::fake
