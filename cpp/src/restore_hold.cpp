#include "restore_hold.hpp"

#include <cstdio>
#include <memory>

#include "json.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/restore.hpp"
#include "slot_keeper.hpp"

namespace purgekit {
namespace {

constexpr const char* hold_kind = "hold";
constexpr std::uint32_t slot_wait_ms = 10'000;  // longest an open chunk of a purge may keep us waiting

std::string written_name(const sdk::Table& table) { return table_name_text(table.schema, table.name); }

Predicate marked_as_restored(const RestorePart& part) {
  rule::ReferencedBy rule;
  rule.table = written_name(part.archive);
  for (const std::uint32_t at : part.source.key) {
    const std::string& column = part.source.columns.at(at).name;
    rule.on.push_back({column, PK_EQ, column});
  }
  rule.where = std::make_shared<const Predicate>(Predicate::compare(sdk::archive_chunk_column, PK_LT, Value::integer(0)));
  return Predicate::referenced_by(std::move(rule));
}

std::string document_of(const RestorePart& part, const std::string& restored_run_id) {
  const Json document = {{"schema", "purgekit.hold/1"},
                         {"table", written_name(part.source)},
                         {"form", "table"},
                         {"rule", Json::parse(marked_as_restored(part).to_json())},
                         {"reason", "restored, last from run " + restored_run_id},
                         {"by", "purgekit restore"},
                         {"created_utc", now_utc()}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string restored_hold_id(const RestorePart& part) {
  if (part.source.key.empty()) return "";
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : written_name(part.source) + " " + written_name(part.archive)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  char id[40];
  std::snprintf(id, sizeof id, "restored-%012llx", static_cast<unsigned long long>(hash & 0xffffffffffffu));
  return id;
}

void begin_with_hold(Session& session, const RestorePart& part, const std::string& restored_run_id) {
  sdk::Slot slot = session.slot_lock(slot_key(part.source), slot_wait_ms);
  check_slot(slot);
  slot.epoch += 1;
  session.slot_write(slot);
  session.note_write(hold_kind, {restored_hold_id(part), document_of(part, restored_run_id)});
}

}  // namespace purgekit
