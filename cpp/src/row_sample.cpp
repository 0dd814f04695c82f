#include "row_sample.hpp"

#include <optional>
#include <utility>

#include "purgekit/deadline.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

std::vector<sdk::Value> values_within(Session& session, const pk_purge& purge, const PlanOptions& options) {
  std::optional<Deadline> deadline;
  if (!options.exact) deadline.emplace(session, options.count_budget_ms);
  return session.sample_rows(purge, options.sample);
}

}  // namespace

void sample_rows(Session& session, const pk_purge& purge, const PlanOptions& options, PolicyPlan& plan) {
  if (options.sample == 0) return;
  plan.sample = RowSample{!options.unmask, {}};
  try {
    const std::vector<sdk::Value> values = values_within(session, purge, options);
    const std::size_t width = plan.table.columns.size();
    if (width == 0 || values.size() % width != 0) throw sdk::Error(PK_INTERNAL, "the backend gave a sample of another width than the table has");
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % width == 0) plan.sample->rows.emplace_back();
      ShownValue shown{values[i].kind == PK_VALUE_NULL, values[i].i64, options.unmask ? values[i].text : ""};
      plan.sample->rows.back().push_back(std::move(shown));
    }
  } catch (const sdk::Error& e) {
    if (e.connection_lost()) throw;
    const bool late = e.code() == PK_CANCELLED || e.code() == PK_STATEMENT_TIMEOUT;
    plan.warnings.push_back({"sample", late ? "no rows are shown: to find some takes longer than " + std::to_string(options.count_budget_ms) + " ms; --exact waits for them"
                                            : "no rows are shown: " + e.message()});
  }
}

Json sample_json(const PolicyPlan& plan) {
  if (!plan.sample) return nullptr;
  Json columns = Json::array();
  for (const sdk::Column& c : plan.table.columns) columns.push_back({{"name", c.name}, {"type", c.type_name}});
  Json rows = Json::array();
  for (const std::vector<ShownValue>& row : plan.sample->rows) {
    Json values = Json::array();
    for (const ShownValue& v : row) {
      if (v.is_null) {
        values.push_back(nullptr);
        continue;
      }
      Json value = {{"length", v.length}};
      if (!plan.sample->masked) value["text"] = v.text;
      values.push_back(std::move(value));
    }
    rows.push_back(std::move(values));
  }
  return {{"masked", plan.sample->masked}, {"columns", columns}, {"rows", rows}};
}

}  // namespace purgekit
