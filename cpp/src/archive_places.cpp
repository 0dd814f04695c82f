#include <algorithm>
#include <utility>

#include "file_set.hpp"
#include "foreign_record.hpp"
#include "purgekit/error.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/restore.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::uint32_t slot_wait_ms = 10'000;  // longest an open chunk of a purge may keep us waiting

bool is_folder(const std::string& archive) { return !archive.empty() && archive[0] == '/'; }

// The files of the slot's last run, and of runs before it that are not closed yet.
Json sets_of(Session& session, const std::string& slot, const std::string& policy, const std::string& run_id) {
  Json out = Json::array();
  if (slot.empty()) return out;
  const Json document = foreign_record(session.slot_lock(slot, slot_wait_ms).document);
  session.rollback();
  const auto add = [&](const Json& json) {
    const std::optional<FileSet> set = FileSet::from_json(json);
    if (!set || set->policy != policy) return;
    if (set->run_id == run_id || std::find(set->runs.begin(), set->runs.end(), run_id) != set->runs.end()) out.push_back(set->to_json());
  };
  if (const auto files = document.find("files"); files != document.end()) add(*files);
  if (const auto left = document.find("left_files"); left != document.end() && left->is_array()) {
    for (const Json& set : *left) add(set);
  }
  return out;
}

}  // namespace

std::string archive_places(Session& session, const std::string& ledger, const std::string& run_id) {
  Json out = {{"policies", Json::array()}};
  try {
    const sdk::Ledger found = session.ledger_find(parse_table_name(ledger));
    if (found.state != PK_LEDGER_PRESENT && found.state != PK_LEDGER_OLDER) return out.dump();
    std::vector<Json> records;
    for (const sdk::RunRecord& stored : session.run_list()) records.push_back(foreign_record(stored.document));
    for (const Json& record : records) {
      const std::string folder = foreign_text(record, "archive");
      if (foreign_text(record, "run_id") != run_id || foreign_text(record, "kind") == "restore" || !is_folder(folder)) continue;
      const std::string policy = foreign_text(record, "policy");
      Json runs = Json::object();
      for (const Json& other : records) {
        if (foreign_text(other, "policy") == policy && foreign_text(other, "archive") == folder) runs[foreign_text(other, "run_id")] = foreign_count(other, "rows_deleted");
      }
      out["policies"].push_back({{"policy", policy},
                                 {"table", foreign_text(record, "table")},
                                 {"folder", folder},
                                 {"database", foreign_text(record, "database")},
                                 {"sets", sets_of(session, foreign_text(record, "slot"), policy, run_id)},
                                 {"runs", runs}});
    }
  } catch (const sdk::Error& e) {
    throw EngineError(e);
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace purgekit
