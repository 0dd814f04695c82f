#include "fake/fixture.hpp"

#include <utility>

#include "purgekit/registry.hpp"
#include "slot_keeper.hpp"

namespace purgekit::fake {

RunTest::RunTest() : db(database()), policy(Policy::from_json(R"({"name":"p","table":"T","grace":"0s","where":{"expired":{"column":"EXPIRES_MS","unit":"ms"}}})")) {
  register_fake();
  db = Database();
  plan_options.chunk_rows = 10;
  run_options.run_id = "run1";
  run_options.gentle = false;
  run_options.chunk_ms = 50;
  run_options.lock_wait_ms = 100;
}

void RunTest::fill(std::int64_t n, std::int64_t each, std::int64_t children) {
  const std::int64_t now_ms = db.now_ns / 1'000'000;
  for (std::int64_t id = 1; id <= n; ++id) {
    Record r;
    r.expires_ms = id % each == 0 ? now_ms - id : now_ms + id;
    r.children = children;
    db.rows[id] = r;
  }
}

void RunTest::with_children() { policy.dependents = {{"CHILD", {{"T_ID", "ID"}}, true, false}}; }

Plan RunTest::plan() {
  Session planning(backend_named("fake"));
  planning.connect({});
  return make_plan(planning, {policy}, plan_options);
}

Report RunTest::run() { return run(plan()); }

Report RunTest::run(const Plan& plan) {
  db.calls.clear();
  db.prepared_cutoffs_ns.clear();
  db.ranges.clear();
  rows_before = static_cast<std::int64_t>(db.rows.size());
  live_before = live();
  children_before = db.children_deleted;
  // The script begins with the run, not with the connection made for it.
  const auto script = std::exchange(db.script, {});
  session = std::make_unique<Session>(backend_named("fake"));
  session->connect({});
  db.script = script;
  db.calls.clear();
  return run_plan(*session, {}, plan, run_options, control, [this](const Progress& p) { progress.push_back(p); }, flight);
}

PolicyReport RunTest::only(const Report& report) {
  EXPECT_EQ(report.policies.size(), 1u);
  const PolicyReport policy_report = report.policies.at(0);
  EXPECT_EQ(live(), live_before) << "a row that had not expired was deleted";
  const std::int64_t gone = rows_before - static_cast<std::int64_t>(db.rows.size());
  const std::int64_t children_gone = db.children_deleted - children_before;
  EXPECT_EQ(policy_report.rows_deleted(), gone) << "the report counts what was truly deleted";
  EXPECT_EQ(policy_report.rows_deleted_all(), gone + children_gone);
  if (run_options.ledger != "none" && policy_report.status == "completed") {
    const sdk::Slot& slot = db.slots.at(slot_key(db.table));
    EXPECT_EQ(slot.rows_deleted, gone + children_gone) << "so does the ledger";
    EXPECT_EQ(slot.state, "done");
  }
  return policy_report;
}

}  // namespace purgekit::fake
