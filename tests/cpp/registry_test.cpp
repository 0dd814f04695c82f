#include "purgekit/registry.hpp"

#include <algorithm>
#include <filesystem>

#include "purgekit/session.hpp"
#include "support/bad_files.hpp"
#include "support/expect_error.hpp"

namespace purgekit {
namespace {

const BackendInfo* found(const std::vector<BackendInfo>& all, const std::string& source) {
  const auto it = std::find_if(all.begin(), all.end(), [&](const BackendInfo& info) { return info.source == source; });
  return it == all.end() ? nullptr : &*it;
}

class Registry : public ::testing::Test {
 protected:
  Registry() { name = load_backend(NULL_PLUGIN); }
  std::string name;
};

TEST_F(Registry, AnExplicitPathIsLoadedOnce) {
  EXPECT_EQ(name, "null");
  EXPECT_EQ(load_backend(NULL_PLUGIN), "null");
  const auto all = backends();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const BackendInfo& info) { return info.name == "null" && info.status == "ok"; }), 1);
  const BackendInfo* info = found(all, std::filesystem::canonical(NULL_PLUGIN).string());
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->abi, "0.7");
  EXPECT_EQ(info->schemes, std::vector<std::string>{"null"});
}

TEST_F(Registry, TheFirstOfANameWins) {
  const std::string twin = std::string(BAD_PLUGIN_DIR) + "/purgekit_backend_twin.so";
  EXPECT_EQ(load_backend(twin), "null");
  EXPECT_STRNE(backend_named("null").version, "twin");
}

TEST_F(Registry, AFolderGivesWhatIsGoodAndRemembersTheRest) {
  find_backends(BAD_PLUGIN_DIR);
  const auto all = backends();
  for (const char* bad : {"no_symbol", "older_abi", "newer_abi", "failing_init", "silent_failure", "throwing_init", "wrong_size", "missing_slots"}) {
    const BackendInfo* info = found(all, std::string(BAD_PLUGIN_DIR) + "/purgekit_backend_" + bad + ".so");
    ASSERT_NE(info, nullptr) << bad;
    EXPECT_EQ(info->name, bad);
    EXPECT_NE(info->status, "ok") << bad;
  }
  EXPECT_STRNE(backend_named("null").version, "twin") << "found later";
  const std::size_t before = all.size();
  find_backends(BAD_PLUGIN_DIR);
  EXPECT_EQ(backends().size(), before) << "looking again adds nothing";
}

TEST_F(Registry, OtherFilesInAFolderAreLeftAlone) {
  const test::Folder folder;
  folder.write("README.md", "not a plugin");
  folder.write("libsomething.so", "not ours");
  folder.write("purgekit_backend_x.so.bak", "a copy");
  const std::size_t before = backends().size();
  find_backends(folder.path().string());
  EXPECT_EQ(backends().size(), before);
}

TEST_F(Registry, AFolderThatIsNotThereIsRemembered) {
  find_backends("/nowhere/at/all");
  const auto all = backends();
  const BackendInfo* info = found(all, "/nowhere/at/all");
  ASSERT_NE(info, nullptr);
  EXPECT_NE(info->status, "ok");
}

TEST_F(Registry, AnUnknownNameTellsWhatWasTried) {
  find_backends("/nowhere/at/all");
  const std::string by_name = message_of([] { backend_named("nul"); });
  EXPECT_HAS(by_name, "did you mean null?");
  EXPECT_HAS(by_name, "Found: ");
  EXPECT_HAS(by_name, "/nowhere/at/all");
  EXPECT_HAS(message_of([] { backend_for_scheme("nulls"); }), "did you mean null?");
  EXPECT_EQ(backend_for_scheme("null"), "null");
}

TEST_F(Registry, RefusalsOfAnExplicitPathNameIt) {
  EXPECT_HAS(message_of([] { load_backend("/nowhere/x.so"); }), "/nowhere/x.so");
  EXPECT_HAS(message_of([] { load_backend(std::string(BAD_PLUGIN_DIR) + "/purgekit_backend_throwing_init.so"); }), "threw");
}

class InProcess final : public sdk::Backend {
 public:
  std::unique_ptr<sdk::Connection> open() override { throw sdk::Error(PK_CONNECT_FAILED, "opens nothing"); }
};

TEST_F(Registry, InProcessBackendsMayBeRegisteredAgainButNotOverANativeOne) {
  register_backend(std::make_unique<InProcess>(), "mine", "1", "mine my");
  register_backend(std::make_unique<InProcess>(), "mine", "2", "mine");
  EXPECT_STREQ(backend_named("mine").version, "2") << "a notebook's cell was run again";
  EXPECT_EQ(backend_for_scheme("mine"), "mine");
  EXPECT_HAS(message_of([] { register_backend(std::make_unique<InProcess>(), "null", "1", "null"); }), "native backend named null");
}

TEST_F(Registry, ABackendThatOpensNothingGivesItsReason) {
  register_backend(std::make_unique<InProcess>(), "mine", "3", "mine");
  EXPECT_HAS(message_of([] { const Session session(backend_named("mine")); }), "opens nothing");
}

TEST_F(Registry, TheTemplateAnswersEveryVerb) {
  Session session(backend_named("null"));
  session.connect({});
  EXPECT_EQ(session.inspect().product, "null");
  EXPECT_EQ(code_of([&] { session.describe({"", "T", false, false}); }), "not_found");
  EXPECT_EQ(code_of([&] { session.tables({}); }), "not_supported");
  EXPECT_EQ(code_of([&] { session.lock_run("k"); }), "not_supported");
  EXPECT_EQ(code_of([&] { session.replica_lag(); }), "not_supported");
  EXPECT_EQ(code_of([&] { session.pressure(); }), "not_supported");
  EXPECT_EQ(code_of([&] { session.fence("k", 1, 1); }), "not_supported");
  EXPECT_TRUE(session.split(4).empty());
  EXPECT_TRUE(session.run_list().empty());
  session.begin("", 0, 0);
  EXPECT_TRUE(session.delete_range({"", 10, 100, 1, ""}).done);
  session.commit();
  session.rollback();
  session.cancel();
}

}  // namespace
}  // namespace purgekit
