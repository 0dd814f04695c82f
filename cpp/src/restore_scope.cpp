#include "restore_scope.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <utility>

#include "archive_load.hpp"
#include "archive_record.hpp"
#include "hold_rule.hpp"
#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/restore.hpp"

namespace purgekit {
namespace {

using sdk::Column;
using sdk::Table;

/// What one policy of the run has kept.
struct Kept {
  std::string policy;
  std::vector<KeptTable> tables;
  bool in_files = false;  ///< then `archive` is the table that a file's rows go into, or empty where none went
};

struct Ancestor {
  Table table;
  std::vector<std::pair<std::string, std::string>> on;  ///< its child's column and its own
};

/// A table with what is wanted of it, before conditions are made concrete.
struct Wanted {
  KeptTable entry;
  Table source;
  Table archive;
  std::vector<Ancestor> ancestors;  ///< of a dependent: its parent, and so on up to the policy's own table
  const FileTable* files = nullptr;
  bool to_make = false;
};

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + printable(name);
  return out;
}

bool same_table(const Table& a, const Table& b) { return a.schema == b.schema && a.name == b.name; }

const FileTable* files_of(const RestoreOptions& options, const std::string& table) {
  const auto found = std::find_if(options.files.begin(), options.files.end(), [&](const FileTable& f) { return f.table == table; });
  return found == options.files.end() ? nullptr : &*found;
}

// An earlier version's record tells of no dependents; their files do.
void name_places(Kept& kept, const RestoreOptions& options, const std::string& own_table) {
  if (kept.tables.empty()) kept.tables.push_back({own_table, "", {}});
  for (const FileTable& file : options.files) {
    const bool is_listed = std::any_of(kept.tables.begin(), kept.tables.end(), [&](const KeptTable& t) { return t.table == file.table; });
    const bool of_policy = std::find(file.policies.begin(), file.policies.end(), kept.policy) != file.policies.end();
    if (of_policy && !is_listed) kept.tables.push_back({file.table, "", {}});
  }
  for (KeptTable& table : kept.tables) {
    const sdk::ArchiveTable place = loading_place(table.table);
    table.archive = files_of(options, table.table) == nullptr ? "" : table_name_text(place.schema, place.table);
  }
}

std::vector<Kept> kept_by(const RestoreOptions& options, const std::vector<sdk::RunRecord>& records, std::vector<Warning>& warnings) {
  std::vector<Kept> out;
  std::vector<std::string> known;
  bool found = false;
  for (const sdk::RunRecord& stored : records) {
    const Json record = foreign_record(stored.document);
    const std::string run_id = foreign_text(record, "run_id", stored.id);
    if (std::find(known.begin(), known.end(), run_id) == known.end()) known.push_back(run_id);
    if (run_id != options.restored_run_id) continue;
    if (foreign_text(record, "kind") == "restore") refuse("not_archived", "run " + printable(run_id) + " is a restore; name the purge whose rows are to come back");
    found = true;
    Kept kept{foreign_text(record, "policy"), kept_tables(record)};
    const std::string place = foreign_text(record, "archive");
    kept.in_files = !place.empty() && place[0] == '/';
    if (kept.in_files) {
      const bool wanted = options.policies.empty() || std::find(options.policies.begin(), options.policies.end(), kept.policy) != options.policies.end();
      if (wanted && options.files.empty()) {
        refuse("not_archived", "policy " + printable(kept.policy) + " of run " + printable(run_id) + " kept what it deleted in files under " + printable(place) + ", where there is no row of the tables wanted");
      }
      name_places(kept, options, foreign_text(record, "table"));
    }
    if (kept.tables.empty()) continue;
    if (!kept.in_files && !record.contains("archives")) {
      warnings.push_back({"old_record", "run " + printable(run_id) + " was recorded by an earlier version, which noted no archives of dependents: of policy " + printable(kept.policy) + " only " +
                                            printable(kept.tables[0].table) + " comes back"});
    }
    out.push_back(std::move(kept));
  }
  if (!found) {
    throw EngineError(ErrorKind::policy, "not_found", "no run " + printable(options.restored_run_id) + " in the ledger " + options.ledger + did_you_mean(options.restored_run_id, known) +
                                                          "; purgekit history URL lists them");
  }
  if (out.empty()) refuse("not_archived", "run " + printable(options.restored_run_id) + " kept no rows in archive tables or files, so there is nothing to restore");
  std::reverse(out.begin(), out.end());  // what went last comes back first
  return out;
}

Table described(Session& session, const std::string& name, const std::string& gone) {
  try {
    return session.describe(parse_table_name(name));
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;
    throw EngineError(ErrorKind::refused, "schema_changed", gone).table(name);
  }
}

void check_source(const Table& table) {
  const std::string name = table_name_text(table.schema, table.name);
  if (table.kind != PK_TABLE_BASE) refuse("schema_changed", name + " is no ordinary table any more, so nothing can be restored into it");
  if (table.rows_hidden) refuse("rows_hidden", "row security hides rows of " + name + " from this user, so conflicts with them could not be seen; use a user with BYPASSRLS");
}

void check_policies(const RestoreOptions& options, const std::vector<Kept>& kept) {
  std::vector<std::string> names;
  names.reserve(kept.size());
  for (const Kept& k : kept) names.push_back(k.policy);
  for (const std::string& wanted : options.policies) {
    if (std::find(names.begin(), names.end(), wanted) == names.end()) {
      bad_policy("run " + printable(options.restored_run_id) + " kept no rows of a policy " + printable(wanted) + did_you_mean(wanted, names));
    }
  }
}

// An archived row tells its run and not its policy.
void refuse_shared(const RestoreOptions& options, const std::vector<Kept>& kept, const std::string& policy, const std::string& archive) {
  for (const Kept& other : kept) {
    const bool chosen = std::find(options.policies.begin(), options.policies.end(), other.policy) != options.policies.end();
    const bool shares = std::any_of(other.tables.begin(), other.tables.end(), [&](const KeptTable& t) { return t.archive == archive; });
    if (other.policy != policy && !chosen && shares) {
      refuse("shared_archive", "policies " + printable(policy) + " and " + printable(other.policy) + " of that run kept rows in one archive table, " + printable(archive) +
                                   ", where they can't be told apart: name both, or choose by --table or --where");
    }
  }
}

// Such a table does not tell by which run a row came.
[[noreturn]] void refuse_moved(Session& session, const KeptTable& entry, const std::string& policy, const Table& source) {
  std::string columns;
  try {
    const Table target = session.describe(parse_table_name(entry.archive));
    for (const Column& column : source.columns) {
      if (has_column(target, column.name)) columns += (columns.empty() ? "" : ", ") + column.name;
    }
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;
  }
  if (columns.empty()) columns = "…";
  refuse("not_archived", "policy " + printable(policy) + " moved rows of " + printable(entry.table) + " into " + printable(entry.archive) +
                             ", which is not purgekit's and does not tell by which run a row came: put back what you choose by hand, with INSERT INTO " + printable(entry.table) + " (" +
                             printable(columns) + ") SELECT " + printable(columns) + " FROM " + printable(entry.archive) + " WHERE …; nothing was changed");
}

bool is_wanted(Session& session, const RestoreOptions& options, const Table& source) {
  return options.tables.empty() || std::any_of(options.tables.begin(), options.tables.end(), [&](const std::string& name) {
           return same_table(described(session, name, "no table " + printable(name)), source);
         });
}

std::vector<Wanted> wanted_tables(Session& session, const RestoreOptions& options, const std::vector<Kept>& kept) {
  std::vector<Wanted> out;
  std::vector<std::string> names;
  for (const Kept& policy : kept) {
    if (!options.policies.empty() && std::find(options.policies.begin(), options.policies.end(), policy.policy) == options.policies.end()) continue;
    std::map<std::string, std::pair<Table, std::vector<Ancestor>>> before;
    for (const KeptTable& entry : policy.tables) {
      if (!options.policies.empty()) refuse_shared(options, kept, policy.policy, entry.archive);
      Table source = described(session, entry.table, "table " + printable(entry.table) + " is not there any more; make it again with the columns it had, then restore");
      check_source(source);
      std::vector<Ancestor> ancestors;
      if (const auto parent = before.find(entry.of.empty() ? policy.tables[0].table : entry.of); parent != before.end() && !entry.on.empty()) {
        ancestors = parent->second.second;
        ancestors.insert(ancestors.begin(), Ancestor{parent->second.first, entry.on});
      }
      before.emplace(entry.table, std::pair(source, ancestors));
      if (entry.archive.empty()) continue;
      names.push_back(entry.table);
      const FileTable* files = policy.in_files ? files_of(options, entry.table) : nullptr;
      const auto known = std::find_if(out.begin(), out.end(), [&](const Wanted& w) { return w.entry.archive == entry.archive; });
      if (known != out.end() && known->files != files) {
        refuse("shared_archive", "rows of table " + printable(entry.table) + " were kept in files by one policy of that run and in the table " + printable(entry.archive) + " by another: restore one after the other, by --policy");
      }
      if (known != out.end() || !is_wanted(session, options, source)) continue;
      if (entry.is_moved) refuse_moved(session, entry, policy.policy, source);
      std::optional<Table> archive = files == nullptr ? std::nullopt : loading_table(session, source, *files);
      const bool to_make = files != nullptr && !archive;
      if (to_make) archive = future_archive(*files);
      else if (!archive) archive = described(session, entry.archive, "archive table " + printable(entry.archive) + " is not there any more, so its rows of table " + printable(entry.table) + " can't be restored; nothing was changed");
      sdk::check_restorable(source, *archive);
      out.push_back({entry, std::move(source), std::move(*archive), std::move(ancestors), files, to_make});
    }
  }
  if (out.empty()) bad_policy("run " + printable(options.restored_run_id) + " kept no rows of the tables named; it kept rows of " + listed(names));
  return out;
}

// Each table after those that it refers to; where they refer to each other in a circle, as it comes.
std::vector<Wanted> parents_first(std::vector<Wanted> tables) {
  const auto refers_to = [](const Table& child, const Table& parent) {
    return std::any_of(parent.references.begin(), parent.references.end(), [&](const sdk::Reference& r) { return r.child_schema == child.schema && r.child_table == child.name; });
  };
  std::vector<Wanted> out;
  while (!tables.empty()) {
    auto next = std::find_if(tables.begin(), tables.end(), [&](const Wanted& candidate) {
      return std::none_of(tables.begin(), tables.end(), [&](const Wanted& other) { return !same_table(other.source, candidate.source) && refers_to(candidate.source, other.source); });
    });
    if (next == tables.end()) next = tables.begin();
    out.push_back(std::move(*next));
    tables.erase(next);
  }
  return out;
}

// A command line gives text, whatever the column holds. A column without a type may hold the number or its text.
Predicate equals(const Column& column, const Value& value) {
  if (value.kind == PK_VALUE_NULL) return Predicate::is_null(column.name);
  if (value.kind != PK_VALUE_TEXT) return Predicate::compare(column.name, PK_EQ, value);
  Predicate same = Predicate::compare(column.name, PK_EQ, value_of_text(value.text, column));
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  const bool is_whole = !value.text.empty() && problem == std::errc() && end == value.text.data() + value.text.size();
  if (column.kind != PK_COLUMN_ANY || !is_whole) return same;
  return Predicate::any_of({same, Predicate::compare(column.name, PK_EQ, Value::integer(number))});
}

Predicate subject_of(const Table& table, const RestoreOptions& options) {
  std::vector<Predicate> all;
  for (const auto& [name, value] : options.where) all.push_back(equals(resolve_column(table, name), value));
  return Predicate::all_of(all);
}

bool has_columns(const Table& table, const RestoreOptions& options) {
  return std::all_of(options.where.begin(), options.where.end(), [&](const auto& condition) { return has_column(table, condition.first); });
}

// Children that do not name the subject themselves come back with its parents.
void add_subject(const Wanted& table, const RestoreOptions& options, std::vector<Predicate>& all) {
  if (options.where.empty()) return;
  if (table.ancestors.empty() || has_columns(table.archive, options)) {
    all.push_back(subject_of(table.archive, options));
    return;
  }
  Predicate condition = subject_of(table.ancestors.back().table, options);
  for (std::size_t at = table.ancestors.size(); at > 0; --at) {
    const Ancestor& step = table.ancestors[at - 1];
    rule::ReferencedBy rule{table_name_text(step.table.schema, step.table.name), {}, std::make_shared<const Predicate>(std::move(condition))};
    for (const auto& [column, parent] : step.on) rule.on.push_back({parent, PK_EQ, column});
    condition = Predicate::referenced_by(std::move(rule));
  }
  all.push_back(condition);
}

Predicate archived_before(std::int64_t instant_ns, std::int64_t now_ns) {
  rule::Time time;
  time.column = sdk::archive_instant_column;
  time.grace_ns = now_ns - instant_ns;
  return Predicate::expired({time});
}

}  // namespace

std::vector<RestorePart> restore_parts(Session& session, const RestoreOptions& options, const std::vector<sdk::RunRecord>& records, std::int64_t now_ns,
                                       std::vector<Warning>& warnings) {
  const std::vector<Kept> kept = kept_by(options, records, warnings);
  check_policies(options, kept);
  now_ns = std::max({now_ns, options.since_ns.value_or(now_ns), options.until_ns.value_or(now_ns)});
  Catalogue catalogue(session);
  const Zones zones;
  std::vector<RestorePart> out;
  for (Wanted& table : parents_first(wanted_tables(session, options, kept))) {
    std::vector<Predicate> all;
    add_subject(table, options, all);
    if (options.until_ns) all.push_back(archived_before(*options.until_ns, now_ns));
    if (options.since_ns) all.push_back(Predicate::negation(archived_before(*options.since_ns, now_ns)));
    RestorePart part{std::move(table.source), std::move(table.archive), std::nullopt, table.files, table.to_make};
    if (!all.empty()) {
      part.where = lower(Predicate::all_of(all), {part.archive, now_ns, 0, zones, [&](const std::string& name) -> const Table& { return catalogue.table(name); }});
    }
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace purgekit
