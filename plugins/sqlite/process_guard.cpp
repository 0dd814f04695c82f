#include "process_guard.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "loaded_libraries.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::sqlite {
namespace {

struct OpenFile {
  pid_t pid = 0;
  int connections = 0;
  std::set<int> descriptors;  // those that our opening made; SQLite may close them later than the connection
};

struct Registry {
  std::mutex mutex;
  std::map<FileId, OpenFile> files;
};

// Never destroyed: connections may outlive static objects at exit.
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

// Descriptors of this process on the file. Looks without opening: closing any descriptor of the file would drop its locks.
std::set<int> descriptors_of(const FileId& id) {
  std::set<int> out;
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return out;
  while (const dirent* entry = ::readdir(folder)) {
    char* end = nullptr;
    const long number = std::strtol(entry->d_name, &end, 10);
    if (end == entry->d_name) continue;
    struct stat facts {};
    if (::fstat(static_cast<int>(number), &facts) == 0 && facts.st_dev == id.first && facts.st_ino == id.second) out.insert(static_cast<int>(number));
  }
  ::closedir(folder);
  return out;
}

bool has_strangers(const std::set<int>& all, const std::set<int>& ours) {
  for (const int descriptor : all) {
    if (ours.count(descriptor) == 0) return true;
  }
  return false;
}

void refuse_second_library(const std::string& path) {
  const std::string other = other_sqlite_library();
  if (other.empty()) return;  // then whoever has it open shares our library and its bookkeeping of locks
  throw sdk::Error(PK_CONNECT_FAILED, path + " is already open in this process, and a second SQLite library is loaded (" + other +
                                          "); two of them on one file break each other's locks and can damage it. Close the other connection, or run "
                                          "purgekit in a process of its own");
}

}  // namespace

FileId file_id(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) throw sdk::Error(PK_CONNECT_FAILED, "no database file at " + path + ": " + std::strerror(errno));
  return {facts.st_dev, facts.st_ino};
}

void guarded_open(const FileId& id, const std::string& path, const std::function<void()>& open) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  OpenFile& file = all.files[id];
  if (file.connections > 0 && file.pid != ::getpid()) {
    throw sdk::Error(PK_CONNECT_FAILED, path + " was open in the parent process when it forked; SQLite's locks do not survive that. Connect in a freshly "
                                               "started process (spawn instead of fork), or close the connection before forking");
  }
  const std::set<int> before = descriptors_of(id);
  try {
    if (has_strangers(before, file.descriptors)) refuse_second_library(path);
    open();
  } catch (...) {
    if (file.connections == 0) all.files.erase(id);
    throw;
  }
  for (const int descriptor : descriptors_of(id)) {
    if (before.count(descriptor) == 0) file.descriptors.insert(descriptor);
  }
  file.pid = ::getpid();
  ++file.connections;
}

void guarded_close(const FileId& id, const std::function<void()>& close) noexcept {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  close();
  const auto found = all.files.find(id);
  if (found == all.files.end()) return;
  OpenFile& file = found->second;
  if (--file.connections <= 0) {
    all.files.erase(found);
    return;
  }
  const std::set<int> left = descriptors_of(id);
  for (auto it = file.descriptors.begin(); it != file.descriptors.end();) it = left.count(*it) == 0 ? file.descriptors.erase(it) : std::next(it);
}

void check_sole_library(const FileId& id, const std::string& path) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.files.find(id);
  if (found != all.files.end() && has_strangers(descriptors_of(id), found->second.descriptors)) refuse_second_library(path);
}

}  // namespace purgekit::sqlite
