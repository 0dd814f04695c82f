#include "archive.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "archive_file.hpp"
#include "json.hpp"
#include "mapped_archive.hpp"
#include "purgekit/error.hpp"
#include "purgekit/sdk/arrow_c.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr const char* default_name = "purgekit_archive_{table}";

std::string filled_in(std::string pattern, const std::string& table) {
  constexpr std::string_view mark = "{table}";
  for (std::size_t at = pattern.find(mark); at != std::string::npos; at = pattern.find(mark, at + table.size())) pattern.replace(at, mark.size(), table);
  return pattern;
}

// Dependents whose tables are absent have been left out of the plan, where the policy allows that.
std::vector<const ArchiveMapping*> mappings_of_dependents(Catalogue& catalogue, const Policy& policy) {
  std::vector<const ArchiveMapping*> out;
  for (const DependentRule& rule : policy.dependents) {
    if (!rule.optional || catalogue.find(rule.table) != nullptr) out.push_back(rule.moved_to ? &*rule.moved_to : nullptr);
  }
  return out;
}

// What was moved there would be deleted again.
void refuse_own_tables(const PolicyPlan& plan) {
  for (const sdk::ArchiveTable& archive : plan.archives) {
    const auto is_it = [&](const sdk::Dependent& d) { return d.schema == archive.schema && d.table == archive.table; };
    if (archive.is_mapped && std::any_of(plan.dependents.begin(), plan.dependents.end(), is_it)) {
      refuse("archive_unfit", "table " + table_name_text(archive.schema, archive.table) + " can't take rows of this policy: it is one of its dependents, from which they would be deleted at once");
    }
  }
}

bool is_path(const std::string& request) { return request.rfind("table:", 0) != 0 && request.find('/') != std::string::npos; }

}  // namespace

void plan_archives(Catalogue& catalogue, const Policy& policy, const std::string& request, const Zones& zones, PolicyPlan& plan) {
  const bool is_mapped = policy.moved_to && request.empty();
  const std::string& own = is_mapped ? "table" : policy.archive;
  const std::string& archive = request.empty() ? own : request;
  plan.archives = resolve_archives(archive, plan.table, plan.dependents);
  plan.files = resolve_archive_files(archive, catalogue, plan.table, plan.dependents);
  if (!is_mapped) return;
  resolve_mapping(catalogue, *policy.moved_to, plan.table, 0, plan);
  const std::vector<const ArchiveMapping*> mappings = mappings_of_dependents(catalogue, policy);
  for (std::size_t i = 0; i < mappings.size() && i < plan.dependents.size(); ++i) {
    if (mappings[i] != nullptr) resolve_mapping(catalogue, *mappings[i], catalogue.table(table_name_text(plan.dependents[i].schema, plan.dependents[i].table)), i + 1, plan);
  }
  refuse_own_tables(plan);
  plan.archives = archives_at(plan, plan.now_ns, zones);
}

sdk::ArchiveTable default_archive(const std::string& schema, const std::string& table) { return {schema, filled_in(default_name, table)}; }

std::vector<sdk::ArchiveTable> resolve_archives(const std::string& request, const sdk::Table& table, const std::vector<sdk::Dependent>& dependents) {
  if (request.empty() || is_path(request)) return {};
  const bool named = request.rfind("table:", 0) == 0;
  if (!named && request != "table") {
    refuse("archive_not_offered", "archive " + printable(request) + " is neither: write table, table:NAME, or the path of a folder with a / in it, such as " + printable(request) + "/");
  }
  const sdk::TableName name = parse_table_name(named ? request.substr(6) : default_name);
  std::vector<sdk::ArchiveTable> out{{name.schema.empty() ? table.schema : name.schema, filled_in(name.name, table.name)}};
  for (const sdk::Dependent& d : dependents) out.push_back(default_archive(d.schema, d.table));
  return out;
}

std::optional<ArchiveFiles> resolve_archive_files(const std::string& request, Catalogue& catalogue, const sdk::Table& table, const std::vector<sdk::Dependent>& dependents) {
  if (!is_path(request)) return std::nullopt;
  if (request.find('\0') != std::string::npos || printable(request) != request) refuse("archive_unfit", "the path of an archive must be UTF-8 without control characters");
  std::error_code problem;
  const std::filesystem::path folder = std::filesystem::weakly_canonical(std::filesystem::absolute(request), problem);
  if (problem) refuse("archive_unfit", "archive " + printable(request) + " can't be reached: " + problem.message());
  if (std::filesystem::exists(folder, problem) && !std::filesystem::is_directory(folder, problem)) {
    refuse("archive_unfit", "archive " + folder.string() + " is not a folder; name another, or archive = \"table\"");
  }
  std::string path = folder.string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  ArchiveFiles out{path, {{table_name_text(table.schema, table.name), table.columns}}};
  for (const sdk::Dependent& d : dependents) {
    const std::string name = table_name_text(d.schema, d.table);
    out.tables.push_back({name, catalogue.table(name).columns});
  }
  return out;
}

const pk_sink& planning_sink() {
  static const pk_sink sink{nullptr, [](void*, std::size_t, ArrowSchema* schema, ArrowArray* rows, pk_error* error) -> int32_t {
    rows->release(rows);
    schema->release(schema);
    return sdk::Error(PK_INTERNAL, "rows were deleted for a mere plan, which is a defect of the backend").to_c(error);
  }};
  return sink;
}

void check_archive_files(const PolicyPlan& plan, const RunOptions& options) {
  if (!plan.files) return;
  if (options.ledger == "none") {
    refuse("archive_ledger", "an archive in files needs the ledger, which says how much of a file counts after a crash; leave --ledger none out, or keep the rows in a table (--archive table)");
  }
  try {
    make_folders(plan.files->folder);
    probe_folder(plan.files->folder);
  } catch (const EngineError& e) {
    refuse(e.code() == "archive_full" ? e.code() : "archive_unfit", "archive " + plan.files->folder + " can't be written: " + e.message());
  }
}

bool check_archives(Session& session, const std::vector<sdk::ArchiveTable>& archives, const pk_purge& purge, bool to_run, std::vector<Warning>* warnings) {
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
    if (warnings != nullptr && !found[i].lost.empty()) {
      std::string lost;
      for (const std::string& column : found[i].lost) lost += (lost.empty() ? "" : ", ") + column;
      warnings->push_back({"archive_columns_lost", "not all of a row is kept: table " + name + " has no columns named like " + lost + ", and the policy says nothing of them"});
    }
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
    if (archive.is_mapped) return;
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
