// Evidence: which links a run leaves in the ledger when things go wrong, and when they are deleted.
#include "evidence.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fake/fixture.hpp"
#include "sha256.hpp"
#include "support/expect_error.hpp"

namespace purgekit::fake {
namespace {

using nlohmann::json;

class EvidenceTest : public RunTest {
 protected:
  EvidenceTest() {
    fill(200);
    run_options.evidence_key = "a key of sixteen bytes";
  }

  std::vector<json> links(const std::string& run_id) const {
    std::vector<json> out;
    for (const auto& [id, text] : db.notes) {
      if (id.rfind("link/" + run_id + "/", 0) == 0) out.push_back(json::parse(text));
    }
    return out;
  }

  /// Links that join, and count what was deleted. \returns hash of the last
  std::string check_chain(const std::string& run_id, std::int64_t rows) const {
    std::string prev;
    std::int64_t number = 0;
    std::int64_t counted = 0;
    for (const auto& [id, text] : db.notes) {
      if (id.rfind("link/" + run_id + "/", 0) != 0) continue;
      const json link = json::parse(text);
      EXPECT_EQ(link.dump(), text) << "canonical";
      if (number > 0) {
        EXPECT_EQ(link["prev"], prev);
        EXPECT_EQ(link["number"], number + 1);
      } else {
        EXPECT_EQ(link["kind"], "start");
      }
      number = link["number"].get<std::int64_t>();
      if (link["kind"] == "chunk") counted += link["rows_deleted"][0].get<std::int64_t>();
      if (link["kind"] == "end") {
        EXPECT_EQ(link["rows_deleted"][0], counted);
      }
      prev = Sha256::of(text);
    }
    EXPECT_EQ(counted, rows) << run_id;
    return prev;
  }

  std::size_t ends(const std::string& run_id) const {
    std::size_t out = 0;
    for (const json& link : links(run_id)) out += link["kind"] == "end" ? 1 : 0;
    return out;
  }

  json slot_document() const { return json::parse(db.slots.begin()->second.document); }

  /// As if a run had been long ago.
  void make_old(const std::string& run_id) {
    for (auto& [id, text] : db.notes) {
      if (id.rfind("link/" + run_id + "/", 0) == 0) text = aged(text);
    }
    json document = slot_document();
    document["record"] = json::parse(aged(document["record"].dump()));
    db.slots.begin()->second.document = document.dump();
    db.runs[run_id + "/000"] = aged(db.runs[run_id + "/000"]);
  }

 private:
  static std::string aged(const std::string& text) {
    json document = json::parse(text);
    for (const char* key : {"started_utc", "at_utc", "finished_utc"}) {
      if (document.contains(key)) document[key] = "2020-01-01T00:00:00Z";
    }
    return document.dump();
  }
};

TEST_F(EvidenceTest, EachCommittedChunkHasItsLink) {
  const Report report = run();
  const PolicyReport r = only(report);
  ASSERT_TRUE(r.evidence);
  EXPECT_EQ(check_chain("run1", r.rows_deleted()), r.evidence->head);
  EXPECT_EQ(r.evidence->links, static_cast<std::int64_t>(links("run1").size()));
  EXPECT_GT(r.evidence->links, 4);
  const json document = json::parse(report.to_json());
  EXPECT_EQ(document["evidence"]["root"], Sha256::of(r.evidence->head));
  EXPECT_EQ(document["evidence"]["key_id"], Sha256::of("purgekit evidence key" + run_options.evidence_key).substr(0, 16));
  EXPECT_EQ(db.calls["note_add"], r.evidence->links) << "one statement for each";
  EXPECT_EQ(db.calls["note_delete"] + db.calls["note_write"] + db.calls["note_page"], 0);
}

TEST_F(EvidenceTest, AChunkThatDeletesNothingHasNone) {
  for (auto& [id, record] : db.rows) record.expires_ms = id > 190 ? 1 : db.now_ns / 1'000'000 + 1;
  const PolicyReport r = only(run());
  EXPECT_GT(r.chunks, r.evidence->links);
  check_chain("run1", 10);
}

TEST_F(EvidenceTest, TheNextRunGoesOnWithTheChain) {
  const PolicyReport first = only(run());
  run_options.run_id = "run2";
  only(run());
  const json start = links("run2").at(0);
  EXPECT_EQ(start["prev"], first.evidence->head);
  EXPECT_EQ(start["after"], "run1");
  EXPECT_EQ(start["number"], first.evidence->links + 1);
}

TEST_F(EvidenceTest, ACommitWithoutAnAnswerIsCountedOnce) {
  for (const bool applied : {true, false}) {
    db = Database();
    fill(200);
    db.at("commit", 3, lose_commit(applied));
    const PolicyReport r = only(run());
    EXPECT_EQ(r.status, "completed");
    EXPECT_EQ(check_chain("run1", r.rows_deleted()), r.evidence->head);
  }
}

TEST_F(EvidenceTest, ATakeoverWithoutAnAnswerHasOneStart) {
  for (const bool applied : {true, false}) {
    db = Database();
    fill(200);
    db.at("commit", 1, lose_commit(applied));
    check_chain("run1", only(run()).rows_deleted());
    EXPECT_EQ(links("run1").at(1)["kind"], "chunk");
  }
}

TEST_F(EvidenceTest, AnOutcomeWithoutAnAnswerHasOneEnd) {
  only(run());
  const int commits = db.calls["commit"];
  for (const bool applied : {true, false}) {
    db = Database();
    fill(200);
    db.at("commit", commits, lose_commit(applied));
    const PolicyReport r = only(run());
    EXPECT_EQ(ends("run1"), 1u);
    EXPECT_EQ(check_chain("run1", r.rows_deleted()), r.evidence->head);
  }
}

TEST_F(EvidenceTest, ARunThatIsTakenOverLeavesItsLinksToTheOther) {
  db.at("commit", 4, [this](Connection& c) {
    c.apply();
    sdk::Slot& slot = db.slots.begin()->second;  // another run, which found what the commit left
    slot.epoch += 1;
    slot.run_id = "other";
    throw sdk::Error(PK_IN_DOUBT, "no answer to COMMIT");
  });
  const Report report = run();
  EXPECT_EQ(report.policies[0].stop_reason, "fenced");
  EXPECT_EQ(ends("run1"), 0u);
  ASSERT_TRUE(report.policies[0].evidence);
}

TEST_F(EvidenceTest, SeveralWorkersMakeOneChain) {
  db.can_be_cut = true;
  run_options.workers = 3;
  const PolicyReport r = only(run());
  EXPECT_GT(r.workers, 1u);
  EXPECT_EQ(check_chain("run1", r.rows_deleted()), r.evidence->head);
}

TEST_F(EvidenceTest, ABackendWithoutNotesPurgesWithout) {
  db.always["note_add"] = raise(PK_NOT_SUPPORTED);
  const Report report = run();
  EXPECT_EQ(only(report).status, "completed");
  EXPECT_EQ(expired(), 0);
  const json document = json::parse(report.to_json());
  EXPECT_TRUE(document["evidence"].is_null());
  EXPECT_TRUE(document["policies"][0]["evidence"].is_null());
  EXPECT_FALSE(slot_document().contains("evidence"));
}

TEST_F(EvidenceTest, WithoutALedgerThereIsNone) {
  run_options.ledger = "none";
  const Report report = run();
  EXPECT_TRUE(json::parse(report.to_json())["evidence"].is_null());
  EXPECT_TRUE(db.notes.empty());
}

TEST_F(EvidenceTest, WithoutALinkNothingIsDeleted) {
  db.at("note_add", 3, raise(PK_DATA, "no room for it"));
  const Report report = run();
  const PolicyReport r = only(report);
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(check_chain("run1", r.rows_deleted()), r.evidence->head);
}

TEST_F(EvidenceTest, APlaceThatCannotBeReadBeginsAnewAndTellsSo) {
  only(run());
  for (const char* damage : {R"("x")", "[]", R"({"head":"x"})", R"({"head":5,"next":-1})", R"({"next":1e300})"}) {
    json document = slot_document();
    document["evidence"] = json::parse(damage);
    db.slots.begin()->second.document = document.dump();
    db.notes.clear();
    EXPECT_EQ(run().policies[0].status, "completed") << damage;
    EXPECT_TRUE(links("run1").at(0)["prev"].is_null()) << damage;
    EXPECT_EQ(links("run1").at(0)["number"], 1);
  }
}

TEST_F(EvidenceTest, WithoutAKeyThereAreNoKeyedHashes) {
  run_options.evidence_key.clear();
  only(run());
  for (const json& link : links("run1")) EXPECT_FALSE(link.contains("range_hmac") || link.contains("hmac"));
  EXPECT_TRUE(links("run1").at(0)["key_id"].is_null());
}

TEST_F(EvidenceTest, CursorsAndReasonsOfOthersAreNotInIt) {
  policy.dependents.clear();
  run_options.pacer = [](const PaceFacts&) -> double { throw std::runtime_error("secret of row 7"); };
  EXPECT_EQ(run().policies[0].stop_reason, "pacer: secret of row 7");
  EXPECT_EQ(links("run1").back()["stop_reason"], "pacer");
  for (const json& link : links("run1")) EXPECT_FALSE(link.contains("cursor"));
  run_options.pacer = nullptr;
  run_options.run_id = "run2";
  control.stop("alice");
  EXPECT_EQ(run().policies[0].status, "stopped");
  for (const json& link : links("run2")) EXPECT_EQ(link.dump().find("alice"), std::string::npos);
}

TEST_F(EvidenceTest, IsDeletedWhenItsOwnPromiseHasPassed) {
  policy.evidence_retention_ns = 1'000'000'000;
  only(run());
  EXPECT_EQ(links("run1").at(0)["retention_s"], 1);
  make_old("run1");
  policy.evidence_retention_ns.reset();  // what a later run says is nothing to it
  run_options.run_id = "run2";
  only(run());
  EXPECT_TRUE(links("run1").empty());
  EXPECT_FALSE(links("run2").empty());
  make_old("run2");
  for (const char* later : {"run3", "run4"}) {
    run_options.run_id = later;
    only(run());
    EXPECT_FALSE(links("run2").empty()) << "promised for ever";
    EXPECT_HAS(message_of([&] { ledger_evidence(*session, "purgekit_ledger", "run1"); }), "kept for as long as promised, and deleted at 20");
  }
}

TEST_F(EvidenceTest, AShorterPromiseOfALaterRunDoesNotTouchTheFirst) {
  only(run());
  make_old("run1");
  policy.evidence_retention_ns = 1;
  run_options.run_id = "run2";
  only(run());
  EXPECT_FALSE(links("run1").empty());
  json record = json::parse(db.runs["run1/000"]);  // nor does a record that somebody changed
  record["evidence"]["retention_s"] = 1;
  db.runs["run1/000"] = record.dump();
  run_options.run_id = "run3";
  only(run());
  EXPECT_FALSE(links("run1").empty());
}

TEST_F(EvidenceTest, AClockThatIsBehindKeepsIt) {
  policy.evidence_retention_ns = 1'000'000'000;
  only(run());
  make_old("run1");
  const std::int64_t now_ns = db.now_ns;
  db.now_ns = 1'500'000'000'000'000'000;  // 2017
  run_options.run_id = "run2";
  only(run());
  EXPECT_FALSE(links("run1").empty());
  db.now_ns = now_ns;
  run_options.run_id = "run3";
  only(run());
  EXPECT_TRUE(links("run1").empty());
}

TEST_F(EvidenceTest, OfARunThatWasKilledCountsItsLastLink) {
  policy.evidence_retention_ns = 1'000'000'000;
  run_options.max_rows = 30;
  run();
  sdk::Slot& slot = db.slots.begin()->second;  // as it was before the outcome was written
  json document = json::parse(slot.document);
  document["record"]["status"] = "running";
  slot.state = "walking";
  slot.document = document.dump();
  make_old("run1");
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  only(run());
  const bool before = links("run1").empty();
  make_old("run1");
  run_options.run_id = "run3";
  only(run());
  EXPECT_TRUE(before || links("run1").empty());
}

TEST_F(EvidenceTest, WhatCannotBeDeletedIsLeftToTheNextRun) {
  policy.evidence_retention_ns = 1'000'000'000;
  only(run());
  make_old("run1");
  db.at("note_delete", 3, raise(PK_CONNECTION_LOST));
  run_options.run_id = "run2";
  EXPECT_EQ(run().policies[0].status, "completed");
  EXPECT_FALSE(links("run1").empty());
  db.script.clear();
  run_options.run_id = "run3";
  only(run());
  EXPECT_TRUE(links("run1").empty());
}

TEST_F(EvidenceTest, OfAnUnknownRunIsRefused) {
  only(run());
  EXPECT_EQ(ledger_evidence(*session, "purgekit_ledger", "run1").size(), links("run1").size());
  EXPECT_HAS(message_of([&] { ledger_evidence(*session, "purgekit_ledger", "run"); }), "knows no such run");
  db.notes.clear();
  EXPECT_HAS(message_of([&] { ledger_evidence(*session, "purgekit_ledger", "run1"); }), "without purgekit having deleted them");
}

}  // namespace
}  // namespace purgekit::fake
