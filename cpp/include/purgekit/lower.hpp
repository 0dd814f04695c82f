/// \file lower.hpp
/// A policy's predicate made concrete for one table and one instant: names resolved, types checked, cutoffs computed,
/// negations pushed to the leaves. The result is what crosses the plugin line.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/predicate.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/zone.hpp"

namespace purgekit {

/// A flat predicate with everything it points to. Not copyable: the nodes view into it.
class LoweredPredicate {
 public:
  LoweredPredicate() = default;
  ~LoweredPredicate() = default;
  LoweredPredicate(const LoweredPredicate&) = delete;
  LoweredPredicate& operator=(const LoweredPredicate&) = delete;
  LoweredPredicate(LoweredPredicate&&) = default;
  LoweredPredicate& operator=(LoweredPredicate&&) = default;

  /// Valid as long as this object lives unmoved.
  pk_predicate view() const;

 private:
  friend class Lowering;
  std::deque<std::string> texts_;
  std::vector<pk_node> nodes_;
  std::deque<Value> values_;
  std::vector<pk_value> value_views_;
  std::vector<pk_join> joins_;
  std::vector<pk_text> names_;
  std::vector<pk_zone_step> steps_;
};

/// A column of this type can be compared with such a value, or take it, without the database guessing.
bool takes_value(pk_column_kind column, pk_value_kind value);

/// One column that a rule reads as a time.
struct TimeUse {
  std::string column;
  pk_storage storage = PK_STORED_EPOCH_INT;
  std::int64_t unit_ns = 0;
  std::int64_t cutoff_ns = 0;
  bool created = false;      ///< of a created rule: its newest rows should not lie in the future
  bool has_lifetime_column = false;
  std::string timezone;
};

struct LowerInput {
  const sdk::Table& table;
  std::int64_t now_ns;
  std::int64_t grace_ns;
  const Zones& zones;
  /// Describe another table named in a rule; throws when it does not exist.
  std::function<const sdk::Table&(const std::string&)> other_table;
};

/// \throws EngineError (policy) naming the column, type or unit that does not fit.
LoweredPredicate lower(const Predicate& predicate, const LowerInput& input);

/// `predicate` and, for each reference, "no row of the child refers to this row": rows that a foreign key holds are left.
LoweredPredicate lower_guarded(const Predicate& predicate, const LowerInput& input, const std::vector<sdk::Reference>& guards);

/// `predicate` and "a row of this child refers to it": what one foreign key holds back.
LoweredPredicate lower_held(const Predicate& predicate, const LowerInput& input, const sdk::Reference& reference);

/// `instant_ns` less a grace or lifetime. \throws EngineError (policy) naming `column` when that lies outside the years 1678 to 2261.
std::int64_t cutoff_before(std::int64_t instant_ns, std::int64_t span_ns, const std::string& column);

/// Every row.
LoweredPredicate lower_all_rows();
/// No row: to move a walk on without deleting.
LoweredPredicate lower_no_rows();

/// Rows whose text in `column` can't be read as a time.
LoweredPredicate lower_unreadable(const sdk::Table& table, const std::string& column);

/// Columns the table's own rules read as times (not those of other tables).
std::vector<TimeUse> time_uses(const Predicate& predicate, const LowerInput& input);

/// Name of the column as the table has it: exact, else without regard to case when that is unique.
/// \throws EngineError (policy) with the nearest right name.
const sdk::Column& resolve_column(const sdk::Table& table, const std::string& name);
/// Whether that finds one.
bool has_column(const sdk::Table& table, const std::string& name);

}  // namespace purgekit
