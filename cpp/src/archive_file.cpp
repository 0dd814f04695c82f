#include "archive_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "purgekit/error.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

namespace fs = std::filesystem;

constexpr auto lock_wait = std::chrono::seconds(3);  // a run that was just killed by hand, or ends at this moment
constexpr auto lock_nap = std::chrono::milliseconds(50);
constexpr mode_t own_file = 0600;
constexpr mode_t own_folder = 0700;
constexpr std::size_t read_bytes = 1 << 20;

[[noreturn]] void fail(const std::string& what, const fs::path& path, int problem) {
  const std::string text = what + " " + path.string() + ": " + std::generic_category().message(problem);
  if (problem == ENOSPC || problem == EDQUOT || problem == EFBIG) {
    throw EngineError(ErrorKind::failed, "archive_full", text + "; make room there, or name another folder with --archive");
  }
  throw EngineError(ErrorKind::failed, "archive_io", text);
}

/// A descriptor that is closed whatever happens.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, mode_t mode = 0) : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

void sync_folder(const fs::path& folder) {
  const Descriptor at(folder, O_RDONLY | O_DIRECTORY);
  if (at.get() < 0) fail("can't open the folder", folder, errno);
  // EINVAL: the file system can't, and does it by itself or not at all.
  if (::fsync(at.get()) != 0 && errno != EINVAL) fail("can't flush the folder", folder, errno);
}

void write_all(int fd, std::int64_t at, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("can't write", path, written < 0 ? errno : EIO);
    at += written;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void sync_file(int fd, const fs::path& path) {
  if (::fsync(fd) != 0) fail("can't flush", path, errno);
}

bool try_lock(int fd, const fs::path& path) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) fail("the file system offers no lock for", path, errno);
  }
  return true;
}

bool is_same(int fd, const fs::path& path) {
  struct stat open_one {};
  struct stat there {};
  return ::fstat(fd, &open_one) == 0 && ::lstat(path.c_str(), &there) == 0 && open_one.st_ino == there.st_ino && open_one.st_dev == there.st_dev;
}

}  // namespace

void ArchiveFile::lock() {
  const auto end = std::chrono::steady_clock::now() + lock_wait;
  while (!try_lock(fd_, path_)) {
    if (std::chrono::steady_clock::now() >= end) {
      throw sdk::Error(PK_LOCK_TIMEOUT, "another process has the archive file " + path_.string() + " open for writing: if that run hangs, end it");
    }
    std::this_thread::sleep_for(lock_nap);
  }
}

bool ArchiveFile::open() {
  close();
  for (;;) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0 && errno == ENOENT) return false;
    if (fd_ < 0) fail("can't open", path_, errno);
    struct stat facts {};
    if (::fstat(fd_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
      close();
      throw EngineError(ErrorKind::failed, "archive_foreign", path_.string() + " is not an ordinary file: something else stands in the place of an archive file; move it away");
    }
    try {
      lock();
    } catch (...) {
      close();
      throw;
    }
    if (is_same(fd_, path_)) return true;  // else it got its last name while we waited
    close();
  }
}

void ArchiveFile::create() {
  close();
  make_folders(path_.parent_path());
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, own_file);
  if (fd_ < 0 && errno == EEXIST) {
    throw EngineError(ErrorKind::failed, "archive_foreign", path_.string() + " exists already and is not of this run: move it away, or name another folder with --archive");
  }
  if (fd_ < 0) fail("can't make", path_, errno);
  try {
    lock();
  } catch (...) {
    close();
    throw;
  }
  sync_folder(path_.parent_path());
}

void ArchiveFile::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::int64_t ArchiveFile::size() const {
  struct stat facts {};
  if (::fstat(fd_, &facts) != 0) fail("can't look at", path_, errno);
  return facts.st_size;
}

void ArchiveFile::require_in_place() const {
  if (is_same(fd_, path_)) return;
  throw EngineError(ErrorKind::failed, "archive_io", "the archive file " + path_.string() + " was moved away or replaced while rows were written into it: put it back");
}

void ArchiveFile::write(std::int64_t at, std::string_view bytes) { write_all(fd_, at, bytes, path_); }

void ArchiveFile::sync() { sync_file(fd_, path_); }

void ArchiveFile::cut(std::int64_t end) {
  if (size() == end) return;
  if (::ftruncate(fd_, end) != 0) fail("can't cut", path_, errno);
  sync();
}

std::string ArchiveFile::read(std::int64_t from, std::size_t most) const {
  std::string out(most, '\0');
  std::size_t have = 0;
  while (have < most) {
    const ssize_t got = ::pread(fd_, out.data() + have, most - have, from + static_cast<std::int64_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("can't read", path_, errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  out.resize(have);
  return out;
}

Sha256 ArchiveFile::hash(std::int64_t end) const {
  Sha256 out;
  for (std::int64_t at = 0; at < end;) {
    const std::string part = read(at, static_cast<std::size_t>(std::min<std::int64_t>(end - at, read_bytes)));
    if (part.empty()) break;
    out.add(part);
    at += static_cast<std::int64_t>(part.size());
  }
  return out;
}

void ArchiveFile::rename(const fs::path& to) {
  // link and unlink would not overwrite what stands there, but not every file system has links.
  if (std::error_code problem; fs::exists(fs::symlink_status(to, problem))) {
    throw EngineError(ErrorKind::failed, "archive_foreign", to.string() + " exists already: move it away; the rows are in " + path_.string());
  }
  if (::rename(path_.c_str(), to.c_str()) != 0) fail("can't rename", path_, errno);
  path_ = to;
  sync_folder(path_.parent_path());
}

void ArchiveFile::remove() {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) fail("can't remove", path_, errno);
  close();
}

void make_folders(const fs::path& folder) {
  if (folder.empty() || folder == folder.root_path()) return;
  struct stat facts {};
  if (::stat(folder.c_str(), &facts) == 0) {
    if (!S_ISDIR(facts.st_mode)) throw EngineError(ErrorKind::failed, "archive_unfit", folder.string() + " is not a folder; name another with --archive");
    return;
  }
  if (errno != ENOENT) fail("can't look at", folder, errno);
  make_folders(folder.parent_path());
  if (::mkdir(folder.c_str(), own_folder) != 0 && errno != EEXIST) fail("can't make the folder", folder, errno);
  sync_folder(folder.parent_path());
}

void write_whole(const fs::path& path, std::string_view content) {
  fs::path beside = path;
  beside += ".part";
  {
    const Descriptor file(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, own_file);
    if (file.get() < 0) fail("can't make", beside, errno);
    write_all(file.get(), 0, content, beside);
    sync_file(file.get(), beside);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) fail("can't rename", beside, errno);
  sync_folder(path.parent_path());
}

void probe_folder(const fs::path& folder) {
  std::string name = (folder / ".purgekit-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail("can't make files in the folder", folder, errno);
  const fs::path path = name;
  try {
    try_lock(fd, path);
    write_all(fd, 0, "purgekit", path);
    sync_file(fd, path);
  } catch (...) {
    ::unlink(path.c_str());
    ::close(fd);
    throw;
  }
  ::unlink(path.c_str());
  ::close(fd);
}

}  // namespace purgekit
