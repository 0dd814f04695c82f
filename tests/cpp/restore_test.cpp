// Restoring when things go wrong: a connection whose verbs fail on demand, over an archive of numbered chunks.
#include "purgekit/restore.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "hold.hpp"
#include "purgekit/error.hpp"
#include "purgekit/registry.hpp"
#include "purgekit/sdk/adapter.hpp"
#include "purgekit/sdk/restore.hpp"
#include "sha256.hpp"

namespace purgekit {
namespace {

using sdk::Error;

/// What is committed: rows of each archived chunk, those of them that are back, and the ledger.
struct Store {
  std::map<std::int64_t, std::int64_t> chunks;
  std::map<std::int64_t, std::int64_t> restored;
  std::map<std::string, std::string> runs;
  std::map<std::string, std::string> holds;
  std::int64_t epoch = 0;
};

struct World {
  Store committed;
  std::map<std::string, int> calls;
  std::map<std::pair<std::string, int>, std::pair<pk_code, bool>> script;  // verb and call: what it fails with, and whether it was done all the same
  bool key = true;
  bool made = false;  // the archive table that files are loaded into
};

World& world() {
  static World instance;
  return instance;
}

class Fake final : public sdk::Connection {
 public:
  void connect(const sdk::ConnectParams&) override {
    open_.reset();
    connected_ = true;
    verb("connect");
  }
  void cancel() noexcept override {}
  sdk::Server inspect() override { return {}; }
  sdk::Table describe(const sdk::TableName& name) override {
    verb("describe");
    sdk::Table table;
    table.name = name.name;
    table.columns = {{"ID", "bigint", PK_COLUMN_INT, false}};
    if (world().key) table.key = {0};
    if (name.name == "A" || (name.name == "purgekit_archive_T" && world().made)) {
      table.columns.push_back({sdk::archive_run_column, "text", PK_COLUMN_TEXT, false});
      table.columns.push_back({sdk::archive_chunk_column, "bigint", PK_COLUMN_INT, false});
      table.columns.push_back({sdk::archive_instant_column, "timestamp", PK_COLUMN_TIMESTAMP, false});
    } else if (name.name != "T") {
      throw Error(PK_NOT_FOUND, "no table " + name.name);
    }
    return table;
  }
  // Of a chunk, by its number and that negated.
  std::int64_t count(const sdk::Purge& purge) override {
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < purge.predicate->value_count; ++i) {
      const std::int64_t number = purge.predicate->values[i].i64;
      if (number > 0) rows += open_->chunks[number] + open_->restored[number];
    }
    std::erase_if(open_->chunks, [](const auto& chunk) { return chunk.second == 0; });
    return rows;
  }
  std::vector<sdk::ArchiveInfo> archive_find(const sdk::Purge&) override {
    sdk::ArchiveInfo info;
    info.state = world().made ? PK_ARCHIVE_PRESENT : PK_ARCHIVE_ABSENT;
    return {info};
  }
  void archive_make(const sdk::Load& load) override {
    verb("archive_make");
    EXPECT_EQ(load.archive.table, "purgekit_archive_T");
    world().made = true;
  }
  void archive_load(const sdk::Load& load) override {
    verb("archive_load");
    EXPECT_EQ(load.run_id, "r1");
    EXPECT_EQ(load.values[0].kind, PK_VALUE_INT);
    open_->chunks[load.chunk] += static_cast<std::int64_t>(load.rows);
  }
  std::vector<sdk::Walk> propose(const sdk::Purge&, std::int64_t, std::int64_t) override { return {}; }
  std::vector<std::string> prepare(const sdk::Purge&) override { return {}; }
  sdk::Ledger ledger_find(const sdk::TableName&) override {
    sdk::Ledger out;
    out.state = PK_LEDGER_PRESENT;
    return out;
  }
  void ledger_create() override {}
  sdk::Slot slot_lock(const std::string& key, std::uint32_t) override {
    verb("slot_lock");
    open_ = std::make_unique<Store>(world().committed);
    sdk::Slot slot;
    slot.key = key;
    slot.epoch = open_->epoch;
    return slot;
  }
  void slot_write(const sdk::Slot& slot) override {
    if (slot.key != hold_gate) open_->epoch = slot.epoch;
  }
  void run_write(const sdk::RunRecord& run) override {
    verb("run_write");
    world().committed.runs[run.id] = run.document;
  }
  std::vector<sdk::RunRecord> run_list() override {
    std::vector<sdk::RunRecord> out;
    for (const auto& [id, document] : world().committed.runs) out.push_back({id, document});
    return out;
  }
  void begin(const std::string&, std::int64_t, std::int64_t) override {
    verb("begin");
    open_ = std::make_unique<Store>(world().committed);
  }
  sdk::Deleted delete_range(const sdk::Range&) override { return {}; }
  void checkpoint(const sdk::Slot&) override {}
  void commit() override {
    const int call = world().calls["commit"] + 1;
    const auto scripted = world().script.find({"commit", call});
    if (scripted != world().script.end() && scripted->second.second) world().committed = *open_;
    verb("commit");
    world().committed = *open_;
    open_.reset();
  }
  void rollback() override {
    verb("rollback");
    open_.reset();
  }
  void note_write(const std::string& kind, const sdk::RunRecord& note) override {
    verb("note_write");
    (kind == "run" ? open_->runs : open_->holds)[note.id] = note.document;
  }
  sdk::Restored restore_next(const sdk::Restore&, std::int64_t after) override {
    verb("restore_next");
    const auto next = open_->chunks.upper_bound(after);
    if (next == open_->chunks.end()) return {after, 0, 0, true};
    const auto [chunk, rows] = *next;
    open_->chunks.erase(chunk);
    open_->restored[chunk] += rows;
    return {chunk, rows, 0, false};
  }

 private:
  void verb(const std::string& name) {
    if (!connected_) throw Error(PK_CONNECTION_LOST, "the connection is gone");
    const auto found = world().script.find({name, ++world().calls[name]});
    if (found == world().script.end()) return;
    const Error error(found->second.first, "scripted");
    connected_ = !error.connection_lost();
    throw error;
  }

  std::unique_ptr<Store> open_;
  bool connected_ = false;
};

class FakeBackend final : public sdk::Backend {
 public:
  std::unique_ptr<sdk::Connection> open() override { return std::make_unique<Fake>(); }
};

class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() {
    static const bool once = [] {
      register_backend(std::make_unique<FakeBackend>(), "restorefake", "1", "restorefake");
      return true;
    }();
    static_cast<void>(once);
    world() = World();
    world().committed.chunks = {{3, 10}, {4, 20}, {9, 30}};
    world().committed.runs["r1/000"] = R"({"run_id":"r1","policy":"p","table":"T","status":"completed","archive":"A","archives":[{"table":"T","archive":"A"}]})";
    options.run_id = "r2";
    options.restored_run_id = "r1";
  }

  RestoreReport restore() {
    Session session(backend_named("restorefake"));
    session.connect({});
    world().calls.clear();
    RestoreReport report = run_restore(session, {}, options, control, [](const RestoredTable&, double) {});
    EXPECT_EQ(report.rows_restored(), rows_back()) << "the report counts what is back";
    if (world().committed.runs.count("r2/000") > 0) {
      EXPECT_EQ(record()["rows_restored"], rows_back()) << "so does the ledger";
      EXPECT_EQ(record()["status"], report.status);
    }
    return report;
  }

  void fail(const std::string& verb, int call, pk_code code, bool done_all_the_same = false) { world().script[{verb, call}] = {code, done_all_the_same}; }
  static nlohmann::json record() { return nlohmann::json::parse(world().committed.runs.at("r2/000")); }
  static std::int64_t rows_back() {
    std::int64_t rows = 0;
    for (const auto& [chunk, count] : world().committed.restored) rows += count;
    return rows;
  }

  RestoreOptions options;
  RunControl control;
};

TEST_F(RestoreTest, EachChunkIsATransaction) {
  const RestoreReport report = restore();
  EXPECT_EQ(report.status, "completed");
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(rows_back(), 60);
  EXPECT_EQ(report.tables.at(0).chunks, 3);
  EXPECT_EQ(world().calls["commit"], 4) << "one for each chunk, one for the slot that purges by keys share";
  EXPECT_EQ(world().committed.epoch, 1) << "a purge under way takes up its holds again";
  ASSERT_EQ(world().committed.holds.size(), 1u);
  EXPECT_EQ(world().committed.holds.begin()->first, report.tables[0].hold);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_EQ(report.warnings[0].code, "not_indexed") << "this backend can't make one";
}

TEST_F(RestoreTest, WithoutAKeyNothingIsHeld) {
  world().key = false;
  const RestoreReport report = restore();
  EXPECT_EQ(rows_back(), 60);
  EXPECT_TRUE(world().committed.holds.empty());
  EXPECT_EQ(report.warnings.at(0).code, "not_held");
}

class CommitInDoubt : public RestoreTest, public ::testing::WithParamInterface<std::pair<int, bool>> {};

TEST_P(CommitInDoubt, IsCountedOnce) {
  const auto [call, committed] = GetParam();
  fail("commit", call, PK_IN_DOUBT, committed);
  const RestoreReport report = restore();
  EXPECT_EQ(report.status, "completed");
  EXPECT_EQ(rows_back(), 60);
  EXPECT_EQ(report.tables.at(0).chunks, 3);
  EXPECT_EQ(world().committed.holds.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Calls, CommitInDoubt,
                         ::testing::Values(std::pair{1, true}, std::pair{1, false}, std::pair{2, true}, std::pair{2, false}, std::pair{3, true}, std::pair{3, false}, std::pair{4, true}));

class Passing : public RestoreTest, public ::testing::WithParamInterface<std::pair<const char*, pk_code>> {};

TEST_P(Passing, IsTriedAgain) {
  const auto [verb, code] = GetParam();
  fail(verb, 1, code);
  fail(verb, 2, code);
  EXPECT_EQ(restore().status, "completed");
  EXPECT_EQ(rows_back(), 60);
  EXPECT_GE(world().calls[verb], 3);
}

INSTANTIATE_TEST_SUITE_P(Verbs, Passing,
                         ::testing::Values(std::pair{"slot_lock", PK_LOCK_TIMEOUT}, std::pair{"restore_next", PK_LOCK_TIMEOUT}, std::pair{"restore_next", PK_DEADLOCK},
                                           std::pair{"restore_next", PK_SERIALIZATION}, std::pair{"restore_next", PK_CONNECTION_LOST}, std::pair{"begin", PK_CONNECTION_LOST},
                                           std::pair{"note_write", PK_CONNECTION_LOST}, std::pair{"rollback", PK_CONNECTION_LOST}, std::pair{"commit", PK_SERIALIZATION}));

TEST_F(RestoreTest, ARefusalLeavesNothingBehind) {
  fail("restore_next", 1, PK_DATA);
  EXPECT_THROW(restore(), EngineError);
  EXPECT_EQ(rows_back(), 0);
  EXPECT_TRUE(world().committed.holds.empty());
  EXPECT_EQ(world().committed.epoch, 0);
  EXPECT_EQ(world().committed.runs.count("r2/000"), 0u);
}

TEST_F(RestoreTest, AFailurePartWayIsToldAndGoneOnWith) {
  fail("restore_next", 2, PK_TRIGGER);
  const RestoreReport failed = restore();
  EXPECT_EQ(failed.status, "failed");
  EXPECT_EQ(failed.exit_code(), 1);
  EXPECT_EQ(failed.error_code, "trigger");
  EXPECT_EQ(rows_back(), 10);
  world().script.clear();
  options.run_id = "r3";
  Session session(backend_named("restorefake"));
  session.connect({});
  EXPECT_EQ(run_restore(session, {}, options, control, {}).rows_restored(), 50);
  EXPECT_EQ(rows_back(), 60);
}

TEST_F(RestoreTest, AStopEndsItAfterTheChunk) {
  control.stop("enough");
  const RestoreReport report = restore();
  EXPECT_EQ(report.status, "stopped");
  EXPECT_EQ(report.stop_reason, "enough");
  EXPECT_EQ(report.exit_code(), 3);
  EXPECT_EQ(rows_back(), 0);
}

TEST_F(RestoreTest, OneThatWasKilledIsKnownToBeOver) {
  world().committed.runs["r0/000"] = R"({"kind":"restore","run_id":"r0","restored_run_id":"r1","status":"running","rows_restored":7})";
  restore();
  const auto earlier = nlohmann::json::parse(world().committed.runs.at("r0/000"));
  EXPECT_EQ(earlier["status"], "failed");
  EXPECT_EQ(earlier["stop_reason"], "interrupted");
  EXPECT_EQ(earlier["rows_restored"], 7);
}

/// The same rows, in a file.
class FromFiles : public RestoreTest {
 protected:
  FromFiles() {
    world().committed.chunks.clear();
    world().committed.runs["r1/000"] = R"({"run_id":"r1","policy":"p","table":"T","status":"completed","archive":"/kept","archives":[{"table":"T","archive":"/kept"}]})";
    FileTable& table = options.files.emplace_back();
    table.table = "T";
    table.policies = {"p"};
    table.columns = {{"ID", "bigint", PK_COLUMN_INT, false}};
    std::ofstream out(path_, std::ios::binary);
    std::int64_t at = 0;
    for (const auto& [number, rows] : {std::pair{3, 10}, std::pair{4, 20}, std::pair{9, 30}}) {
      std::string lines;
      for (int i = 0; i < rows; ++i) lines += "{\"ID\":" + std::to_string(number * 100 + i) + "}\n";
      std::string frame(ZSTD_compressBound(lines.size()), '\0');
      frame.resize(ZSTD_compress(frame.data(), frame.size(), lines.data(), lines.size(), 1));
      out << frame;
      const auto end = at + static_cast<std::int64_t>(frame.size());
      table.chunks.push_back({path_, number, at, end, rows, static_cast<std::int64_t>(lines.size()), Sha256::of(lines), 0});
      at = end;
    }
  }
  ~FromFiles() override { std::filesystem::remove(path_); }
  FromFiles(const FromFiles&) = delete;
  FromFiles& operator=(const FromFiles&) = delete;

  RestoreReport load_and_restore() {
    RestoreReport report = restore();
    EXPECT_EQ(report.status, "completed");
    EXPECT_EQ(rows_back(), 60);
    EXPECT_EQ(report.rows_loaded(), record()["tables"][0]["rows_loaded"]);
    return report;
  }

  std::string path_ = (std::filesystem::temp_directory_path() / ("purgekit-restore-test-" + std::to_string(getpid()))).string();
};

TEST_F(FromFiles, AreLoadedAndThenRestored) {
  EXPECT_EQ(load_and_restore().rows_loaded(), 60);
  EXPECT_EQ(world().calls["archive_make"], 1);
  EXPECT_EQ(world().calls["commit"], 7);
  options.run_id = "r3";
  Session session(backend_named("restorefake"));
  session.connect({});
  EXPECT_EQ(run_restore(session, {}, options, control, {}).rows_loaded(), 0) << "they are there already";
  EXPECT_EQ(rows_back(), 60);
}

TEST_F(FromFiles, AChunkThatIsThereIsNotLoadedAgain) {
  world().made = true;
  world().committed.chunks[4] = 20;
  EXPECT_EQ(load_and_restore().rows_loaded(), 40);
  EXPECT_EQ(world().calls["archive_make"], 0);
}

TEST_F(FromFiles, AnotherCountIsRefused) {
  world().made = true;
  world().committed.chunks[3] = 7;
  EXPECT_THROW(restore(), EngineError);
  EXPECT_EQ(world().committed.chunks, (std::map<std::int64_t, std::int64_t>{{3, 7}}));
  EXPECT_EQ(rows_back(), 0);
}

TEST_F(FromFiles, ThatChangedSinceTheyWereVerifiedAreRefused) {
  for (FileChunk wrong : {FileChunk{}, options.files[0].chunks[0]}) {
    if (wrong.path.empty()) {
      wrong = options.files[0].chunks[0];
      wrong.sha256 = Sha256::of("other");
    } else {
      wrong.rows += 1;
    }
    const FileChunk right = std::exchange(options.files[0].chunks[0], wrong);
    EXPECT_THROW(restore(), EngineError);
    EXPECT_TRUE(world().committed.chunks.empty());
    options.files[0].chunks[0] = right;
  }
  std::filesystem::resize_file(path_, 1);
  EXPECT_THROW(restore(), EngineError);
  EXPECT_TRUE(world().committed.chunks.empty());
}

class LoadInDoubt : public FromFiles, public ::testing::WithParamInterface<std::pair<int, bool>> {};

TEST_P(LoadInDoubt, IsCountedOnce) {
  const auto [call, committed] = GetParam();
  fail("commit", call, PK_IN_DOUBT, committed);
  EXPECT_EQ(load_and_restore().rows_loaded(), 60);
}

INSTANTIATE_TEST_SUITE_P(Calls, LoadInDoubt, ::testing::Values(std::pair{1, true}, std::pair{1, false}, std::pair{3, true}, std::pair{3, false}, std::pair{4, true}, std::pair{4, false}));

class LoadPassing : public FromFiles, public ::testing::WithParamInterface<pk_code> {};

TEST_P(LoadPassing, IsTriedAgain) {
  fail("archive_load", 2, GetParam());
  EXPECT_EQ(load_and_restore().rows_loaded(), 60);
  EXPECT_GE(world().calls["archive_load"], 3);
}

INSTANTIATE_TEST_SUITE_P(Codes, LoadPassing, ::testing::Values(PK_LOCK_TIMEOUT, PK_DEADLOCK, PK_SERVER_RESOURCES, PK_CONNECTION_LOST));

}  // namespace
}  // namespace purgekit
