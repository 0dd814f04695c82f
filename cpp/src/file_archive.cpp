#include "file_archive.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <utility>

#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t header_magic = 0x184D2A50;
constexpr std::uint32_t chunk_magic = 0x184D2A51;

std::string little_endian(std::uint32_t number) {
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(number >> shift & 0xFFu);
  return out;
}

// A frame that every zstd reader passes over.
std::string skippable(std::uint32_t magic, const Json& content) {
  const std::string text = content.dump(-1, ' ', false, Json::error_handler_t::replace);
  return little_endian(magic) + little_endian(static_cast<std::uint32_t>(text.size())) + text;
}

fs::path last_name(const FileSet& set, const FilePlace& place) { return fs::path(set.folder) / place.file; }

fs::path part_name(const FileSet& set, const FilePlace& place) {
  fs::path out = last_name(set, place);
  out += ".part";
  return out;
}

bool is_there(const fs::path& path) {
  std::error_code problem;
  return fs::exists(fs::symlink_status(path, problem));
}

// Nothing of it counts; whose is it?
bool is_void_of_ours(const ArchiveFile& file) { return file.size() == 0 || file.read(0, 4) == little_endian(header_magic); }

void write_manifest(const FileSet& set) {
  if (set.bytes() == 0) return;
  const fs::path path = fs::path(set.folder) / set.manifest_name();
  if (!is_there(path)) write_whole(path, set.manifest(now_utc()).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

// The last that is done to a file whose bytes up to `place.end` are known to be right.
void name_file(const FileSet& set, const FilePlace& place, ArchiveFile& file) {
  if (place.end == 0) {
    file.remove();
    return;
  }
  file.cut(place.end);
  file.rename(last_name(set, place));
  file.close();
}

// A set whose run is gone. What can't be closed is thrown; what is lost is told and given up.
void close_set(const FileSet& set) {
  for (const FilePlace& place : set.files) {
    ArchiveFile file(part_name(set, place));
    if (!file.open()) {
      if (place.end > 0 && !is_there(last_name(set, place))) {
        log().warn("the archive file {} of run {} is gone, and with it {} rows that were deleted", file.path().string(), set.run_id, place.rows);
      }
      continue;
    }
    const bool right = place.end == 0 ? is_void_of_ours(file) : file.size() >= place.end && file.hash(place.end).hex() == place.sha256;
    if (right) name_file(set, place, file);
    else log().warn("the archive file {} of run {} is not what was written ({} rows in {} bytes); it is left as it is", file.path().string(), set.run_id, place.rows, place.end);
  }
  write_manifest(set);
}

}  // namespace

FileArchive::FileArchive(const ArchiveFiles& plan, FileSet own) : plan_(plan), own_(std::move(own)) {
  own_.folder = plan.folder;
  for (std::size_t i = 0; i < plan.tables.size(); ++i) {
    const ArchivedTable& table = plan.tables[i];
    const auto same = std::find_if(own_.files.begin(), own_.files.end(), [&](const FilePlace& f) { return f.table == table.name; });
    file_of_.push_back(static_cast<std::size_t>(same - own_.files.begin()));
    if (same != own_.files.end()) continue;
    table_of_.push_back(i);
    FilePlace place;
    place.table = table.name;
    place.columns = hash_of(table.columns);
    place.file = own_.place + "/" + safe_name(table.name) + "/" + own_.stem + ".jsonl.zst";
    own_.files.push_back(std::move(place));
  }
  committed_ = pending_ = own_;
}

bool FileArchive::fits(const FileSet& set) const {
  const auto same = [](const FilePlace& a, const FilePlace& b) { return a.table == b.table && a.columns == b.columns; };
  return set.folder == own_.folder && std::equal(set.files.begin(), set.files.end(), own_.files.begin(), own_.files.end(), same);
}

bool FileArchive::take_over(const Json& document, bool continued) {
  open_.clear();
  const auto named = document.find("files");
  const std::optional<FileSet> old = named == document.end() ? std::nullopt : FileSet::from_json(*named);
  const bool taken = old && (continued || old->stem == own_.stem) && fits(*old);
  committed_ = taken ? *old : own_;
  if (std::find(committed_.runs.begin(), committed_.runs.end(), own_.runs.at(0)) == committed_.runs.end()) committed_.runs.push_back(own_.runs[0]);
  pending_ = committed_;
  bytes_before_ = committed_.bytes();
  for (const FilePlace& place : committed_.files) {
    open_.push_back({ArchiveFile(part_name(committed_, place)), {}, {}, false});
    ArchiveFile& file = open_.back().file;
    if (taken) {
      open_taken(place, file);
    } else if (is_there(file.path()) || is_there(last_name(committed_, place))) {
      throw EngineError(ErrorKind::failed, "archive_foreign", file.path().string() + " exists already and is not of this run: move it away, or name another folder with --archive");
    }
  }
  return taken;
}

void FileArchive::open_taken(const FilePlace& place, ArchiveFile& file) const {
  const bool there = file.open();
  const auto lost = [&](const std::string& what) {
    throw sdk::Error(PK_CORRUPT, "the archive file " + file.path().string() + " " + what + ", and the ledger says that " + std::to_string(place.rows) + " rows in " +
                                     std::to_string(place.end) + " bytes were written: put the right file back, or name another folder with --archive to go on without it");
  };
  if (place.end == 0) {
    if (!there) return;
    if (!is_void_of_ours(file)) {
      throw EngineError(ErrorKind::failed, "archive_foreign", file.path().string() + " was not written by purgekit: move it away, or name another folder with --archive");
    }
  } else if (!there) {
    lost("is gone");
  } else if (const std::int64_t size = file.size(); size < place.end) {
    lost("has only " + std::to_string(size) + " bytes");
  }
  file.cut(place.end);
}

void FileArchive::verify() {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const FilePlace& place = committed_.files[i];
    if (place.end == 0) continue;
    open_[i].hash = open_[i].file.hash(place.end);
    if (open_[i].hash.hex() == place.sha256) continue;
    throw sdk::Error(PK_CORRUPT, "the archive file " + open_[i].file.path().string() + " does not hold what was written into it (its hash differs from the ledger's): put the right file back, or name "
                                 "another folder with --archive to go on without it");
  }
}

Json FileArchive::close_left(const Json& left) {
  Json kept = Json::array();
  for (const Json& item : left) {
    const std::optional<FileSet> set = FileSet::from_json(item);
    if (!set) continue;
    if (set->folder != own_.folder) {
      kept.push_back(item);
      continue;
    }
    try {
      close_set(*set);
    } catch (const std::exception& e) {
      log().warn("the archive files of run {} could not be closed: {}; the next run tries again", set->run_id, e.what());
      kept.push_back(item);
    }
  }
  return kept;
}

std::string FileArchive::header(std::size_t table) const {
  Json columns = Json::array();
  for (const sdk::Column& c : plan_.tables[table].columns) columns.push_back({{"name", c.name}, {"type", c.type_name}, {"kind", static_cast<int>(c.kind)}});
  return skippable(header_magic, {{"schema", "purgekit.archive/1"},
                                  {"table", plan_.tables[table].name},
                                  {"run_id", committed_.run_id},
                                  {"policy", committed_.policy},
                                  {"database", committed_.database},
                                  {"started_utc", committed_.started_utc},
                                  {"columns", columns},
                                  {"columns_hash", hash_of(plan_.tables[table].columns)}});
}

void FileArchive::append(std::int64_t chunk, const std::vector<Frame>& frames) {
  pending_ = committed_;
  std::vector<bool> touched(open_.size(), false);
  try {
    cut_void();
    for (const Frame& frame : frames) {
      const std::size_t number = file_of_[frame.table];
      FilePlace& place = pending_.files[number];
      Open& open = open_[number];
      if (!touched[number]) {
        if (!open.file.is_open()) open.file.create();
        open.file.require_in_place();
        open.pending = Sha256(open.hash);
        open.is_dirty = touched[number] = true;
      }
      const std::string record = skippable(chunk_magic, {{"chunk", chunk}, {"rows", frame.rows}, {"bytes", frame.bytes}, {"sha256", frame.sha256}, {"archived_utc", now_utc()}});
      const std::string head = (place.end == 0 ? header(table_of_[number]) : "") + record;
      for (const std::string* part : std::array{&head, &frame.data}) {
        open.file.write(place.end, *part);
        open.pending.add(*part);
        place.end += static_cast<std::int64_t>(part->size());
      }
      place.rows += frame.rows;
      ++place.chunks;
    }
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (!touched[i]) continue;
      open_[i].file.sync();
      pending_.files[i].sha256 = open_[i].pending.hex();
    }
  } catch (...) {
    const std::exception_ptr problem = std::current_exception();
    try {
      cut_void();  // a full disk has room again
    } catch (const std::exception& e) {
      log().debug("{}; the next run does it", e.what());
    }
    std::rethrow_exception(problem);
  }
}

void FileArchive::cut_void() {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (!open_[i].is_dirty) continue;
    open_[i].file.cut(committed_.files[i].end);
    open_[i].is_dirty = false;
  }
}

void FileArchive::committed() {
  committed_ = pending_;
  for (Open& open : open_) {
    if (!open.is_dirty) continue;
    open.hash = Sha256(open.pending);
    open.is_dirty = false;
  }
}

void FileArchive::finish(bool completed) {
  if (is_finished_) return;
  try {
    cut_void();
    if (completed) give_names();
  } catch (const std::exception& e) {
    log().warn("the archive in {} could not be finished: {}; every row is in it, and the next run of this policy tries again", own_.folder, e.what());
  }
}

void FileArchive::give_names() {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (open_[i].file.is_open()) name_file(committed_, committed_.files[i], open_[i].file);
  }
  is_finished_ = true;
  write_manifest(committed_);
}

std::vector<ArchivedFile> FileArchive::report() const {
  std::vector<ArchivedFile> out;
  for (const FilePlace& place : committed_.files) {
    if (place.end == 0) continue;
    const fs::path path = is_finished_ ? last_name(committed_, place) : part_name(committed_, place);
    out.push_back({place.table, path.string(), place.rows, place.end, place.sha256, is_finished_});
  }
  return out;
}

}  // namespace purgekit
