/// \file policy.hpp
/// What may go from one table, and what goes with it. Immutable once made; thread rule as predicate.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/archive_mapping.hpp"
#include "purgekit/predicate.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit {

/// Rows of a child table that go with the parents of a chunk.
struct DependentRule {
  std::string table;
  std::vector<std::pair<std::string, std::string>> on;  ///< child column, parent column
  bool unless_referenced = true;  ///< keep the child while any row of the parent table still has its values
  bool optional = false;          ///< skipped when the table, or a column it is joined by, does not exist
  std::optional<ArchiveMapping> moved_to{};  ///< with the policy's own: where its rows go instead of an archive of purgekit's
  std::string of{};               ///< the dependent before it whose children these are, as that is written; empty: of the policy's own table
  bool operator==(const DependentRule&) const = default;
};

/// What stops a run of a policy before its first delete, beside max_fraction.
struct Fuses {
  bool approval_required = false;                ///< it runs as a plan file that somebody approved, and not otherwise
  std::optional<double> within_pct{};            ///< by how much what may go may differ from the last run
  std::optional<std::int64_t> min_retention_ns{};  ///< no row may go that is younger
  bool operator==(const Fuses&) const = default;
};

struct Policy {
  static constexpr std::int64_t default_grace_ns = 7'200'000'000'000;  ///< two hours
  static constexpr std::int64_t default_move_window_ns = 60'000'000'000;  ///< a minute

  std::string name;
  std::string table;  ///< as written: "schema.table", with double quotes where a name needs them
  Predicate where;
  std::int64_t grace_ns = default_grace_ns;
  std::vector<DependentRule> dependents;
  std::optional<double> max_fraction;
  bool optional = false;  ///< skipped, with a warning, when the table, or one that the rule looks at, does not exist
  /// A row that satisfies `where` stays as long as this is true of it: it counts as purgeable, and goes in a later pass. For
  /// order between rows of one table, such as a tombstone and what it hides.
  std::optional<Predicate> held_while;
  /// Where deleted rows are kept: "table", "table:NAME" or a folder's path; empty: nowhere.
  std::string archive;
  /// How rows go: "auto" (by a walk), or by a move: "partition", "swap", "truncate".
  std::string strategy = "auto";
  std::int64_t move_window_ns = default_move_window_ns;  ///< longest time that a move may keep others waiting
  /// Rows that satisfy this, or for which that can't be told, stay and are not purgeable: a hold that goes with the policy.
  std::optional<Predicate> hold{};

  Fuses fuses{};

  /// Instead of `archive`: rows are moved into a table that is there.
  std::optional<ArchiveMapping> moved_to{};

  /// How long the evidence of its runs is kept at least, and then deleted; nothing: for ever.
  std::optional<std::int64_t> evidence_retention_ns{};

  /// `where`, and certainly not `hold`.
  Predicate purgeable() const;
  /// What a deleting statement tests: what is purgeable, and not `held_while`.
  Predicate deletable() const;
  bool operator==(const Policy&) const = default;
  std::string to_json() const;
  /// \throws EngineError (policy)
  static Policy from_json(std::string_view text);
  /// \throws EngineError (policy) when a member can't be right (empty name, fraction outside 0 to 1, …).
  void check() const;
};

/// "50%", or "50": 50. \throws EngineError (policy)
double parse_percent(std::string_view text);
/// "required": true. \throws EngineError (policy) for anything else.
bool parse_approval(std::string_view text);

/// Split "schema.table" as in SQL: a name with a dot or quote stands in double quotes. \throws EngineError (policy)
sdk::TableName parse_table_name(std::string_view text);
/// One name as it is written there, quoted where needed.
std::string name_text(std::string_view name);
/// The inverse, quoting where needed.
std::string table_name_text(std::string_view schema, std::string_view name);

}  // namespace purgekit
