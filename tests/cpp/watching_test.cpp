// A watch: what an idle one does, what ends it, and what it begins again.
#include <string>

#include "fake/fixture.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

class Watching : public RunTest {
 protected:
  Watching() {
    fill(40);
    db.walks = {{"index:E", "index-range", "E", 0.1, "by the index"}, {"all", "key-range", "", 1, "all rows"}};
    run_options.watching.emplace();
    run_options.watching->interval_s = 0.05;
    run_options.watching->on_purge = [this](const WatchEvent& event) { told += event.tables.at(0).rows_deleted; };
  }
  /// Ends the watch at its `look`-th look for a row.
  void end_at(int look) {
    db.at("sample_key", look, [this](Connection&) { control.stop("enough"); });
  }
  std::int64_t told = 0;
};

TEST_F(Watching, PurgesWhatIsThereAndThenLooksOnly) {
  end_at(4);
  const PolicyReport r = run().policies.at(0);
  EXPECT_EQ(r.status, "stopped");
  EXPECT_EQ(r.stop_reason, "enough");
  EXPECT_EQ(r.exit_code(), 3);
  EXPECT_EQ(r.rows_deleted(), 20);
  EXPECT_EQ(told, 20);
  EXPECT_EQ(db.calls["count"], 0) << "nothing is counted";
  EXPECT_EQ(db.runs.size(), 1u);
}

TEST_F(Watching, AnIdleLookWritesNothing) {
  db.rows.clear();
  end_at(5);
  run();
  EXPECT_EQ(db.calls["sample_key"], 5);
  EXPECT_EQ(db.calls["begin"], 0);
  EXPECT_EQ(db.calls["note_add"], 2) << "the takeover's, and the end's";
}

TEST_F(Watching, WhatExpiresMeanwhileGoesInAPassOfItsOwn) {
  db.at("sample_key", 3, [this](Connection&) { db.now_ns += 1'000'000'000; });
  end_at(6);
  const PolicyReport r = run().policies.at(0);
  EXPECT_EQ(r.rows_deleted(), 40);
  EXPECT_EQ(db.runs.size(), 1u);
}

TEST_F(Watching, ALostConnectionIsMadeAnew) {
  db.at("sample_key", 2, raise(PK_CONNECTION_LOST));
  db.at("sample_key", 3, [this](Connection&) { db.now_ns += 1'000'000'000; });
  end_at(5);
  const PolicyReport r = run().policies.at(0);
  EXPECT_EQ(r.stop_reason, "enough");
  EXPECT_EQ(r.rows_deleted(), 40);
}

TEST_F(Watching, WhatFailsIsBegunAgainAsARunOfItsOwn) {
  db.at("delete_range", 1, raise(PK_DATA, "odd"));
  end_at(4);
  const PolicyReport r = run().policies.at(0);
  EXPECT_EQ(r.stop_reason, "enough");
  EXPECT_EQ(r.rows_deleted(), 20);
  EXPECT_EQ(db.runs.size(), 2u);
}

TEST_F(Watching, ASessionHasAnEnd) {
  run_options.watching->session_s = 0.12;
  end_at(8);
  run();
  EXPECT_GE(db.runs.size(), 2u);
}

TEST_F(Watching, AnotherRunEndsIt) {
  db.run_locked = true;
  const PolicyReport r = run().policies.at(0);
  EXPECT_EQ(r.stop_reason, "another_run");
  EXPECT_EQ(r.rows_deleted(), 0);
}

TEST_F(Watching, WithoutAnIndexItIsRefused) {
  db.walks = {{"all", "key-range", "", 1, "all rows"}};
  EXPECT_HAS(message_of([&] { run(); }), "CREATE INDEX T_EXPIRES_MS ON T (EXPIRES_MS)");
  run_options.watching->accept_scan = true;
  end_at(3);
  EXPECT_EQ(run().policies.at(0).rows_deleted(), 20);
}

TEST_F(Watching, LimitsThatItCannotKeepAreRefused) {
  run_options.workers = 2;
  EXPECT_HAS(message_of([&] { run(); }), "one worker");
  run_options.workers = 1;
  run_options.watching->interval_s = 100;
  EXPECT_HAS(message_of([&] { run(); }), "interval");
}

}  // namespace
}  // namespace purgekit::fake
