/// \file restore.hpp
/// Puts rows back that a run has kept in archive tables: chunk by chunk, each one transaction in which the archive marks what is restored.
/// What it has kept in files is loaded into such tables before, each chunk once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/control.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

/// A chunk's rows in an archive file, as what vouches for the file says of it.
struct FileChunk {
  std::string path;
  std::int64_t number = 0;
  std::int64_t begin = 0;  ///< of its zstd frame in the file
  std::int64_t end = 0;
  std::int64_t rows = 0;
  std::int64_t bytes = 0;  ///< of its lines
  std::string sha256;      ///< likewise
  std::int64_t archived_ns = 0;
};

/// What a run keeps of one table in files that were found intact.
struct FileTable {
  std::string table;                  ///< as the run wrote it
  std::vector<std::string> policies;  ///< that it is of
  std::vector<sdk::Column> columns;
  std::vector<FileChunk> chunks;      ///< several may have one number
};

struct RestoreOptions {
  std::string run_id;           ///< of the restore itself
  std::string restored_run_id;  ///< of the run whose rows come back
  std::string ledger = "purgekit_ledger";
  std::vector<std::string> policies;  ///< of that run; none: all
  std::vector<std::string> tables;    ///< likewise, as written
  std::vector<std::pair<std::string, sdk::Value>> where;  ///< column and value: rows that have all of them, and children of such
  std::optional<std::int64_t> since_ns;  ///< archived at or after
  std::optional<std::int64_t> until_ns;  ///< archived before
  pk_conflict conflict = PK_CONFLICT_REFUSE;
  bool hold = true;  ///< what is restored is put on hold, so that the next purge does not take it again
  std::uint32_t lock_wait_ms = 1'000;
  std::vector<FileTable> files;  ///< where the run kept rows in files: their rows go into archive tables first
};

struct RestoredTable {
  std::string table;
  std::string archive;
  std::int64_t rows_restored = 0;
  std::int64_t rows_skipped = 0;  ///< left in the archive, in conflict with rows that are there
  std::int64_t chunks = 0;
  std::int64_t rows_loaded = 0;   ///< out of archive files into the archive, by this restore
  std::string hold;  ///< id of the hold, or empty
};

struct RestoreReport {
  std::string run_id;
  std::string restored_run_id;
  std::string status = "completed";  ///< "completed", "stopped", "failed"
  std::string stop_reason;
  std::string error_code;
  std::string error_message;
  std::string error_table;
  double elapsed_s = 0;
  std::vector<RestoredTable> tables;
  std::vector<Warning> warnings;

  std::int64_t rows_restored() const;
  std::int64_t rows_skipped() const;
  std::int64_t rows_loaded() const;
  /// 0, 1, 3, or 4 when rows were skipped.
  int exit_code() const;
  /// purgekit.restore/1
  std::string to_json() const;
};

/// Where a run kept rows in files, as JSON: "policies", each with "policy", "table", "folder", "database", "sets" (what the ledger still says
/// of its files: FileSet of file_set.hpp) and "runs" (run to rows deleted, of runs that wrote into that folder by that policy).
std::string archive_places(Session& session, const std::string& ledger, const std::string& run_id);

/// Told after each chunk, on the calling thread.
using RestoreSink = std::function<void(const RestoredTable&, double elapsed_s)>;

/// What goes wrong after the first committed chunk is part of the report; the same call goes on from there.
/// \throws EngineError when nothing was changed.
RestoreReport run_restore(Session& session, const sdk::ConnectParams& connection, const RestoreOptions& options, RunControl& control, const RestoreSink& on_progress);

}  // namespace purgekit
