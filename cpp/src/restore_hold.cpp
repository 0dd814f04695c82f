#include "restore_hold.hpp"

#include <memory>

#include "hold.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/sdk/restore.hpp"
#include "sha256.hpp"
#include "slot_keeper.hpp"

namespace purgekit {
namespace {

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

}  // namespace

std::string restored_hold_id(const RestorePart& part) {
  if (part.source.key.empty()) return "";
  Sha256 hash;
  hash.add(written_name(part.source) + " " + written_name(part.archive));
  return "restored-" + hash.hex().substr(0, 12);
}

void begin_with_hold(Session& session, const RestorePart& part, const std::string& restored_run_id) {
  make_hold_gate(session, slot_wait_ms);
  sdk::Slot slot = session.slot_lock(slot_key(part.source), slot_wait_ms);
  check_slot(slot);
  slot.epoch += 1;
  session.slot_write(slot);
  const Hold hold{restored_hold_id(part), written_name(part.source), "table", marked_as_restored(part), "restored, last from run " + restored_run_id, "purgekit restore", now_utc()};
  session.note_write(hold_note_kind, {hold.id, hold.to_document()});
  change_hold_gate(session);
}

}  // namespace purgekit
