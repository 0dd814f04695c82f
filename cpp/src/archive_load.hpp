/// \file archive_load.hpp
/// Rows of archive files on their way into the archive table that a restore then takes them from. Internal.
///
/// Each chunk is loaded by one transaction, under the number that it has in the files; so it is there as a whole or not at all, and what is
/// there already is known by its count.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/session.hpp"
#include "restore_scope.hpp"

namespace purgekit {

/// All rows of one number.
struct LoadChunk {
  std::int64_t number = 0;
  std::int64_t rows = 0;
  std::vector<const FileChunk*> pieces;
};

/// The archive table for a table's rows: the one that `--archive table` would use.
sdk::ArchiveTable loading_place(const std::string& table);

/// That table, when it is there and takes these rows. \throws EngineError (refused) when it is another, or not for this user
std::optional<sdk::Table> loading_table(Session& session, const sdk::Table& source, const FileTable& files);

/// What it will be when it is made.
sdk::Table future_archive(const FileTable& files);

/// Make it. \throws sdk::Error
void make_archive(Session& session, const RestorePart& part);

/// In order of their numbers.
std::vector<LoadChunk> load_chunks(const FileTable& files);

/// How many rows of a chunk are in the archive, restored or not.
std::int64_t rows_there(Session& session, const RestorePart& part, const std::string& run_id, std::int64_t number);

/// In the open transaction: put all rows of a chunk there. \throws sdk::Error
void load_chunk(Session& session, const RestorePart& part, const std::string& run_id, const LoadChunk& chunk);

}  // namespace purgekit
