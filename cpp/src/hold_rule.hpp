/// \file hold_rule.hpp
/// What a hold's rule means for a deleting statement: a row of which nobody can tell whether it is held counts as held. Internal.
#pragma once

#include "purgekit/predicate.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit {

/// True of the rows of which `held` is certainly false. \throws EngineError (policy) for a rule that can't be judged in such a way
Predicate not_held(const Predicate& held);

/// True of the rows of which `held` is true or can't be told; for conditions on rows of other tables. \throws EngineError (policy)
Predicate perhaps_held(const Predicate& held);

/// The rule with texts made into values of the type of the column they are compared with. \throws EngineError (policy)
Predicate with_column_types(const Predicate& rule, const sdk::Table& table);

/// A text as a value of a column's type. \throws EngineError (policy)
Value value_of_text(const std::string& text, const sdk::Column& column);

/// The rule reads raw SQL, which nothing but the database can judge.
bool has_raw_sql(const Predicate& rule);

}  // namespace purgekit
