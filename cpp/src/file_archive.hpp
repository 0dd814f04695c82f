/// \file file_archive.hpp
/// Keeps what a policy deletes in files: what belongs to them is what the ledger's slot names, through any crash. Internal.
///
/// Under the archive's folder lie `{database}/{table}/{run_id}.{number of the policy in it}.jsonl.zst`, with ".part" behind while the walk
/// is not at its end, and then `{database}/{run_id}.{number}.manifest.json`, which lists them. A file is a sequence of zstd frames: a
/// skippable one (magic 0x184D2A50) with the header {"schema": "purgekit.archive/1", "table", "run_id", "policy", "database", "started_utc",
/// "columns": [{"name", "type", "kind"}], "columns_hash": see hash_of()}; then for each chunk a skippable one (0x184D2A51) with {"chunk", "rows", "bytes", "sha256",
/// "archived_utc"}, of the lines uncompressed, and one with the lines (row_lines.hpp).
///
/// A chunk's frames are written and flushed between its fence and its checkpoint, which names the new end and hash of each file; the same
/// transaction deletes the rows. What lies behind a named end is void and is cut off before anything else is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "archive_file.hpp"
#include "chunk_frames.hpp"
#include "file_set.hpp"
#include "json.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/report.hpp"

namespace purgekit {

/// Thread rule: whoever calls anything holds the mutex of the policy's work.
class FileArchive {
 public:
  /// `own` names the files that a walk from the start would write.
  FileArchive(const ArchiveFiles& plan, FileSet own);

  /// While the slot is locked: go on with the files that its document names, or see that new ones can be made.
  /// \param continued the walk that the document belongs to is gone on with
  /// \throws sdk::Error PK_CORRUPT when a file is not what the ledger says, PK_LOCK_TIMEOUT when another process writes into one
  /// \returns whether they are gone on with
  bool take_over(const Json& document, bool continued);
  /// Read what was taken over, byte by byte. \throws sdk::Error PK_CORRUPT
  void verify();
  /// Close file sets of earlier runs in the same folder. \returns those that are still to be closed
  Json close_left(const Json& left);

  /// Write a chunk's frames. Nothing of it counts until committed(). \throws EngineError (failed)
  void append(std::int64_t chunk, const std::vector<Frame>& frames);
  /// What the slot's document says once the chunk in hand is committed.
  Json state() const { return pending_.to_json(); }
  /// The same of the file that keeps rows of a table: 0 is the policy's own, then come its dependents.
  const FilePlace& pending(std::size_t table) const { return pending_.files[file_of_[table]]; }
  void committed();
  /// When it is known how far the ledger is: cut off what is void, and where the walk is at its end give the files their names. What
  /// goes wrong is told in the log: the rows are safe, and the next run tries again.
  void finish(bool completed);

  std::vector<ArchivedFile> report() const;
  /// Added by this run, as committed.
  std::int64_t bytes_written() const { return committed_.bytes() - bytes_before_; }

 private:
  /// A file of the set, in the same place of the list.
  struct Open {
    ArchiveFile file;
    Sha256 hash;     // up to the committed end
    Sha256 pending;  // up to the end of the chunk in hand
    bool is_dirty = false;
  };

  bool fits(const FileSet& set) const;
  void open_taken(const FilePlace& place, ArchiveFile& file) const;
  void cut_void();
  std::string header(std::size_t table) const;
  void give_names();

  const ArchiveFiles& plan_;
  FileSet own_;
  std::vector<std::size_t> file_of_;  // of each table; a table that is there twice has one
  std::vector<std::size_t> table_of_;  // of each file, the first
  FileSet committed_;
  FileSet pending_;
  std::vector<Open> open_;
  std::int64_t bytes_before_ = 0;
  bool is_finished_ = false;
};

}  // namespace purgekit
