/// \file evidence.hpp
/// Evidence of what was deleted: a chain of small documents for each purged table, of which each names the hash of the one before. Internal.
///
/// A link is a note of the ledger, kind "link", id "{run_id}/{number of the policy in it}/{number of the link}". Its document is canonical
/// JSON (keys in order, no blanks, UTF-8, no fractions), its hash the SHA-256 of that text. Kinds: "start" at a takeover, "chunk" in the
/// transaction that deletes the rows, "end" with the outcome. The table's slot names the last link, so that no commit in doubt, kill or
/// takeover needs anything of its own. What a link tells is listed in README; no value of a row, cursor or constant of a rule gets in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chunk_frames.hpp"
#include "file_archive.hpp"
#include "json.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/report.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

constexpr const char* link_note_kind = "link";

/// How far a table's chain is, as it stands in its slot.
struct ChainPlace {
  std::string head;         ///< hash of the last link; empty: there is none
  std::string run_id;       ///< whose link that is
  std::int64_t next = 1;    ///< number of the next link
  std::int64_t first = 1;   ///< number of that run's start
  std::int64_t chunks = 0;  ///< of that run, as are the counts of rows, by table
  std::vector<std::int64_t> rows_deleted{};
  std::vector<std::int64_t> rows_archived{};
  std::int64_t retention_s = 0;  ///< that its links were promised to be kept for; 0: for ever
  bool is_ended = false;
  bool is_limited = false;       ///< some run of this table has promised its links for a time only

  Json to_json() const;
  /// What its run's record says of it.
  Json record() const;
  /// The member "evidence" of a slot's document, which others may have written.
  static std::optional<ChainPlace> from_slot(const Json& document);
};

/// What a record that others may have written says of a run's links; null: nothing.
Json chain_record(const Json& record);
/// Of a run whose policies' chains end in these links.
std::string evidence_root(const std::vector<std::string>& heads);
/// Tells one key from another, and nothing of it; empty for none.
std::string evidence_key_id(const std::string& key);
/// "{record_id}/{number}"
std::string link_id(const std::string& record_id, std::int64_t number);

/// What a chunk has done.
struct ChunkFacts {
  std::int64_t number = 0;  ///< as archives have it
  std::string before;       ///< cursors
  std::string after;
  std::vector<std::int64_t> rows_deleted{};  ///< by table
  const std::vector<Frame>& frames;
};

/// The chain during one policy of a run. Whatever adds a link does so in the session's open transaction and counts once committed() is called.
class Evidence {
 public:
  Evidence(const PolicyPlan& plan, const RunOptions& options, std::size_t ordinal, std::string record_id);

  /// \param document of the slot before the takeover
  /// \param facts what is told besides the plan
  /// \param cutoff_ns of the walk
  void add_start(Session& session, const Json& document, Json facts, std::int64_t cutoff_ns);
  /// The takeover that wrote this document was ours.
  void take_up(const Json& document);
  /// Nothing for a chunk that deleted no rows. \param cutoff_ns of the walk
  void add_chunk(Session& session, const ChunkFacts& facts, std::int64_t pass, std::int64_t cutoff_ns, const FileArchive* files);
  /// \param document of the slot as it is now
  void add_end(Session& session, const Json& document, const PolicyReport& report);

  /// Into the slot's document, what is to stand there once the transaction is committed.
  void write_to(Json& document) const;
  void committed() { committed_ = pending_; }

  /// For the run's record, as committed and as it will be; null: there is no evidence.
  Json record() const { return is_ours(committed_) ? committed_.record() : Json(nullptr); }
  Json pending_record() const { return is_ours(pending_) ? pending_.record() : Json(nullptr); }
  std::optional<ChainReport> report() const;
  bool is_limited() const { return committed_.is_limited; }

 private:
  void add(Session& session, Json link, bool is_sealed = false);
  bool is_ours(const ChainPlace& place) const { return place.run_id == options_.run_id && !place.head.empty(); }

  const PolicyPlan& plan_;
  const RunOptions& options_;
  std::size_t ordinal_;
  std::string record_id_;
  bool is_kept_ = true;  // the backend keeps notes
  std::int64_t told_cutoff_ns_ = 0;
  ChainPlace committed_;
  ChainPlace pending_;
};

/// Delete the links of this table's earlier runs for which what their own start links promised has passed since their end. What goes
/// wrong is told in the log, and the next run tries again.
/// \param slot key of the table's
void remove_outlived_evidence(Session& session, const std::string& slot);

}  // namespace purgekit
