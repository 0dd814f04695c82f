#include "archive_record.hpp"

namespace purgekit {
namespace {

constexpr std::size_t most_tables = 256;
constexpr std::size_t most_columns = 64;

std::vector<std::pair<std::string, std::string>> pairs_in(const Json& record) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto on = record.find("on");
  if (on == record.end() || !on->is_array() || on->size() > most_columns) return out;
  for (const Json& pair : *on) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) return {};
    out.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
  }
  return out;
}

}  // namespace

std::vector<KeptTable> kept_tables(const PolicyPlan& plan) {
  std::vector<KeptTable> out;
  const std::size_t tables = plan.files ? 1 + plan.dependents.size() : plan.archives.size();
  for (std::size_t i = 0; i < tables; ++i) {
    KeptTable entry{table_name_text(plan.table.schema, plan.table.name), plan.files ? plan.files->folder : table_name_text(plan.archives[i].schema, plan.archives[i].table), {},
                    !plan.files && plan.archives[i].is_mapped, ""};
    if (i > 0) {
      const sdk::Dependent& d = plan.dependents[i - 1];
      entry.table = table_name_text(d.schema, d.table);
      if (d.parent > 0) entry.of = table_name_text(plan.dependents[d.parent - 1].schema, plan.dependents[d.parent - 1].table);
      for (std::size_t c = 0; c < d.columns.size(); ++c) entry.on.emplace_back(d.columns[c], d.parent_columns[c]);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

std::vector<KeptTable> kept_tables(const Json& record) {
  std::vector<KeptTable> out;
  const auto found = record.find("archives");
  if (found != record.end() && found->is_array()) {
    for (const Json& entry : *found) {
      if (out.size() >= most_tables || !entry.is_object()) break;
      KeptTable table{foreign_text(entry, "table"), foreign_text(entry, "archive"), pairs_in(entry), foreign_text(entry, "kind") == "move", foreign_text(entry, "of")};
      if (!table.table.empty() && !table.archive.empty()) out.push_back(std::move(table));
    }
  } else if (!foreign_text(record, "archive").empty()) {
    out.push_back({foreign_text(record, "table"), foreign_text(record, "archive"), {}, false, ""});
  }
  return out;
}

Json archive_record(const std::vector<KeptTable>& tables) {
  Json out = Json::array();
  for (const KeptTable& table : tables) {
    Json entry = {{"table", table.table}, {"archive", table.archive}};
    if (table.is_moved) entry["kind"] = "move";
    if (!table.on.empty()) {
      entry["on"] = Json::array();
      for (const auto& [column, parent] : table.on) entry["on"].push_back({column, parent});
    }
    if (!table.of.empty()) entry["of"] = table.of;
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace purgekit
