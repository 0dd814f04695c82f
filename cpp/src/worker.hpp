/// \file worker.hpp
/// One session's way through parts of a table: chunk after chunk, and what is done when one fails. Internal to the runner.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "chunk_frames.hpp"
#include "policy_work.hpp"
#include "purgekit/lower.hpp"

namespace purgekit {

/// Another worker of the same policy has ended the run.
struct Halted {};

/// Thread rule: belongs to one thread at a time.
class Worker {
 public:
  /// `primary`: the run lock is this session's, and what is told to people comes from it.
  Worker(PolicyWork& work, Session& session, bool primary);

  /// Render the chunk's statements as of `now_ns`. \param nothing with a condition that no row satisfies
  void prepare(std::int64_t now_ns, bool nothing = false);
  /// Go through parts until none is left. \throws Stop, Halted, sdk::Error; a commit in doubt is then in `work`.
  void walk();

  std::int64_t count(const LoweredPredicate& predicate);
  LowerInput input(std::int64_t now_ns);
  /// What a deleting statement tests: the policy and the holds, and no reference to the row.
  LoweredPredicate deletable(std::int64_t now_ns);
  /// Have other tables described again: a hold may name new ones.
  void forget_tables() { catalogue_.forget(); }
  /// Take the cheapest walk for what is left, from its start; `by_every_row`: one that can step over rows. False: there is none.
  bool choose_walk(bool by_every_row);
  void refresh_fraction_limit();
  void lock_run();
  void unlock_run();
  void reconnect();
  void roll_back();
  void wait(double wait_s, const std::string& reason, const std::string& name = "") { pause(work_, {wait_s, reason, name}, sizer_.rows()); }

 private:
  struct Suspect {
    std::int64_t rows = 0;  // within so many rows ahead one can't be deleted now; 0: none is suspected
    std::int64_t step = 0;  // rows of the next chunk among them
    void passed(std::int64_t visited, bool stepped_over);
  };
  enum class Verdict { again, skip_row, give_up };

  using Lock = std::unique_lock<std::recursive_mutex>;

  bool take_part();
  void one_chunk();
  bool try_chunk(std::int64_t& rows, bool stepping_over, Lock& lock);
  void committed(bool stepping_over);
  std::vector<WalkPart> parts_after(const sdk::Deleted& range) const;
  void add_rows(TableCount& table, std::int64_t rows) const;
  Verdict after_error(const sdk::Error& error);
  void note_blocked(const sdk::Error& error);
  void take_other_walk();
  bool committed_after_reconnect();
  // worker_pace.cpp
  void await_pace();
  void ask_pacer();
  void heed_signals();
  double chunk_ms() const;
  void read_signals();
  void wait_for_replicas();
  void count_retry();

  PolicyWork& work_;
  RunContext& context_;
  const PolicyPlan& plan_;
  Session& session_;
  std::unique_ptr<ChunkFrames> frames_;  // where deleted rows go into files
  Catalogue catalogue_;
  ChunkSizer sizer_;
  bool primary_;
  WalkPart* part_ = nullptr;
  Suspect suspect_;
  bool prepared_nothing_ = false;
  std::int64_t prepared_now_ns_ = 0;
  double last_lag_check_s_ = -1e9;
  double lag_failed_since_s_ = -1;
  double last_chunk_ms_ = 0;  // of this worker's last chunk; 0: none since the last wait between chunks
  std::int64_t last_chunk_rows_ = 0;
  // state of the chunk in hand
  bool at_ledger_ = false;  // what fails now is about the database or the ledger, not about a row
  bool in_commit_ = false;  // COMMIT was sent; `work_.mutex` is held until it is known what came of it
  int lock_tries_ = 0;
  int conflict_tries_ = 0;
  int resource_tries_ = 0;
  int begin_tries_ = 0;
};

/// Seconds to wait before the next try: longer each time, and spread so that two runs don't meet again.
double backoff_s(int tries);

/// Whether the walk goes by every row, so that one that can't go can be stepped over.
bool can_skip_rows(const sdk::Walk& walk);

}  // namespace purgekit
