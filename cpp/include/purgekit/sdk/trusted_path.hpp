/// \file trusted_path.hpp
/// Whether strangers could have written a file that is about to be run, or that decides what is deleted.
///
/// Strangers are all users of the machine but root, this process's user, and whoever these let in by a group: a file or folder
/// that its group may write to is its owner's decision. Access control lists are seen as far as the mode shows them.
///
/// Thread rule: any thread.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace purgekit::sdk {

enum class Trust {
  settings,  ///< nobody else may write it
  code,      ///< and it belongs to root or to this process's user, as does the folder it lies in
};

namespace detail {

// Where nobody can write, the mode does not matter: a ConfigMap's folder is 0777 and mounted read-only.
inline bool on_read_only_mount(const std::filesystem::path& path) {
  struct statvfs facts {};
  return ::statvfs(path.c_str(), &facts) == 0 && (facts.f_flag & ST_RDONLY) != 0;
}

inline bool is_open_to_all(const std::filesystem::path& path, const struct stat& facts) {
  return !S_ISLNK(facts.st_mode) && (facts.st_mode & S_IWOTH) != 0 && !on_read_only_mount(path);
}

inline bool is_root_or_me(const struct stat& facts) { return facts.st_uid == 0 || facts.st_uid == ::geteuid(); }

inline std::string foreign_owner(const std::filesystem::path& path, const struct stat& facts) {
  return path.string() + " belongs to user " + std::to_string(facts.st_uid) + ", who is neither root nor the one running this; chown it, or copy it to a folder of yours";
}

// Every step of the way, because whoever can rename a folder can put another in its place.
inline std::string distrust_way(const std::filesystem::path& way, Trust trust) {
  std::filesystem::path path;
  bool shared = false;  // the folder above: everybody may add to it, and touch only what is his own
  for (auto part = way.begin(); part != way.end(); ++part) {
    path /= *part;
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) != 0) return "";
    const auto to_the_end = std::distance(part, way.end());
    const bool to_be_owned = shared || (trust == Trust::code && to_the_end <= 2);
    if (to_be_owned && !is_root_or_me(facts)) return foreign_owner(path, facts);
    shared = false;
    if (!is_open_to_all(path, facts)) continue;
    if (S_ISDIR(facts.st_mode) && (facts.st_mode & S_ISVTX) != 0 && to_the_end > 1) {
      shared = true;
      continue;
    }
    const std::string advice = S_ISDIR(facts.st_mode) ? ", or use another folder" : "";
    return path.string() + " can be changed by every user of this machine; chmod o-w it" + advice;
  }
  return "";
}

}  // namespace detail

/// Why a file or folder can't be trusted, in a line that ends with the way out; empty when it can, or is not there.
inline std::string distrust(const std::string& named, Trust trust) {
  std::error_code problem;
  const std::filesystem::path absolute = std::filesystem::absolute(named, problem);
  const std::filesystem::path target = std::filesystem::canonical(named, problem);
  if (problem) return "";
  // By the name, for the links on the way; and where they lead.
  const std::string reason = detail::distrust_way(absolute, trust);
  return reason.empty() ? detail::distrust_way(target, trust) : reason;
}

}  // namespace purgekit::sdk
