/// \file slot_keeper.hpp
/// The engine's side of the ledger for one policy of one run: takeover, fence, checkpoint, doubt, history record. Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evidence.hpp"
#include "file_archive.hpp"
#include "json.hpp"
#include "purgekit/plan.hpp"
#include "purgekit/report.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/session.hpp"
#include "walk_part.hpp"

namespace purgekit {

/// \throws sdk::Error (PK_CORRUPT) when its numbers can't be those of any run.
void check_slot(const sdk::Slot& slot);

/// ASCII key of a table's slot: readable, at most 200 characters.
std::string slot_key(const sdk::Table& table);

class SlotKeeper {
 public:
  /// `ordinal` numbers the policy within the run.
  SlotKeeper(Session& session, const PolicyPlan& plan, const RunOptions& options, std::size_t ordinal, const std::string& database);

  /// Without a ledger there is no fence, no resume, and doubt stays doubt.
  bool enabled() const { return enabled_; }
  const std::string& key() const { return slot_.key; }

  /// Take the table over: raise the epoch, continue an unfinished walk of the same policy or start afresh. May be repeated after a
  /// connection was lost.
  void claim();

  std::int64_t epoch() const { return slot_.epoch; }
  std::int64_t seq() const { return slot_.seq; }
  /// Number of the chunk in hand, unique for the table as long as the ledger is.
  std::int64_t chunk() const { return slot_.seq + 1; }
  /// Where the walk goes on: what was left of it, or the whole table as one part. Never empty.
  std::vector<WalkPart> parts() const;
  std::int64_t pass() const { return slot_.pass; }
  std::int64_t walk_now_ns() const { return slot_.cutoff_ns; }
  const std::string& continues() const { return continues_; }
  /// The run before this one did not come to its end, so that its last stroke may have been carried out and not counted.
  bool interrupted() const { return interrupted_; }

  /// Where deleted rows are kept in files; nullptr: they are not.
  FileArchive* files() { return files_.get(); }

  /// Write how far the walk is after a chunk into the session's open transaction, and what the chunk did into the chain of evidence.
  void checkpoint(Session& session, const std::vector<WalkPart>& parts, std::int64_t rows, const std::vector<TableCount>& tables, const ChunkFacts& facts);
  /// The checkpoint of the chunk is committed.
  void committed();

  /// On a new connection: whether the chunk that was in doubt is committed. Throws PK_FENCED when another run took over, and
  /// PK_LOCK_TIMEOUT when the old transaction still hangs.
  bool resolve(Session& session, std::uint32_t wait_ms);

  /// Fenced out: whether that was no takeover but a hold that was added while this run goes on, which then has its table back. Nothing
  /// may be in doubt. The holds are to be read again.
  bool rejoin();

  /// The same question at the end of the run, when it may have been fenced out since; nullopt: nobody knows any more.
  std::optional<bool> settle();

  /// A fresh pass from the start of the table, with the plan's own instant. Written with the next checkpoint.
  void new_pass(std::int64_t now_ns);

  /// The walk goes on in another way, from the start of the table. Written with the next checkpoint.
  void other_walk(const std::string& walk);

  std::optional<ChainReport> evidence() const { return evidence_.report(); }
  /// Some run of this table has promised its evidence for a time only.
  bool has_limited_evidence() const { return evidence_.is_limited(); }

  /// Record the outcome. May be repeated after a connection was lost.
  void finish(const PolicyReport& report);

 private:
  void take_over(const sdk::Slot& old, const Json& document);
  void forget_place();
  Json record(const std::string& status, int exit_code, std::int64_t rows_deleted) const;
  void write_record(const Json& record);

  Session& session_;
  const PolicyPlan& plan_;
  const RunOptions& options_;
  bool enabled_;
  std::string record_id_;
  std::string database_;
  std::string started_utc_;
  std::string hash_;
  std::string archive_;  // of the policy's own table, or the folder; empty: none
  Json archives_;        // of all its tables
  std::unique_ptr<FileArchive> files_;
  Evidence evidence_;
  std::string continues_;
  bool interrupted_ = false;
  Json left_behind_ = Json::array();  // records of runs before us: id, seq, record
  sdk::Slot slot_;     // as committed
  sdk::Slot pending_;  // as the open chunk would leave it
};

}  // namespace purgekit
