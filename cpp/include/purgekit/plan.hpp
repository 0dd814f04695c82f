/// \file plan.hpp
/// What a purge would do, frozen: cutoff, counts, walk, statements, warnings. Data only; see planner.hpp for how it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/forecast.hpp"
#include "purgekit/hold.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/zone.hpp"

namespace purgekit {

/// Something the operator should know. `code` is a stable word, `message` one line for people.
struct Warning {
  std::string code;
  std::string message;
};

/// A table whose deleted rows go into a file.
struct ArchivedTable {
  std::string name;  ///< as in reports
  std::vector<sdk::Column> columns;
};

/// Files that keep what a policy deletes.
struct ArchiveFiles {
  std::string folder;                 ///< absolute
  std::vector<ArchivedTable> tables;  ///< the policy's own, then its dependents
};

/// A value of a row for people: its whole length, and the beginning of its text unless it is masked.
struct ShownValue {
  bool is_null = false;
  std::int64_t length = 0;
  std::string text;
};

/// Some of the rows that would go, each with the table's columns in their order.
struct RowSample {
  bool masked = true;
  std::vector<std::vector<ShownValue>> rows;
};

/// A column of an archive that the run's clock goes into.
struct ArchiveClock {
  std::size_t archive = 0;  ///< number in PolicyPlan::archives, and in its columns
  std::size_t column = 0;
  Unit unit = Unit::timestamp;
  std::string timezone = "UTC";
  pk_column_kind kind = PK_COLUMN_OTHER;
};

struct PolicyPlan {
  Policy policy;
  bool skipped = false;  ///< the table is absent and the policy is optional: nothing else is filled
  sdk::Table table;
  std::int64_t now_ns = 0;     ///< the database's clock when it was planned, or what --now gave
  std::int64_t cutoff_ns = 0;  ///< of the rules if they have one in common, else now less grace
  std::int64_t rows_total = 0;
  std::int64_t rows_purgeable = 0;
  bool exact = false;
  sdk::Walk walk;
  std::int64_t chunk_rows = 0;  ///< size of the first chunk
  std::vector<std::string> statements;
  std::vector<Warning> warnings;
  std::vector<sdk::Reference> guards;  ///< foreign keys whose referenced rows are left
  std::vector<sdk::Dependent> dependents;
  std::vector<sdk::ArchiveTable> archives;  ///< none, or of the table and then of each dependent
  std::string clock_doubt;  ///< why a run refuses until accept_clock; empty: plausible
  Forecast forecast{};
  std::vector<sdk::Walk> walks{};  ///< all that the backend offered
  std::optional<sdk::Move> move{};     ///< what the policy's strategy asked for; then `walk` is the move's
  std::optional<ArchiveFiles> files{};  ///< never together with `archives`
  std::vector<HoldInForce> holds{};    ///< of the ledger, as they stood when it was planned
  std::optional<std::int64_t> rows_held{};  ///< that satisfy the rule and stay because of a hold, the policy's own too; nothing: not counted
  std::optional<RowSample> sample{};
  std::vector<ArchiveClock> archive_clocks{};
  std::vector<sdk::Move> proposals{};  ///< with strategy "auto": what could be done instead of the walk, or why not
};

struct Plan {
  std::string backend;
  sdk::Server server;
  std::int64_t clock_skew_ns = 0;  ///< database's clock less this machine's
  Zones zones;
  std::vector<PolicyPlan> policies;

  /// The contract's purgekit.plan/1.
  std::string to_json() const;
};

/// Whether deleted rows are kept anywhere.
inline bool keeps_rows(const PolicyPlan& plan) { return !plan.archives.empty() || plan.files.has_value(); }

/// Shape of a table in one line: a run refuses when it differs from the plan's.
std::string fingerprint(const sdk::Table& table);

}  // namespace purgekit
