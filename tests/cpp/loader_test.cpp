// Plugins that are bad on purpose: each is refused with its reason, and none takes the host down.
#include "loader.hpp"

#include "support/bad_files.hpp"
#include "support/expect_error.hpp"

namespace purgekit {
namespace {

std::string bad_plugin(const std::string& name) { return std::string(BAD_PLUGIN_DIR) + "/purgekit_backend_" + name + ".so"; }

std::string refusal(const std::string& path) {
  const std::string message = message_of([&] { load_plugin(path); });
  EXPECT_NE(message.find(path), std::string::npos) << "the reader learns which file it is: " << message;
  return message;
}

TEST(Loader, TakesAGoodOne) {
  const pk_backend table = load_plugin(NULL_PLUGIN);
  EXPECT_STREQ(table.name, "null");
  EXPECT_EQ(table.abi, PURGEKIT_ABI_VERSION);
  EXPECT_NE(table.estimate, nullptr);
}

TEST(Loader, NoEntrySymbol) { EXPECT_HAS(refusal(bad_plugin("no_symbol")), "has no symbol purgekit_backend_init"); }
TEST(Loader, OlderAbi) {
  EXPECT_HAS(refusal(bad_plugin("older_abi")), "was built for plugin ABI 0.6, this is 0.7");
  EXPECT_HAS(refusal(bad_plugin("older_abi")), "rebuild it");
}
TEST(Loader, NewerAbi) { EXPECT_HAS(refusal(bad_plugin("newer_abi")), "refused to initialise: newer_abi was built for plugin ABI 7.3"); }
TEST(Loader, FailingInit) { EXPECT_HAS(refusal(bad_plugin("failing_init")), "refused to initialise: the client library is older than 7"); }
TEST(Loader, FailingInitWithoutAReason) { EXPECT_HAS(refusal(bad_plugin("silent_failure")), "gave no reason"); }
TEST(Loader, ThrowingInit) { EXPECT_HAS(refusal(bad_plugin("throwing_init")), "threw while it was initialised"); }
TEST(Loader, TableOfAnotherSize) { EXPECT_HAS(refusal(bad_plugin("wrong_size")), "table of another size"); }
TEST(Loader, MissingSlotsAreNamed) {
  const std::string message = refusal(bad_plugin("missing_slots"));
  EXPECT_HAS(message, "required slots empty: schemes, delete_range, commit");
  EXPECT_EQ(message.find("estimate"), std::string::npos) << "that one is optional";
}

class LoaderFiles : public ::testing::Test {
 protected:
  test::Folder folder;
};

TEST_F(LoaderFiles, Absent) { EXPECT_HAS(refusal((folder.path() / "none.so").string()), "can't be read"); }
TEST_F(LoaderFiles, AFolder) { EXPECT_HAS(refusal(folder.path().string()), "can't be read"); }
TEST_F(LoaderFiles, Empty) { EXPECT_HAS(refusal(folder.write("purgekit_backend_empty.so", "")), "is empty"); }
TEST_F(LoaderFiles, Text) {
  EXPECT_HAS(refusal(folder.write("purgekit_backend_text.so", "#!/bin/sh\necho this is no library at all\n")), "is not a shared library");
}

TEST_F(LoaderFiles, AnExecutable) { EXPECT_HAS(refusal(folder.copy("/proc/self/exe", "purgekit_backend_exe.so")), "plugin"); }

TEST_F(LoaderFiles, ForAnotherWordSize) {
  std::string content = test::content_of(NULL_PLUGIN);
  content[4] = sizeof(void*) == 8 ? '\x01' : '\x02';  // EI_CLASS
  EXPECT_HAS(refusal(folder.write("purgekit_backend_class.so", content)), "another kind of machine");
}

TEST_F(LoaderFiles, ForAnotherMachine) {
  std::string content = test::content_of(NULL_PLUGIN);
  content[18] = '\x08';  // e_machine: MIPS
  content[19] = '\0';
  EXPECT_HAS(refusal(folder.write("purgekit_backend_mips.so", content)), "plugin");
}

// The dynamic loader maps what the program headers tell without looking at the file's size, and dies of SIGBUS.
TEST_F(LoaderFiles, TruncatedAnywhere) {
  const std::string content = test::content_of(NULL_PLUGIN);
  for (std::size_t size = 20; size < content.size(); size += size < 400'000 ? 1'777 : content.size() / 7) {
    const std::string path = folder.write("purgekit_backend_cut" + std::to_string(size) + ".so", content.substr(0, size));
    try {
      load_plugin(path);  // what is cut off may be debug information, which nobody needs
    } catch (const sdk::Error& e) {
      EXPECT_HAS(e.message(), path);
    }
  }
}

TEST_F(LoaderFiles, OnlyItsHeader) { EXPECT_HAS(refusal(folder.write("purgekit_backend_header.so", test::content_of(NULL_PLUGIN).substr(0, 64))), "is cut off"); }

TEST_F(LoaderFiles, HeadersThatPointOutside) {
  std::string content = test::content_of(NULL_PLUGIN);
  for (std::size_t i = 32; i < 40; ++i) content[i] = '\x7f';  // e_phoff
  EXPECT_HAS(refusal(folder.write("purgekit_backend_offsets.so", content)), "is cut off");
}

}  // namespace
}  // namespace purgekit
