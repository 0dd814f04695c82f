/// \file bad_files.hpp
/// Files that are not what their name says.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace purgekit::test {

/// A folder of its own, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path path() const { return path_; }
  std::string write(const std::string& name, const std::string& content) const;
  std::string copy(const std::string& source, const std::string& name) const;

 private:
  std::filesystem::path path_;
};

std::string content_of(const std::string& path);

}  // namespace purgekit::test
