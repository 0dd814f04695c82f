#include "archive.hpp"

#include <map>
#include <utility>

#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr const char* default_name = "purgekit_archive_{table}";

std::string filled_in(std::string pattern, const std::string& table) {
  constexpr std::string_view mark = "{table}";
  for (std::size_t at = pattern.find(mark); at != std::string::npos; at = pattern.find(mark, at + table.size())) pattern.replace(at, mark.size(), table);
  return pattern;
}

}  // namespace

std::vector<sdk::ArchiveTable> resolve_archives(const std::string& request, const sdk::Table& table, const std::vector<sdk::Dependent>& dependents) {
  if (request.empty()) return {};
  const bool named = request.rfind("table:", 0) == 0;
  if (!named && request != "table") {
    refuse("archive_not_offered", "archive " + printable(request) + ": keeping rows in files is not offered by this version; write table or table:NAME");
  }
  const sdk::TableName name = parse_table_name(named ? request.substr(6) : default_name);
  std::vector<sdk::ArchiveTable> out{{name.schema.empty() ? table.schema : name.schema, filled_in(name.name, table.name)}};
  for (const sdk::Dependent& d : dependents) out.push_back({d.schema, filled_in(default_name, d.table)});
  return out;
}

bool check_archives(Session& session, const std::vector<sdk::ArchiveTable>& archives, const pk_purge& purge, bool to_run) {
  if (archives.empty()) return false;
  std::vector<sdk::ArchiveInfo> found;
  try {
    found = session.archive_find(purge);
  } catch (const sdk::Error& e) {
    if (e.code() == PK_NOT_SUPPORTED) refuse("archive_not_offered", std::string("backend ") + session.backend().name + " can't keep rows in a table: " + e.message());
    throw;
  }
  if (found.size() != archives.size()) throw sdk::Error(PK_INTERNAL, std::string("backend ") + session.backend().name + " did not answer for each archive table");
  bool to_make = false;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string name = table_name_text(archives[i].schema, archives[i].table);
    const std::string grant = found[i].grant_hint.empty() ? "" : "; " + found[i].grant_hint;
    if (found[i].state == PK_ARCHIVE_UNFIT) refuse("archive_unfit", found[i].problem);
    if (found[i].state == PK_ARCHIVE_ABSENT) {
      to_make = true;
      if (to_run && !found[i].can_create) {
        refuse("archive_privilege", "this user may not create the archive table " + name + "; an administrator can run: " + found[i].ddl + grant);
      }
    } else if (to_run && !found[i].can_write) {
      refuse("archive_privilege", "this user may not write the archive table " + name + "; an administrator can run: " + found[i].grant_hint);
    }
  }
  return to_make;
}

void refuse_shared_archives(const std::vector<PolicyPlan>& policies) {
  using Name = std::pair<std::string, std::string>;
  std::map<Name, Name> source_of;
  const auto note = [&](const sdk::ArchiveTable& archive, const std::string& schema, const std::string& table, const PolicyPlan& plan) {
    const auto [entry, fresh] = source_of.try_emplace({archive.schema, archive.table}, Name{schema, table});
    if (fresh || entry->second == Name{schema, table}) return;
    throw EngineError(ErrorKind::refused, "archive_unfit",
                      "rows of " + table_name_text(entry->second.first, entry->second.second) + " and of " + table_name_text(schema, table) + " can't be kept in one archive table " +
                          table_name_text(archive.schema, archive.table) + "; write {table} into its name")
        .policy(plan.policy.name)
        .table(plan.policy.table);
  };
  for (const PolicyPlan& plan : policies) {
    for (std::size_t i = 0; i < plan.archives.size(); ++i) {
      if (i == 0) {
        note(plan.archives[i], plan.table.schema, plan.table.name, plan);
      } else {
        note(plan.archives[i], plan.dependents[i - 1].schema, plan.dependents[i - 1].table, plan);
      }
    }
  }
}

}  // namespace purgekit
