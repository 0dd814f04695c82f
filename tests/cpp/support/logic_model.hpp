/// \file logic_model.hpp
/// SQL's three-valued logic written once more, by hand, over the rule tree: what a policy means for one row. It shares nothing
/// with the lowering and the renderer that it checks.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "purgekit/predicate.hpp"

namespace purgekit::test {

enum class Truth { no, unknown, yes };

/// One row of T(ID, A, S, T_MS, LIFE_S): empty is NULL.
struct ModelRow {
  std::int64_t id = 0;
  std::optional<std::int64_t> a;
  std::optional<std::string> s;
  std::optional<std::int64_t> t_ms;
  std::optional<std::int64_t> life_s;
};

/// One row of CHILD(T_ID, A).
struct ModelChild {
  std::optional<std::int64_t> t_id;
  std::optional<std::int64_t> a;
};

struct ModelData {
  std::vector<ModelRow> rows;
  std::vector<ModelChild> children;
  std::int64_t now_ns = 0;
  std::int64_t grace_ns = 0;
};

Truth evaluate(const Predicate& predicate, const ModelRow& row, const ModelData& data);

/// Random rows, rich in NULL, zero, negative and boundary values.
ModelData random_data(std::mt19937& random);
/// A random rule over those tables.
Predicate random_predicate(std::mt19937& random, const ModelData& data, int depth);

}  // namespace purgekit::test
