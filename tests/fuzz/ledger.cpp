// A slot that anybody may have written: taking the table over either refuses or leaves a slot that we can read ourselves.
#include <memory>

#include "fuzz.hpp"
#include "purgekit/report.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/sdk/marshal.hpp"
#include "slot_keeper.hpp"

// The opaque handle of abi.h: a backend whose ledger holds one slot.
struct pk_connection {
  purgekit::sdk::Slot slot;
  std::vector<purgekit::sdk::RunRecord> runs;
  std::vector<std::string> links;
  purgekit::sdk::Outbox out;
};

namespace purgekit::fuzz {
namespace {

pk_connection* opened = nullptr;

pk_backend one_slot() {
  pk_backend b{};
  b.name = "fuzz";
  b.open = [](void*, pk_connection** out, pk_error*) -> std::int32_t { return *out = opened = new pk_connection, PK_OK; };
  b.close = [](pk_connection* c) { delete c; };
  b.slot_lock = [](pk_connection* c, pk_text, std::uint32_t, pk_slot* out, pk_error*) -> std::int32_t { return *out = sdk::to_c(c->slot), PK_OK; };
  b.slot_write = b.checkpoint = [](pk_connection* c, const pk_slot* s, pk_error*) -> std::int32_t { return c->slot = sdk::from_c(*s), PK_OK; };
  b.run_write = [](pk_connection* c, const pk_run* r, pk_error*) -> std::int32_t { return c->runs.push_back({sdk::to_string(r->id), sdk::to_string(r->document)}), PK_OK; };
  b.run_list = [](pk_connection* c, pk_runs* out, pk_error*) -> std::int32_t { return *out = c->out.put(c->runs), PK_OK; };
  b.ledger_find = [](pk_connection*, const pk_table_name*, pk_ledger* out, pk_error*) -> std::int32_t { return out->state = PK_LEDGER_PRESENT, PK_OK; };
  b.note_add = [](pk_connection* c, pk_text, const pk_run* r, pk_error*) -> std::int32_t { return c->links.push_back(sdk::to_string(r->document)), PK_OK; };
  b.commit = b.rollback = [](pk_connection*, pk_error*) -> std::int32_t { return PK_OK; };
  return b;
}

PolicyPlan plan_of(FuzzedDataProvider& in) {
  PolicyPlan plan{Policy{"p", "T", Predicate::is_null("A"), 0, {}, {}, false, {}, ""}, false, {}, 0, 0, 0, 0, false, {}, 0, {}, {}, {}, {}, {}, {}};
  plan.table.name = "T";
  plan.table.identity = in.ConsumeRandomLengthString(4);
  plan.walk.id = in.ConsumeRandomLengthString(4);
  plan.now_ns = 1'795'255'200'000'000'000;
  return plan;
}

void expect_objects(const pk_connection& c) {
  expect(Json::parse(c.slot.document, nullptr, false).is_object(), "the slot's document is an object", c.slot.document);
  for (const sdk::RunRecord& run : c.runs) expect(Json::parse(run.document, nullptr, false).is_object(), "a run's record is an object", run.document);
}

// History sums what the records say, whoever wrote them.
void read_history(Session& session, const std::string& foreign) {
  opened->runs.push_back({"foreign/000", foreign});
  const auto text = accepted([&] { return ledger_history(session, "purgekit_ledger"); });
  if (!text) return;
  const Json history = Json::parse(*text, nullptr, false);
  expect(history.is_object() && history["runs"].is_array(), "history is a document of ours", *text);
  for (const Json& run : history["runs"]) {
    for (const char* key : {"run_id", "started_utc", "database", "status"}) expect(run[key].is_string(), "what history tells is text", *text);
    for (const char* key : {"exit_code", "rows_deleted", "rows_archived"}) expect(run[key].is_number_integer() && run[key] >= 0, "counts are not negative", *text);
  }
}

void run(FuzzedDataProvider& in) {
  static const pk_backend backend = one_slot();
  Session session(backend);
  const PolicyPlan plan = plan_of(in);
  RunOptions options;
  options.run_id = "r";
  options.policy_hashes = {"h"};
  static const char* const states[] = {"walking", "stopped", "done", "", "x"};
  sdk::Slot& slot = opened->slot;
  slot.epoch = in.ConsumeIntegral<std::int64_t>();
  slot.seq = in.ConsumeIntegral<std::int64_t>();
  slot.state = in.PickValueInArray(states);
  slot.policy_hash = in.ConsumeBool() ? "h" : in.ConsumeRandomLengthString(4);
  slot.cutoff_ns = in.ConsumeBool() ? plan.now_ns : in.ConsumeIntegral<std::int64_t>();
  slot.pass = in.ConsumeIntegral<std::int64_t>();
  slot.rows_deleted = in.ConsumeIntegral<std::int64_t>();
  slot.run_id = in.ConsumeRandomLengthString(6);
  slot.cursor = in.ConsumeRandomLengthString(12);
  slot.document = in.ConsumeRemainingBytesAsString();
  const std::int64_t old_epoch = slot.epoch;
  const std::string document = slot.document;

  SlotKeeper keeper(session, plan, options, 0, "db");
  const auto claimed = accepted([&] { return keeper.claim(), true; });
  if (!claimed) return read_history(session, document);
  expect(keeper.epoch() > old_epoch && slot.epoch == keeper.epoch(), "the epoch is raised");
  expect(keeper.pass() >= 1, "passes count from one");
  expect_objects(*opened);
  const std::vector<WalkPart> parts = keeper.parts();
  expect(!parts.empty() && parts.size() <= 256, "there is something to walk, and not without end");
  accepted([&] {
    const std::vector<Frame> frames;
    keeper.checkpoint(session, {{"i1", ""}}, 5, {{"T", 5, 0}, {"CHILD", 2, 0}}, {1, "", "i1", {5}, frames});
    keeper.committed();
    keeper.checkpoint(session, parts, 0, {{"T", 5, 0}, {"CHILD", 2, 0}}, {2, "", "", {0}, frames});
    keeper.committed();
    const std::vector<WalkPart> again = keeper.parts();
    expect(again.size() == parts.size(), "parts are read as they were written");
    for (std::size_t i = 0; i < parts.size(); ++i) expect(again[i].cursor == parts[i].cursor && again[i].until == parts[i].until, "each of them");
    keeper.other_walk("another");
    keeper.new_pass(plan.now_ns);
    expect(keeper.parts().size() == 1 && keeper.parts()[0].cursor.empty(), "a new pass starts at the beginning");
    keeper.checkpoint(session, keeper.parts(), 0, {{"T", 5, 0}, {"CHILD", 2, 0}}, {3, "", "", {0}, frames});
    keeper.committed();
    expect(!keeper.resolve(session, 1), "nothing is in doubt");
    PolicyReport report;
    report.status = "completed";
    keeper.finish(report);
    return true;
  });
  expect_objects(*opened);
  expect(opened->links.size() <= 3, "a start, the one chunk that deleted rows, an end");
  for (const std::string& link : opened->links) expect(Json::parse(link, nullptr, false).is_object(), "a link is a document of ours", link);
  read_history(session, document);
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_DATA(purgekit::fuzz::run)
