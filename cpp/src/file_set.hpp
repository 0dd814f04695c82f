/// \file file_set.hpp
/// Which files of an archive a policy's run writes, and how much of each belongs to it: as it stands in the ledger's slot. Internal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "purgekit/plan.hpp"

namespace purgekit {

/// One file. What lies behind `end` is void.
struct FilePlace {
  std::string table;    ///< as in reports
  std::string columns;  ///< hash of the columns that the file's header lists
  std::string file;     ///< below the archive's folder: "database/table/stem.jsonl.zst"
  std::int64_t end = 0; ///< 0: nothing is in it, and it need not exist
  std::int64_t rows = 0;
  std::int64_t chunks = 0;
  std::string sha256;   ///< of the bytes before `end`; empty for none
};

/// The files of one policy's run, and of those that continue it.
struct FileSet {
  std::string folder;    ///< of the archive, absolute
  std::string stem;      ///< of the files' names: run and number of the policy in it
  std::string run_id;    ///< that began it
  std::vector<std::string> runs;  ///< that wrote into it
  std::string policy;
  std::string policy_hash;
  std::string database;  ///< for people
  std::string place;     ///< the database's folder below the archive's
  std::string started_utc;
  std::vector<FilePlace> files;

  Json to_json() const;
  /// What a ledger says, which others may have written: nothing unless every part can be one of ours and no path leads out of the folder.
  static std::optional<FileSet> from_json(const Json& json);

  /// The manifest's name below the archive's folder, and its content: "purgekit.archive-manifest/1", files named from its own folder.
  std::string manifest_name() const;
  Json manifest(const std::string& finished_utc) const;
  /// Of all files.
  std::int64_t bytes() const;
};

/// A name for a file or folder: other characters than letters, digits, "." "_" "-" are replaced, and a hash then keeps two apart.
std::string safe_name(std::string_view text);
/// Tells whether rows with these columns belong under a header that was written for others.
std::string hash_of(const std::vector<sdk::Column>& columns);

/// The file sets that a slot's document still has to see closed, but for the one that is gone on with.
/// \param taken_up the document's own set is
/// \param finished the run that wrote the document came to its end
Json left_files(const Json& document, bool taken_up, bool finished);

}  // namespace purgekit
