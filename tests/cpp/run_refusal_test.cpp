// Everything a run refuses before it has changed anything.
#include <cmath>

#include "fake/fixture.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

class Refusal : public RunTest {
 protected:
  Refusal() { fill(40); }
  /// Code and message of the refusal; checks that nothing was changed.
  std::pair<std::string, std::string> refused(const Plan& planned) {
    std::pair<std::string, std::string> out;
    const std::size_t rows = db.rows.size();
    try {
      run(planned);
      ADD_FAILURE() << "it ran";
    } catch (const EngineError& e) {
      out = {e.code(), e.message()};
      EXPECT_NE(e.kind(), ErrorKind::failed) << "a refusal is exit 2";
    }
    EXPECT_EQ(db.rows.size(), rows);
    EXPECT_TRUE(db.slots.empty());
    EXPECT_EQ(db.calls["begin"], 0);
    EXPECT_EQ(db.calls["ledger_create"], 0) << "the ledger is made once all checks have passed";
    return out;
  }
  std::pair<std::string, std::string> refused() { return refused(plan()); }
};

TEST_F(Refusal, LimitsOutsideTheirRange) {
  const Plan planned = plan();
  const auto with = [&](auto change) {
    RunOptions kept = run_options;
    change(run_options);
    const std::string message = refused(planned).second;
    run_options = kept;
    return message;
  };
  EXPECT_HAS(with([](RunOptions& o) { o.chunk_ms = 0; }), "chunk-ms");
  EXPECT_HAS(with([](RunOptions& o) { o.chunk_ms = std::nan(""); }), "chunk-ms");
  EXPECT_HAS(with([](RunOptions& o) { o.max_rows = -1; }), "max-rows");
  EXPECT_HAS(with([](RunOptions& o) { o.max_rows_per_s = 0; }), "max-rows-per-s");
  EXPECT_HAS(with([](RunOptions& o) { o.max_replica_lag_s = -1; }), "max-replica-lag-s");
  EXPECT_HAS(with([](RunOptions& o) { o.lock_wait_ms = 0; }), "lock-wait-ms");
  EXPECT_HAS(with([](RunOptions& o) { o.max_fraction = 1.01; }), "max-fraction");
}

TEST_F(Refusal, ReadOnlyDatabase) {
  db.server.read_only = true;
  const auto [code, message] = refused();
  EXPECT_EQ(code, "read_only");
  EXPECT_HAS(message, "primary");
}

TEST_F(Refusal, TableThatChangedSinceItWasPlanned) {
  const Plan planned = plan();
  db.table.columns.push_back({"NEW", "int", PK_COLUMN_INT, true});
  EXPECT_EQ(refused(planned).first, "schema_changed");
  db.table.columns.pop_back();
  db.table.identity = "t2";
  EXPECT_EQ(refused(planned).first, "schema_changed") << "dropped and made again";
}

TEST_F(Refusal, NowAheadOfTheDatabasesClock) {
  plan_options.now_ns = db.now_ns + 1;
  const auto [code, message] = refused();
  EXPECT_EQ(code, "now_ahead");
  EXPECT_HAS(message, "only plan may look ahead");
}

TEST_F(Refusal, LargerShareThanAllowed) {
  run_options.max_fraction = 0.4;
  const auto [code, message] = refused();
  EXPECT_EQ(code, "max_fraction");
  EXPECT_HAS(message, "20 of 40 rows");
  policy.max_fraction = 0.3;
  run_options.max_fraction.reset();
  EXPECT_EQ(refused().first, "max_fraction") << "the policy's own";
}

TEST_F(Refusal, ImplausibleClockUntilAccepted) {
  for (auto& [id, record] : db.rows) record.expires_ms /= 1'000;  // seconds, read as milliseconds
  const auto [code, message] = refused();
  EXPECT_EQ(code, "implausible_clock");
  EXPECT_HAS(message, "in s it would be plausible");
  EXPECT_HAS(message, "--accept-clock");
  run_options.accept_clock = true;
  run_options.max_fraction = 1;
  EXPECT_EQ(run().exit_code(), 0);
}

TEST_F(Refusal, LedgerOfANewerVersionOrOfSomebodyElse) {
  db.ledger.state = PK_LEDGER_NEWER;
  EXPECT_EQ(refused().first, "ledger_newer");
  db.ledger.state = PK_LEDGER_FOREIGN;
  EXPECT_EQ(refused().first, "ledger_foreign");
}

TEST_F(Refusal, LedgerOfAnOlderVersionIsUpgraded) {
  db.ledger.state = PK_LEDGER_OLDER;
  db.ledger.can_write = false;
  EXPECT_EQ(refused().first, "ledger_privilege");
  EXPECT_EQ(db.calls["ledger_create"], 0);
  db.ledger.can_write = true;
  EXPECT_EQ(run().exit_code(), 0);
  EXPECT_EQ(db.calls["ledger_create"], 1);
  EXPECT_EQ(db.ledger.state, PK_LEDGER_PRESENT);
}

TEST_F(Refusal, LedgerWithoutTheRightsToIt) {
  db.ledger.can_create = false;
  auto [code, message] = refused();
  EXPECT_EQ(code, "ledger_privilege");
  EXPECT_HAS(message, "CREATE TABLE the ledger");
  EXPECT_HAS(message, "--ledger none");
  db.ledger.state = PK_LEDGER_PRESENT;
  db.ledger.can_write = false;
  EXPECT_HAS(refused().second, "GRANT on the ledger");
}

TEST_F(Refusal, ReplicaLagThatCantBeRead) {
  run_options.max_replica_lag_s = 5;
  EXPECT_EQ(refused().first, "replica_lag");
}

TEST_F(Refusal, OneBadPolicyStopsAllBeforeTheFirstDelete) {
  Plan planned = plan();
  planned.policies.push_back(planned.policies[0]);
  planned.policies[1].clock_doubt = "a doubt";
  EXPECT_EQ(refused(planned).first, "implausible_clock");
}

TEST_F(Refusal, ConnectionLostWhileChecking) {
  const Plan planned = plan();
  db.at("describe", 1, raise(PK_CONNECTION_LOST));
  EXPECT_EQ(refused(planned).first, "connection_lost");
}

TEST_F(Refusal, NothingOfAPolicyIsRunWhenItsTableIsAbsent) {
  policy.table = "GONE";
  policy.optional = true;
  const Report report = run();
  EXPECT_EQ(report.policies[0].status, "skipped");
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(db.calls["ledger_create"], 0);
}

}  // namespace
}  // namespace purgekit::fake
