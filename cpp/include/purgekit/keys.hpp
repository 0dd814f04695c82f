/// \file keys.hpp
/// Purging rows by their keys, for an application to call when it issues, refreshes or revokes something: one short transaction, and of the
/// rows given only those that the policy takes at that instant.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/plan.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/report.hpp"
#include "purgekit/session.hpp"

namespace purgekit {

struct KeyPurgeOptions {
  std::string run_id;                      ///< of the record that counts what went
  std::string ledger = "purgekit_ledger";  ///< "[SCHEMA.]NAME", or "none": no holds but the policy's, and no record
  std::string archive{};                   ///< "table" or "table:NAME"; empty: as the policy says
  bool keeps_rows = true;                  ///< false: nothing is archived, whatever the policy says
  bool accept_clock = false;
  Zones zones{};
  std::string policy_hash{};
};

struct KeyPurgeResult {
  std::vector<TableCount> tables;  ///< the policy's own first, then its dependents
  double elapsed_ms = 0;
};

/// A policy made ready once, for as many calls as there are. Thread rule: serial, like its session, which others may use in between.
class KeyPurge {
 public:
  /// Checks the policy, makes ledger and archive when they are absent. \throws EngineError when it can't be done; no row was changed.
  KeyPurge(Session& session, const sdk::ConnectParams& connection, const Policy& policy, KeyPurgeOptions options);

  /// Delete the rows with these keys that the policy takes now, dependents first. Each key has a value for each column of the primary key.
  /// \param ledger_in_use what the session's ledger verbs work on; becomes this purge's own
  /// \throws EngineError; nothing was changed, unless the code is "in_doubt"
  KeyPurgeResult purge(const std::vector<std::vector<Value>>& keys, std::string& ledger_in_use);

  const std::string& table() const { return table_; }
  const std::string& run_id() const { return options_.run_id; }

 private:
  void make_ready();
  void read_catalogue();
  void check_ledger();
  void reconnect();
  void begin(std::string& ledger_in_use, std::int64_t& now_ns);
  void read_holds();
  Predicate names(const std::vector<std::vector<Value>>& keys) const;
  KeyPurgeResult attempt(const std::vector<std::vector<Value>>& keys, std::string& ledger_in_use);
  void note(const std::vector<TableCount>& totals, std::int64_t calls);
  void start_record(const std::vector<std::string>& tables);
  std::vector<TableCount> counted_nothing() const;
  void roll_back();
  bool has_ledger() const { return options_.ledger != "none"; }
  [[noreturn]] void fail(const sdk::Error& error);

  Session& session_;
  const sdk::ConnectParams& connection_;
  Policy policy_;
  KeyPurgeOptions options_;
  std::string table_;
  std::unique_ptr<Catalogue> catalogue_{};
  std::optional<Plan> plan_{};  ///< of the one policy
  std::vector<HoldInForce> holds_{};
  std::int64_t gate_ = -1;      ///< epoch of the gate under which the holds were read
  std::chrono::steady_clock::time_point ready_since_{};
  std::string started_utc_;
  int record_ = -1;             ///< number of the record in hand
  std::int64_t chunk_ = 0;      ///< of the last call that deleted something, as archived rows have it
  std::int64_t calls_ = 0;      ///< that deleted something, and what they deleted: as the record in hand says
  std::vector<TableCount> totals_{};
};

}  // namespace purgekit
