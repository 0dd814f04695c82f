// What may be called from other threads while a run works. Meant for the thread sanitizer; the outcome must be right as well.
#include <atomic>
#include <chrono>
#include <thread>

#include "fake/fixture.hpp"
#include "purgekit/log.hpp"
#include "purgekit/registry.hpp"

namespace purgekit::fake {
namespace {

class Threads : public RunTest {
 protected:
  Threads() {
    db.always["delete_range"] = [this](Connection&) {
      ++chunks_;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    };
  }

  /// Does `body` on other threads once the run has deleted something, until the run is over.
  template <class Body>
  Report run_beside(int threads, const Body& body) {
    const Plan planned = plan();
    std::atomic<bool> over{false};
    std::vector<std::thread> others;
    for (int i = 0; i < threads; ++i) {
      others.emplace_back([&] {
        while (chunks_ < 3 && !over) std::this_thread::yield();
        do {
          body();
          std::this_thread::yield();
        } while (!over);
      });
    }
    const Report report = run(planned);
    over = true;
    for (std::thread& other : others) other.join();
    return report;
  }

  std::atomic<int> chunks_{0};
};

TEST_F(Threads, StopEndsTheRunAfterTheChunkInHand) {
  fill(20'000);
  const PolicyReport r = only(run_beside(2, [this] { control.stop("signal"); }));
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "signal");
  EXPECT_GT(r.rows_deleted(), 0);
  EXPECT_GT(expired(), 0);
}

TEST_F(Threads, CancelRollsTheChunkInHandBack) {
  fill(20'000);
  const PolicyReport r = only(run_beside(2, [this] { control.cancel(); }));
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "cancelled");
  EXPECT_GT(expired(), 0);
}

TEST_F(Threads, TheFirstReasonStaysWhoeverElseStopsIt) {
  fill(20'000);
  std::atomic<int> next{0};
  const Report report = run_beside(4, [&] {
    control.stop(next++ == 0 ? "first" : "later");
    EXPECT_FALSE(control.reason().empty());
    EXPECT_TRUE(control.stopping());
  });
  EXPECT_EQ(report.policies[0].stop_reason, control.reason());
}

TEST_F(Threads, CancelMayComeAtAnyMomentOfTheSessionsLife) {
  for (int round = 0; round < 30; ++round) {
    RunControl fresh;
    fill(40);
    const Plan planned = plan();
    Session working(backend_named("fake"));
    working.connect({});
    std::thread other([&] {
      for (int i = 0; i < round % 7; ++i) std::this_thread::yield();
      fresh.cancel();
      working.cancel();
    });
    const Report report = run_plan(working, {}, planned, run_options, fresh, nullptr, flight);
    other.join();
    EXPECT_TRUE(report.status() == "stopped" || report.status() == "completed") << report.status();
    fresh.cancel();
  }
}

TEST_F(Threads, ACountIsEndedByItsDeadline) {
  fill(40);
  plan_options.count_budget_ms = 1;
  db.estimate = 20;
  db.always["count"] = [](Connection& connection) {
    while (!connection.cancelled()) std::this_thread::yield();
  };
  const Plan planned = plan();
  EXPECT_FALSE(planned.policies[0].exact);
}

TEST_F(Threads, TheLogMayBeTurnedWhileItIsWritten) {
  fill(2'000);
  std::atomic<int> lines{0};
  const Report report = run_beside(2, [&] {
    set_log_sink([&](const std::string&, const std::string&) { ++lines; });
    set_log_level("debug");
    set_log_level("warning");
  });
  set_log_sink(nullptr);
  EXPECT_EQ(report.status(), "completed");
}

}  // namespace
}  // namespace purgekit::fake
