/// \file process_guard.hpp
/// Keeps POSIX locks trustworthy: they belong to the process, so a second SQLite library, or a fork, breaks them unseen.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>

namespace purgekit::sqlite {

/// Device and inode: what the kernel locks.
using FileId = std::pair<dev_t, ino_t>;

/// \throws sdk::Error PK_CONNECT_FAILED when there is no such file.
FileId file_id(const std::string& path);

/// Run `open` (which opens the file once) and remember which descriptors it made. Refuses before it opens anything when
/// another SQLite library of this process may have the file open, or when it was open here before a fork.
void guarded_open(const FileId& id, const std::string& path, const std::function<void()>& open);
/// Run `close` for a file opened so.
void guarded_close(const FileId& id, const std::function<void()>& close) noexcept;
/// Refuse when another SQLite library has opened the file since. Costs some ten microseconds.
void check_sole_library(const FileId& id, const std::string& path);

}  // namespace purgekit::sqlite
