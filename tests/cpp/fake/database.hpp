/// \file database.hpp
/// A database of one table in memory that does what a test's script says. It exists for the engine's decisions only: what real
/// databases do is tested on real databases.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/sdk/table.hpp"

namespace purgekit::fake {

class Connection;

/// A row of T(ID, EXPIRES_MS).
struct Record {
  std::int64_t expires_ms = 0;
  std::int64_t children = 0;   ///< rows of CHILD that go with it
  bool locked = false;         ///< another session holds it
  bool referenced = false;     ///< a row of CHILD refers to it
  std::string held_by;         ///< a foreign key that the catalogue did not tell
  bool trigger = false;        ///< a trigger refuses its deletion
};

/// What one transaction has done so far.
struct Transaction {
  std::set<std::int64_t> deleted;
  std::int64_t children = 0;
  std::optional<sdk::Slot> slot;
  std::map<std::string, sdk::Slot> more_slots;
  std::map<std::string, std::optional<std::string>> notes;  ///< written, or nothing: deleted
};

/// Runs at the start of a call, on the connection that makes it; may throw sdk::Error.
using Action = std::function<void(Connection&)>;

struct Database {
  // contents, as committed
  std::map<std::int64_t, Record> rows;
  std::map<std::string, sdk::Slot> slots;
  std::map<std::string, std::string> runs;
  std::map<std::string, std::string> notes;  ///< "kind/id" to document
  std::int64_t children_deleted = 0;

  // what the catalogue tells
  std::int64_t now_ns = 1'800'000'000'000'000'000;
  sdk::Table table;
  sdk::Table child;
  sdk::Server server;
  sdk::Ledger ledger;
  std::vector<sdk::Walk> walks;
  std::int64_t estimate = -1;          ///< -1: not offered
  std::vector<double> replica_lags_s;  ///< answers in turn, the last one for ever; empty: not offered
  std::vector<sdk::Space> spaces;      ///< likewise
  int care_steps = 0;                  ///< until a table is looked after; 0: not offered
  std::vector<std::vector<sdk::Signal>> signals;  ///< likewise
  std::vector<sdk::Move> moves;        ///< "move:swap" takes all matching rows at a stroke, "move:partition" the next full partition
  std::int64_t partition_rows = 10;    ///< ids of one partition
  std::int64_t rows_kept_back = 0;     ///< a defect: so many deleted rows of a chunk are not given to the sink
  bool run_locked = false;
  bool can_be_cut = false;
  std::int64_t most_rows_in_time = INT64_MAX;  ///< visiting more of them is a statement timeout

  // a COMMIT whose connection is gone and that the server has not finished
  std::optional<Transaction> hanging;
  int hanging_waits = 0;       ///< so many waits for its lock end in a timeout
  bool hanging_commits = true;

  // the script
  std::map<std::pair<std::string, int>, Action> script;  ///< verb and how often it was called, from 1
  std::map<std::string, Action> always;
  std::map<std::string, int> calls;
  std::vector<std::pair<std::string, pk_care>> care;  ///< every step: table and what was asked for
  std::vector<sdk::Range> ranges;  ///< of each delete_range
  std::vector<std::int64_t> prepared_cutoffs_ns;  ///< of the predicates that were prepared; 0: one without a time

  Database();
  void at(const std::string& verb, int call, Action action) { script[{verb, call}] = std::move(action); }
  void apply(const Transaction& transaction);
  void settle_hanging();
  std::int64_t expired_rows(std::int64_t grace_ms) const;
  /// What was prepared last satisfies no row: the engine steps over one that is blocked.
  bool stepping_over() const { return !prepared_cutoffs_ns.empty() && prepared_cutoffs_ns.back() == 0; }
};

/// The one behind the backend "fake"; a test resets it.
Database& database();

// Actions

/// Fail with a code; a lost connection rolls back.
Action raise(pk_code code, const std::string& message = "scripted");
/// At "commit": no answer comes, and the transaction is committed or not.
Action lose_commit(bool applied);
/// At "commit": no answer comes, and the lock stays for so many waits; then it is committed or not.
Action hang_commit(bool commits, int waits);

}  // namespace purgekit::fake
