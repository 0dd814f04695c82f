/// \file hold.hpp
/// Legal holds: rows that stay whatever a policy says, as long as the hold is kept in the ledger. See src/hold.hpp for how one is stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/predicate.hpp"

namespace purgekit {

class Session;

/// A hold as it bears on one policy.
struct HoldInForce {
  std::string id;
  std::string form;    ///< "rule", "keys" or "table"
  std::string reason;
  Predicate unless;    ///< what the deleting statement tests besides the policy: true of the rows that are certainly not held
  bool operator==(const HoldInForce&) const = default;
};

/// A hold to be made: a rule, or keys.
struct HoldRequest {
  std::string ledger = "purgekit_ledger";  ///< "[SCHEMA.]NAME"; made when it is absent
  std::string table;                       ///< as written
  std::optional<Predicate> rule;           ///< rows that satisfy it, or for which that can't be told, stay
  std::vector<std::string> key_columns;    ///< of `keys`; none: the primary key's
  std::vector<std::vector<Value>> keys;    ///< values of the key columns, one row each
  bool typed_as_text = false;              ///< texts stand for values of their column's type, as on a command line
  std::string reason;
  std::string by;
  double wait_s = 60;  ///< longest time that chunks under way may keep it waiting
};

/// Keep a hold, and return once no chunk that began before it can still be committed: a purge that is running takes it up before its
/// next chunk. A hold of the same rows is not made twice.
/// \return JSON: the hold as in hold_list, with `added` and `rows_held` (null: not counted in two seconds)
/// \throws EngineError; `failed` when the hold is kept, and only whether every purge knows of it is not certain
std::string hold_add(Session& session, const HoldRequest& request);

/// All holds of a ledger as purgekit.holds/1, those that can't be read too, with their `problem`.
std::string hold_list(Session& session, const std::string& ledger);

/// Let go of a hold: its rows go with the next run. \return JSON: the hold as it was
/// \throws EngineError (refused) when there is none of that id
std::string hold_release(Session& session, const std::string& ledger, const std::string& id);

}  // namespace purgekit
