/// \file fuses.hpp
/// A policy's fuses in JSON, and the one that can be judged by the policy alone. Internal to the engine.
#pragma once

#include <cstdint>

#include "json.hpp"
#include "purgekit/policy.hpp"

namespace purgekit {

void write_fuses(const Fuses& fuses, Json& policy);
/// \throws EngineError (policy)
Fuses read_fuses(const Json& policy);

/// How old a row is at least, counted from its creation, when the predicate holds for it. An expiry is taken to lie behind the creation.
std::int64_t least_age_ns(const Predicate& predicate, std::int64_t grace_ns);

/// \throws EngineError (policy) when the policy's rule takes younger rows than its min_retention allows.
void check_fuses(const Policy& policy);

}  // namespace purgekit
