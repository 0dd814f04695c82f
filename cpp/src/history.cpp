#include <spdlog/spdlog.h>

#include <map>
#include <optional>
#include <vector>

#include "archive_record.hpp"
#include "evidence.hpp"
#include "foreign_record.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

int severity(const std::string& status) { return status == "failed" ? 3 : status == "running" ? 2 : status == "stopped" ? 1 : 0; }

int rank(std::int64_t exit_code) { return exit_code == 1 ? 3 : exit_code == 3 ? 2 : exit_code == 4 ? 1 : 0; }

/// What runs that are still going on, or were killed, have committed: their slots know.
class Slots {
 public:
  explicit Slots(Session& session) : session_(session) {}

  std::optional<sdk::Slot> read(const std::string& key) {
    if (key.empty() || !available_) return std::nullopt;
    try {
      sdk::Slot slot = session_.slot_lock(key, 1'000);
      session_.rollback();
      return slot;
    } catch (const sdk::Error& e) {
      if (e.connection_lost()) throw;
      session_.rollback();
      // A reader without the right to lock it, or a chunk that takes its time: the record's own figure is shown instead,
      // and nobody waits again for the next.
      available_ = false;
      log().info("the ledger's slots can't be looked at: {}; what a running purge has done so far is not counted", e.message());
      return std::nullopt;
    }
  }

 private:
  Session& session_;
  bool available_ = true;
};

Json new_entry(const Json& record, const std::string& id) {
  return {{"run_id", id},
          {"started_utc", foreign_text(record, "started_utc")},
          {"database", foreign_text(record, "database")},
          {"status", foreign_text(record, "status")},
          {"exit_code", foreign_count(record, "exit_code")},
          {"kind", foreign_text(record, "kind", "purge")},
          {"policies", Json::array()},
          {"entries", Json::array()},
          {"evidence_root", nullptr},
          {"rows_deleted", 0},
          {"rows_archived", 0},
          {"rows_restored", 0}};
}

Json archive_kind(const Json& record) {
  if (foreign_text(record, "archive").empty()) return nullptr;
  const std::vector<KeptTable> tables = kept_tables(record);
  if (tables.empty()) return "files";
  return tables[0].is_moved ? "move" : "table";
}

// Of one policy and its own table, without dependents where the record tells them apart.
Json entry_of(const Json& record, std::int64_t rows) {
  const bool planned = record.contains("rows_purgeable");
  return {{"policy", foreign_text(record, "policy")},
          {"table", foreign_text(record, "table")},
          {"kind", foreign_text(record, "kind", "purge")},
          {"archive", foreign_text(record, "archive").empty() ? Json(nullptr) : Json(foreign_text(record, "archive"))},
          {"archive_kind", archive_kind(record)},
          {"status", foreign_text(record, "status")},
          {"rows_purgeable", planned ? Json(foreign_count(record, "rows_purgeable")) : Json(nullptr)},
          {"rows_deleted", record.contains("rows_of_table") ? foreign_count(record, "rows_of_table") : rows},
          {"evidence", chain_record(record)}};
}

void add(Json& run, const Json& record, std::int64_t rows) {
  run["policies"].push_back(foreign_text(record, "policy"));
  run["entries"].push_back(entry_of(record, rows));
  run["rows_deleted"] = sum_of(run["rows_deleted"].get<std::int64_t>(), rows);
  if (!foreign_text(record, "archive").empty()) run["rows_archived"] = sum_of(run["rows_archived"].get<std::int64_t>(), rows);
  run["rows_restored"] = sum_of(run["rows_restored"].get<std::int64_t>(), foreign_count(record, "rows_restored"));
  const std::string status = foreign_text(record, "status");
  if (severity(status) > severity(run["status"].get<std::string>())) run["status"] = status;
  const std::int64_t exit_code = foreign_count(record, "exit_code");
  if (rank(exit_code) > rank(run["exit_code"].get<std::int64_t>())) run["exit_code"] = exit_code;
}

// As the run's report has it, if its records are all there.
Json root_of(const Json& entries) {
  std::vector<std::string> heads;
  for (const Json& entry : entries) {
    if (!entry["evidence"].is_null()) heads.push_back(foreign_text(entry["evidence"], "head"));
  }
  return heads.empty() ? Json(nullptr) : Json(evidence_root(heads));
}

}  // namespace

std::string ledger_history(Session& session, const std::string& ledger) {
  const sdk::Ledger found = session.ledger_find(parse_table_name(ledger));
  Json out = {{"schema", "purgekit.history/1"}, {"runs", Json::array()}};
  if (found.state == PK_LEDGER_ABSENT) return out.dump();
  if (found.state == PK_LEDGER_FOREIGN) refuse("ledger_foreign", "table " + ledger + " is not a purgekit ledger; name another with --ledger");
  if (found.state == PK_LEDGER_NEWER) refuse("ledger_newer", "the ledger " + ledger + " was written by a newer version of purgekit; read it with that version");
  Slots slots(session);
  std::map<std::string, Json> runs;
  for (const sdk::RunRecord& stored : session.run_list()) {
    const Json record = foreign_record(stored.document);
    if (record.empty()) {
      log().warn("the ledger's record {} can't be read; it is left out of the history", stored.id);
      continue;
    }
    const std::string id = foreign_text(record, "run_id", stored.id);
    std::int64_t rows = foreign_count(record, "rows_deleted");
    if (foreign_text(record, "status") == "running") {
      const std::optional<sdk::Slot> slot = slots.read(foreign_text(record, "slot"));
      if (slot && slot->run_id == id && believable(slot->rows_deleted)) rows = slot->rows_deleted;
    }
    auto [entry, fresh] = runs.try_emplace(id, new_entry(record, id));
    add(entry->second, record, rows);
  }
  for (auto& [id, run] : runs) {
    run["evidence_root"] = root_of(run["entries"]);
    out["runs"].push_back(std::move(run));
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace purgekit
