// What signals do to a gentle purge.
#include "pressure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <thread>

#include "fake/fixture.hpp"

namespace purgekit {
namespace {

std::vector<sdk::Signal> redo(double used_pct) { return {{"redo_log_used_pct", used_pct, 80}}; }

sdk::Signal find(const std::vector<sdk::Signal>& signals, const std::string& name) {
  const auto found = std::find_if(signals.begin(), signals.end(), [&](const sdk::Signal& s) { return s.name == name; });
  return found == signals.end() ? sdk::Signal{} : *found;
}

class Gauge : public ::testing::Test {
 protected:
  void read(std::vector<sdk::Signal> signals, double took_ms = 1) {
    now_s += 0.25;
    ASSERT_TRUE(pressure.take_turn(now_s));
    pressure.read(std::move(signals), took_ms, now_s);
  }

  Pressure pressure;
  double now_s = 0;
};

TEST_F(Gauge, NothingIsDoneBelowTheLimit) {
  for (int i = 0; i < 10; ++i) read(redo(56));
  EXPECT_FALSE(pressure.hold());
  EXPECT_FALSE(pressure.breath(100));
  EXPECT_EQ(pressure.ease(), 1);
}

TEST_F(Gauge, HoldsAboveTheLimitLongerTheFurther) {
  read(redo(81));
  const auto slightly = pressure.hold();
  ASSERT_TRUE(slightly);
  EXPECT_EQ(slightly->reason, "redo_log_used_pct 81 > 80");
  EXPECT_EQ(slightly->name, "redo_log_used_pct");
  read(redo(160));
  EXPECT_GT(pressure.hold()->wait_s, 2 * slightly->wait_s);
  read(redo(1e9));
  EXPECT_LE(pressure.hold()->wait_s, 2);
  read(redo(80));
  EXPECT_FALSE(pressure.hold()) << "at the limit is not above it";
}

TEST_F(Gauge, SharesTheTimeWhileOthersAreAtWork) {
  read({{"others_at_work", 0, 0, 10, 0.6}});
  EXPECT_EQ(pressure.chunk_ms(100), 100);
  EXPECT_FALSE(pressure.breath(100));
  read({{"others_at_work", 3, 0, 10, 0.6}, {"others_elsewhere", 1, 0, 40, 1}});
  EXPECT_EQ(pressure.chunk_ms(100), 10);
  EXPECT_EQ(pressure.chunk_ms(5), 5) << "less than that is the user's own wish";
  EXPECT_FALSE(pressure.hold()) << "they are spared, not waited for";
  const auto breath = pressure.breath(9);
  ASSERT_TRUE(breath);
  EXPECT_NEAR(breath->wait_s, 0.006, 1e-9) << "6 ms of 15 are theirs";
  EXPECT_EQ(breath->name, "others_at_work");
  read({{"others_at_work", 0, 0, 10, 0.6}});
  EXPECT_FALSE(pressure.breath(100)) << "they are gone";
}

TEST_F(Gauge, PressureCountsBesideOthersAtWork) {
  read({{"others_at_work", 3, 0, 40, 0.6}, redo(90)[0]});
  EXPECT_EQ(pressure.chunk_ms(100), 20) << "half of what others leave";
  EXPECT_NEAR(pressure.breath(20)->wait_s, 0.02, 1e-9) << "the longer pause of the two, not both";
  EXPECT_EQ(pressure.breath(20)->name, "redo_log_used_pct");
}

TEST_F(Gauge, BacksOffFastAndComesBackSlowly) {
  read(redo(90));
  EXPECT_EQ(pressure.ease(), 0.5);
  for (int i = 0; i < 10; ++i) read(redo(90));
  EXPECT_EQ(pressure.ease(), 0.125) << "never to nothing";
  EXPECT_NEAR(pressure.breath(12)->wait_s, 0.084, 1e-6);
  int readings = 0;
  for (; pressure.ease() < 1 && readings < 1'000; ++readings) read(redo(10));
  EXPECT_GT(readings, 12) << "more than three seconds";
  EXPECT_LT(readings, 60);
  EXPECT_FALSE(pressure.breath(100));
}

TEST_F(Gauge, SlowsDownBeforeTheLimit) {
  double last = 1;
  for (const double used_pct : {60, 66, 72, 78, 80}) {
    read(redo(used_pct));
    EXPECT_FALSE(pressure.hold());
    EXPECT_LT(pressure.ease(), last);
    last = pressure.ease();
  }
  EXPECT_EQ(last, 0.5);
  EXPECT_EQ(pressure.breath(50)->name, "redo_log_used_pct");
}

TEST_F(Gauge, ASignalWithoutALimitIsOnlyShown) {
  read({{"pages_read_in_per_s", 1e12, 0}});
  EXPECT_FALSE(pressure.hold());
  EXPECT_EQ(find(pressure.signals(), "pages_read_in_per_s").value, 1e12);
}

TEST_F(Gauge, TheWorstOfManyCounts) {
  read({{"threads_running", 9, 8}, {"redo_log_used_pct", 96, 80}, {"lock_waits", 0, 8}});
  EXPECT_EQ(pressure.hold()->name, "redo_log_used_pct");
}

TEST_F(Gauge, ASlowReadingIsASignalOfItsOwn) {
  for (int i = 0; i < 5; ++i) read(redo(10), 2);
  read(redo(10), 500);
  EXPECT_FALSE(pressure.hold()) << "one hiccup is none";
  read(redo(10), 500);
  ASSERT_TRUE(pressure.hold());
  EXPECT_EQ(pressure.hold()->name, "probe_ms");
  for (int i = 0; i < 3; ++i) read(redo(10), 3);
  EXPECT_FALSE(pressure.hold());
}

TEST_F(Gauge, WhatIsUsualForThisDatabaseIsNoPressure) {
  for (int i = 0; i < 50; ++i) {
    read(redo(10), i % 2 == 0 ? 60 : 110);
    EXPECT_FALSE(pressure.hold());
  }
}

TEST_F(Gauge, AUsersProbeTakesThePlaceOfTheReadingsOwn) {
  std::vector<sdk::Signal> signals = redo(10);
  signals.push_back({"probe_ms", 3, 50});
  read(signals, 1000);
  EXPECT_EQ(pressure.signals().size(), 2u);
  EXPECT_EQ(find(pressure.signals(), "probe_ms").value, 3);
}

TEST_F(Gauge, IsReadFourTimesASecondAndByOneAtATime) {
  EXPECT_TRUE(pressure.take_turn(1));
  EXPECT_FALSE(pressure.take_turn(5)) << "somebody is at it";
  pressure.read(redo(10), 1, 5);
  EXPECT_FALSE(pressure.take_turn(5.2));
  EXPECT_TRUE(pressure.take_turn(5.25));
}

class Unread : public Gauge, public ::testing::WithParamInterface<pk_code> {};

TEST_P(Unread, ADatabaseThatTellsNothingIsAskedOnce) {
  ASSERT_TRUE(pressure.take_turn(1));
  EXPECT_EQ(pressure.failed(sdk::Error(GetParam(), "no"), 1), Pressure::Unread::silent);
  EXPECT_FALSE(pressure.take_turn(100));
}

TEST_P(Unread, WhatWasToldOnceIsMissedLater) {
  read(redo(10));
  double failing_s = now_s + 1;
  for (; failing_s < 15 + now_s; failing_s += 0.5) {
    ASSERT_TRUE(pressure.take_turn(failing_s));
    EXPECT_EQ(pressure.failed(sdk::Error(GetParam(), "no"), failing_s), Pressure::Unread::again);
  }
  ASSERT_TRUE(pressure.take_turn(failing_s + 1));
  EXPECT_EQ(pressure.failed(sdk::Error(GetParam(), "no"), failing_s + 1), Pressure::Unread::stale);
}

TEST_P(Unread, AUsersProbeIsHeededAlsoWhereTheDatabaseTellsNothing) {
  ASSERT_TRUE(pressure.take_turn(1, true));
  EXPECT_EQ(pressure.failed(sdk::Error(GetParam(), "no"), 1), Pressure::Unread::silent);
  ASSERT_TRUE(pressure.take_turn(1.25, true));
  EXPECT_TRUE(pressure.silent());
  pressure.read({{"probe_ms", 60, 50}}, 0, 1.25);
  ASSERT_TRUE(pressure.hold());
  EXPECT_EQ(pressure.hold()->reason, "probe_ms 60 > 50");
}

INSTANTIATE_TEST_SUITE_P(Codes, Unread, ::testing::Values(PK_NOT_SUPPORTED, PK_PRIVILEGE));

TEST_F(Gauge, AReadingThatHangsIsSeenByTheOthers) {
  read(redo(10));
  ASSERT_TRUE(pressure.take_turn(10));
  EXPECT_FALSE(pressure.overdue(20));
  EXPECT_TRUE(pressure.overdue(25));
  pressure.interrupted();
  EXPECT_FALSE(pressure.overdue(60)) << "its connection is gone, and is being made anew";
  EXPECT_TRUE(pressure.take_turn(60));
}

TEST_F(Gauge, AFigureThatIsNoneIsRefused) {
  for (const sdk::Signal& bad : {sdk::Signal{"x", NAN, 1}, sdk::Signal{"x", 1, INFINITY}, sdk::Signal{"x", 1, -1}, sdk::Signal{"x", 1, 0, NAN, 1}, sdk::Signal{"x", 1, 0, 10, 0}}) {
    now_s += 1;
    ASSERT_TRUE(pressure.take_turn(now_s));
    EXPECT_THROW(pressure.read({bad}, 1, now_s), sdk::Error);
    EXPECT_EQ(pressure.failed(sdk::Error(PK_DATA, "x"), now_s), Pressure::Unread::again);
  }
}

}  // namespace

namespace fake {
namespace {

class GentleRun : public RunTest {
 protected:
  GentleRun() {
    fill(200);
    run_options.gentle = true;
  }
  bool waited_for(const std::string& text) const {
    return std::any_of(progress.begin(), progress.end(), [&](const Progress& p) { return p.waiting.find(text) != std::string::npos; });
  }
};

TEST_F(GentleRun, WaitsUntilTheSignalIsBack) {
  db.signals = {{{"redo_log_used_pct", 90, 80}}, {{"redo_log_used_pct", 84, 80}}, {{"redo_log_used_pct", 20, 80}}};
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_GE(db.calls["pressure"], 3);
  EXPECT_TRUE(waited_for("redo_log_used_pct 84 > 80"));
  ASSERT_EQ(r.waits_s.count("redo_log_used_pct"), 1u);
  EXPECT_GT(r.waits_s.at("redo_log_used_pct"), 0.5);
  EXPECT_GE(r.throttled_s, r.waits_s.at("redo_log_used_pct"));
}

TEST_F(GentleRun, NoChunkBeginsAboveTheLimit) {
  db.signals = {{{"lock_waits", 9, 8}}};
  run_options.deadline_s = 0.6;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.stop_reason, "deadline");
  EXPECT_EQ(db.calls["delete_range"], 0);
  EXPECT_GT(r.waits_s.at("lock_waits"), 0.2) << "also a wait that a limit cuts short is accounted for";
}

TEST_F(GentleRun, FastAsksNobody) {
  db.signals = {{{"lock_waits", 9, 8}}};
  run_options.gentle = false;
  EXPECT_EQ(only(run()).status, "completed");
  EXPECT_EQ(db.calls["pressure"], 0);
}

TEST_F(GentleRun, WithoutSignalsItPacesByItsChunks) {
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(db.calls["pressure"], 1);
}

TEST_F(GentleRun, SignalsThatPassAwayAreMissedAndThenThereAgain) {
  db.signals = {{{"lock_waits", 0, 8}}};
  for (int call = 2; call <= 3; ++call) db.at("pressure", call, raise(PK_INTERNAL, "no figures"));
  db.always["delete_range"] = [](Connection&) { std::this_thread::sleep_for(std::chrono::milliseconds(60)); };
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_TRUE(waited_for("signals can't be read"));
}

TEST_F(GentleRun, ALostLineIsMadeAnew) {
  db.signals = {{{"lock_waits", 0, 8}}};
  db.at("pressure", 1, raise(PK_CONNECTION_LOST));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(db.calls["pressure"], 2);
}

TEST_F(GentleRun, AUsersPacerIsAskedOnceAChunk) {
  db.signals = {{{"lock_waits", 1, 8}}};
  std::vector<PaceFacts> facts;
  run_options.pacer = [&](const PaceFacts& f) {
    facts.push_back(f);
    return 0.01;
  };
  const PolicyReport r = only(run());
  // Nobody asks after the last chunk.
  EXPECT_EQ(static_cast<std::int64_t>(facts.size()), r.chunks - 1);
  EXPECT_EQ(find(facts.at(0).signals, "lock_waits").value, 1);
  EXPECT_GT(facts.at(0).elapsed_ms, 0);
  EXPECT_EQ(facts.at(0).rows, 5);
  EXPECT_GT(r.waits_s.at("pacer"), 0);
}

TEST_F(GentleRun, APacerThatThrowsStopsTheRunWithItsMessage) {
  run_options.pacer = [](const PaceFacts&) -> double { throw std::runtime_error("business hours"); };
  const PolicyReport r = only(run());
  EXPECT_EQ(r.exit_code(), 3);
  EXPECT_EQ(r.stop_reason, "pacer: business hours");
  EXPECT_EQ(r.chunks, 1) << "the chunk before it is committed";
}

class BadPacer : public GentleRun, public ::testing::WithParamInterface<double> {};

TEST_P(BadPacer, StopsTheRun) {
  run_options.pacer = [](const PaceFacts&) { return GetParam(); };
  EXPECT_EQ(only(run()).stop_reason.rfind("pacer: ", 0), 0u);
}

INSTANTIATE_TEST_SUITE_P(Answers, BadPacer, ::testing::Values(-1.0, NAN, INFINITY));

TEST_F(GentleRun, PausedByHandBeginsNoChunkUntilResumed) {
  control.set_paused(true);
  const Plan planned = plan();
  std::thread other([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    control.set_paused(false);
  });
  const PolicyReport r = only(run(planned));
  other.join();
  EXPECT_EQ(r.status, "completed");
  EXPECT_GT(r.waits_s.at("paused"), 0);
}

TEST_F(GentleRun, SeveralWorkersReadAsOne) {
  fill(2'000);
  db.can_be_cut = true;
  db.signals = {{{"lock_waits", 0, 8}}};
  run_options.workers = 3;
  const auto start = std::chrono::steady_clock::now();
  const PolicyReport r = only(run());
  const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(r.status, "completed");
  EXPECT_LE(db.calls["pressure"], 2 + static_cast<int>(elapsed_s / 0.25));
}

}  // namespace
}  // namespace fake
}  // namespace purgekit
