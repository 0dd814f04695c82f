/// \file archive_file.hpp
/// One file of an archive while rows are written into it: held under a lock, written at known places, flushed to the disk. Internal.
///
/// Errors: EngineError (failed) "archive_full" where the disk, a quota or a limit leaves no room, "archive_foreign" where something else
/// stands in the file's place, "archive_io" for what else the file system says; sdk::Error PK_LOCK_TIMEOUT where another process holds it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "sha256.hpp"

namespace purgekit {

/// Serial use. Whoever has it open has it alone: a run that was taken over and lives on can't write any more.
class ArchiveFile {
 public:
  explicit ArchiveFile(std::filesystem::path path) : path_(std::move(path)) {}
  ArchiveFile(ArchiveFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ArchiveFile& operator=(ArchiveFile&&) = delete;
  ArchiveFile(const ArchiveFile&) = delete;
  ArchiveFile& operator=(const ArchiveFile&) = delete;
  ~ArchiveFile() { close(); }

  const std::filesystem::path& path() const { return path_; }
  bool is_open() const { return fd_ >= 0; }

  /// Open what is there. \returns false when nothing is
  bool open();
  /// Make it, with the folders it lies in, for this user only.
  void create();
  void close() noexcept;

  std::int64_t size() const;
  /// \throws EngineError when the path has become another file's, or nobody's, since it was opened
  void require_in_place() const;
  void write(std::int64_t at, std::string_view bytes);
  /// To the disk, for good.
  void sync();
  /// Cut off what lies behind `end`.
  void cut(std::int64_t end);
  /// Of the bytes before `end`.
  Sha256 hash(std::int64_t end) const;
  std::string read(std::int64_t from, std::size_t most) const;
  /// Give it its last name.
  void rename(const std::filesystem::path& to);
  void remove();

 private:
  void lock();

  std::filesystem::path path_;
  int fd_ = -1;
};

/// Make a folder and what it lies in, for this user only, durably.
void make_folders(const std::filesystem::path& folder);
/// Write a small file as a whole: it is there with all of its content, or not at all.
void write_whole(const std::filesystem::path& path, std::string_view content);
/// Find out whether files can be made, locked and written in a folder, by doing so.
void probe_folder(const std::filesystem::path& folder);

}  // namespace purgekit
