// Deleted rows in files: what is in them is what was deleted, whatever happens to a chunk.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "fake/fixture.hpp"
#include "file_set.hpp"
#include "purgekit/error.hpp"
#include "sha256.hpp"
#include "support/archive_reader.hpp"

namespace purgekit::fake {
namespace {

namespace fs = std::filesystem;

class ArchiveFilesTest : public RunTest {
 protected:
  ArchiveFilesTest() {
    fill(100, 2, 3);
    fs::remove_all(folder);
    plan_options.archive = folder.string() + "/";
  }
  ~ArchiveFilesTest() override { fs::remove_all(folder); }

  std::vector<fs::path> files(const std::string& end) const {
    std::vector<fs::path> out;
    if (!fs::exists(folder)) return out;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string name = entry.path().string();
      if (entry.is_regular_file() && name.size() >= end.size() && name.substr(name.size() - end.size()) == end) out.push_back(entry.path());
    }
    return out;
  }

  /// Ids of T in all files, finished or not; none may be there twice.
  std::set<std::int64_t> kept() const {
    std::set<std::int64_t> out;
    for (const char* end : {".jsonl.zst", ".jsonl.zst.part"}) {
      for (const fs::path& path : files(end)) {
        const ReadArchive archive = read_archive(path);
        if (archive.header.value("table", "") != "T") continue;
        for (const nlohmann::json& row : archive.rows()) EXPECT_TRUE(out.insert(row["ID"].get<std::int64_t>()).second) << "row " << row << " is there twice";
      }
    }
    return out;
  }

  std::set<std::int64_t> gone() const {
    std::set<std::int64_t> out;
    for (std::int64_t id = 1; id <= 100; ++id) {
      if (db.rows.count(id) == 0) out.insert(id);
    }
    return out;
  }

  fs::path folder = fs::path(::testing::TempDir()) / ("purgekit archive " + std::to_string(::getpid()));
};

TEST_F(ArchiveFilesTest, RowsHeaderRecordsAndManifest) {
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(kept(), gone());
  ASSERT_EQ(r.archive_files.size(), 1u);
  const ArchivedFile& file = r.archive_files[0];
  EXPECT_EQ(fs::path(file.path).parent_path(), folder / safe_name("fake database") / "T");
  EXPECT_EQ(fs::path(file.path).filename(), "run1.000.jsonl.zst");
  EXPECT_TRUE(file.finished);
  EXPECT_EQ(file.rows, 50);
  const std::string bytes = read_bytes(file.path);
  EXPECT_EQ(file.bytes, static_cast<std::int64_t>(bytes.size()));
  EXPECT_EQ(r.archived_bytes, file.bytes);
  EXPECT_EQ(file.sha256, Sha256::of(bytes));
  const ReadArchive archive = read_archive(file.path);
  EXPECT_EQ(archive.header["schema"], "purgekit.archive/1");
  EXPECT_EQ(archive.header["columns"][1], nlohmann::json({{"name", "EXPIRES_MS"}, {"type", "bigint"}, {"kind", 1}}));
  EXPECT_EQ(archive.header["run_id"], "run1");
  EXPECT_EQ(archive.header["policy"], "p");
  std::int64_t rows = 0;
  for (const ReadChunk& chunk : archive.chunks) {
    EXPECT_EQ(chunk.record["sha256"], Sha256::of(chunk.lines));
    EXPECT_EQ(chunk.record["bytes"], chunk.lines.size());
    rows += chunk.record["rows"].get<std::int64_t>();
  }
  EXPECT_EQ(rows, 50);
  EXPECT_EQ(static_cast<std::int64_t>(archive.chunks.size()), r.chunks);
  ASSERT_EQ(files(".manifest.json").size(), 1u);
  const nlohmann::json manifest = nlohmann::json::parse(read_bytes(files(".manifest.json")[0]));
  EXPECT_EQ(manifest["files"][0]["sha256"], file.sha256);
  EXPECT_EQ(files(".manifest.json")[0].parent_path() / manifest["files"][0]["file"].get<std::string>(), fs::path(file.path));
  EXPECT_EQ(manifest["rows"], 50);
  EXPECT_EQ(nlohmann::json::parse(db.runs.begin()->second)["archive"], folder.string());
  EXPECT_EQ(fs::status(file.path).permissions(), fs::perms::owner_read | fs::perms::owner_write) << "deleted rows are for nobody else";
}

TEST_F(ArchiveFilesTest, DependentsHaveFilesOfTheirOwn) {
  with_children();
  const PolicyReport r = only(run());
  ASSERT_EQ(r.archive_files.size(), 2u);
  EXPECT_EQ(r.archive_files[1].table, "CHILD");
  EXPECT_EQ(r.archive_files[1].rows, 150);
  EXPECT_EQ(read_archive(r.archive_files[1].path).rows().size(), 150u);
  EXPECT_EQ(r.tables[1].rows_archived, 150);
}

TEST_F(ArchiveFilesTest, SeveralWorkersShareAFile) {
  db.can_be_cut = true;
  run_options.workers = 3;
  plan_options.chunk_rows = 3;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(kept(), gone());
  EXPECT_EQ(files(".jsonl.zst").size(), 1u);
}

TEST_F(ArchiveFilesTest, AChunkThatIsRolledBackLeavesNothing) {
  for (const char* verb : {"checkpoint", "commit", "delete_range"}) db.at(verb, 2, raise(PK_DEADLOCK));
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "completed");
  EXPECT_EQ(r.retries, 3);
  EXPECT_EQ(kept(), gone());
}

TEST_F(ArchiveFilesTest, ACommitInDoubtIsSettledBothWays) {
  for (const bool applied : {true, false}) {
    db.rows.clear();
    db.slots.clear();
    db.notes.clear();
    fill(100);
    fs::remove_all(folder);
    db.at("commit", 3, lose_commit(applied));
    const PolicyReport r = only(run());
    EXPECT_EQ(r.status, "completed");
    EXPECT_EQ(kept(), gone());
    EXPECT_EQ(gone().size(), 50u);
  }
}

TEST_F(ArchiveFilesTest, AStoppedRunIsGoneOnWithInItsFile) {
  run_options.max_rows = 12;
  const PolicyReport first = only(run());
  EXPECT_EQ(first.stop_reason, "max_rows");
  ASSERT_EQ(first.archive_files.size(), 1u);
  EXPECT_FALSE(first.archive_files[0].finished);
  EXPECT_EQ(kept(), gone());
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  const PolicyReport second = only(run());
  EXPECT_EQ(second.continues, "run1");
  ASSERT_EQ(second.archive_files.size(), 1u);
  EXPECT_EQ(fs::path(second.archive_files[0].path).filename(), "run1.000.jsonl.zst");
  EXPECT_EQ(second.archive_files[0].rows, 50);
  EXPECT_EQ(second.archived_bytes, second.archive_files[0].bytes - first.archive_files[0].bytes);
  EXPECT_EQ(kept(), gone());
  EXPECT_EQ(nlohmann::json::parse(read_bytes(files(".manifest.json").at(0)))["runs"], nlohmann::json({"run1", "run2"}));
}

TEST_F(ArchiveFilesTest, WhatLiesBehindTheNamedEndIsCutOff) {
  run_options.max_rows = 12;
  const fs::path path = only(run()).archive_files.at(0).path;
  {
    // A frame whose chunk was never committed: of a row that is still there.
    std::ofstream out(path, std::ios::binary | std::ios::app);
    out << read_bytes(path).substr(0, 60);
  }
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  EXPECT_EQ(only(run()).status, "completed");
  EXPECT_EQ(kept(), gone());
}

TEST_F(ArchiveFilesTest, AFileThatIsNotWhatTheLedgerSaysStopsTheRun) {
  run_options.max_rows = 12;
  const fs::path path = only(run()).archive_files.at(0).path;
  const std::string right = read_bytes(path);
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  const std::set<std::int64_t> before = gone();
  const auto damage = [&](const std::string& content) {
    fs::remove(path);
    if (!content.empty()) std::ofstream(path, std::ios::binary) << content;
    const PolicyReport r = only(run());
    EXPECT_EQ(r.status, "failed");
    EXPECT_EQ(r.error_code, "corrupt") << r.error_message;
    EXPECT_NE(r.error_message.find(path.string()), std::string::npos);
    EXPECT_EQ(gone(), before) << "nothing more is deleted";
  };
  damage("");
  damage(right.substr(0, right.size() - 1));
  std::string changed = right;
  changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
  damage(changed);
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << right;
  EXPECT_EQ(only(run()).status, "completed");
  EXPECT_EQ(kept(), gone());
}

TEST_F(ArchiveFilesTest, FilesOfAnAbandonedWalkAreClosedByTheNextRun) {
  run_options.max_rows = 12;
  only(run());
  const std::set<std::int64_t> first = gone();
  ASSERT_EQ(files(".part").size(), 1u);
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  policy.grace_ns = 1;  // another policy: its walk begins afresh
  const PolicyReport r = only(run());
  EXPECT_EQ(r.continues, "");
  EXPECT_TRUE(files(".part").empty());
  EXPECT_EQ(files(".jsonl.zst").size(), 2u);
  EXPECT_EQ(files(".manifest.json").size(), 2u);
  EXPECT_EQ(kept(), gone());
}

TEST_F(ArchiveFilesTest, ARunWithoutAnArchiveCarriesThemOn) {
  run_options.max_rows = 12;
  only(run());
  run_options.max_rows.reset();
  run_options.run_id = "run2";
  const std::string archive = std::exchange(plan_options.archive, "");
  run_options.max_rows = 10;
  only(run());
  ASSERT_EQ(files(".part").size(), 1u);
  plan_options.archive = archive;
  run_options.max_rows.reset();
  run_options.run_id = "run3";
  only(run());
  EXPECT_TRUE(files(".part").empty());
  EXPECT_EQ(kept().size(), 40u) << "all but those of the second run";
}

TEST_F(ArchiveFilesTest, NothingDeletedMakesNoFile) {
  db.rows.clear();
  EXPECT_EQ(only(run()).archive_files.size(), 0u);
  EXPECT_TRUE(files("").empty());
}

TEST_F(ArchiveFilesTest, ABackendThatKeepsRowsBackIsFoundOut) {
  db.rows_kept_back = 1;
  const PolicyReport r = only(run());
  EXPECT_EQ(r.status, "failed");
  EXPECT_EQ(r.error_code, "internal");
  EXPECT_NE(r.error_message.find("gave"), std::string::npos) << r.error_message;
  EXPECT_EQ(db.rows.size(), 100u);
  EXPECT_TRUE(kept().empty());
}

TEST_F(ArchiveFilesTest, RefusedBeforeTheFirstDelete) {
  const auto refused = [&](const std::string& code) {
    try {
      run();
      ADD_FAILURE() << "not refused: " << code;
    } catch (const EngineError& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      EXPECT_EQ(e.kind(), ErrorKind::refused);
    }
    EXPECT_EQ(db.rows.size(), 100u);
  };
  run_options.ledger = "none";
  refused("archive_ledger");
  run_options.ledger = "purgekit_ledger";
  plan_options.archive = "/proc/purgekit/";
  refused("archive_unfit");
  fs::create_directories(folder);
  std::ofstream(folder / "file") << "x";
  plan_options.archive = (folder / "file").string();
  refused("archive_unfit");
  plan_options.archive = (folder / "file" / "below").string();
  refused("archive_unfit");
  plan_options.archive = "kept";
  refused("archive_not_offered");
}

TEST_F(ArchiveFilesTest, AForeignFileInThePlaceIsLeftAlone) {
  const fs::path path = folder / safe_name("fake database") / "T" / "run1.000.jsonl.zst.part";
  fs::create_directories(path.parent_path());
  std::ofstream(path) << "not ours";
  const PolicyReport r = only(run());
  EXPECT_EQ(r.error_code, "archive_foreign") << r.error_message;
  EXPECT_EQ(db.rows.size(), 100u);
  EXPECT_EQ(read_bytes(path), "not ours");
}

TEST_F(ArchiveFilesTest, AFileThatIsMovedAwayMeanwhileStopsTheRun) {
  db.at("commit", 3, [&](Connection& c) {
    c.apply();
    for (const fs::path& path : files(".part")) fs::rename(path, path.string() + ".away");
    throw sdk::Error(PK_IN_DOUBT, "no answer to COMMIT");
  });
  const PolicyReport r = only(run());
  EXPECT_EQ(r.error_code, "archive_io") << r.error_message;
  const std::set<std::int64_t> before = gone();
  for (const fs::path& path : files(".away")) fs::rename(path, path.string().substr(0, path.string().size() - 5));
  EXPECT_EQ(kept(), before);
  db.script.clear();
  run_options.run_id = "run2";
  EXPECT_EQ(only(run()).status, "completed");
  EXPECT_EQ(kept(), gone());
}

TEST(FileSetTest, NamesAreSafeAndApart) {
  EXPECT_EQ(safe_name("public.SESSIONS"), "public.SESSIONS");
  EXPECT_NE(safe_name("a/b"), safe_name("c/b"));
  EXPECT_NE(safe_name("a b"), safe_name("a_b"));
  EXPECT_NE(safe_name("a b"), safe_name("a\tb"));
  for (const std::string& name : {std::string(".."), std::string("../x"), std::string(), std::string(300, 'x'), std::string("é"), std::string(".hidden")}) {
    const std::string safe = safe_name(name);
    EXPECT_FALSE(safe.empty());
    EXPECT_NE(safe[0], '.');
    EXPECT_LE(safe.size(), 120u);
    EXPECT_EQ(safe.find('/'), std::string::npos);
  }
}

TEST(FileSetTest, WhatALedgerSaysIsNotBelieved) {
  FileSet set;
  set.folder = "/kept";
  set.stem = "run.000";
  set.place = "db";
  set.files = {{"T", "c", "db/T/run.000.jsonl.zst", 10, 1, 1, std::string(64, 'a')}};
  const Json good = set.to_json();
  ASSERT_TRUE(FileSet::from_json(good));
  EXPECT_EQ(FileSet::from_json(good)->files[0].end, 10);
  const auto refused = [&](const std::function<void(Json&)>& change) {
    Json bad = good;
    change(bad);
    EXPECT_FALSE(FileSet::from_json(bad)) << bad;
  };
  for (const char* file : {"../x/T/run.000.jsonl.zst", "db/../run.000.jsonl.zst", "db/T/other.000.jsonl.zst", "/etc/passwd", "db/T/U/run.000.jsonl.zst", "db//run.000.jsonl.zst", "db/run.000.jsonl.zst", ""}) {
    refused([&](Json& j) { j["files"][0]["file"] = file; });
  }
  refused([](Json& j) { j["folder"] = "relative"; });
  refused([](Json& j) { j["place"] = ".."; });
  refused([](Json& j) { j["stem"] = "../x"; });
  refused([](Json& j) { j["files"] = Json::array(); });
  refused([](Json& j) { j["files"][0] = 5; });
  refused([](Json& j) { j["files"][0]["sha256"] = "x"; });
  EXPECT_FALSE(FileSet::from_json(Json("text")));
}

}  // namespace
}  // namespace purgekit::fake
