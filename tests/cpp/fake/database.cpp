#include "fake/database.hpp"

#include "fake/connection.hpp"

namespace purgekit::fake {

Database::Database() {
  table.name = "T";
  table.identity = "t1";
  table.columns = {{"ID", "bigint", PK_COLUMN_INT, false}, {"EXPIRES_MS", "bigint", PK_COLUMN_INT, true}};
  table.key = {0};
  child.name = "CHILD";
  child.identity = "c1";
  child.columns = {{"T_ID", "bigint", PK_COLUMN_INT, true}};
  server.product = "fake";
  server.version = "1";
  server.loopback = true;
  server.database = "fake database";
  ledger.ddl = "CREATE TABLE the ledger";
  ledger.grant_hint = "GRANT on the ledger";
  walks = {{"id", "key-range", "", 1, "ranges of the key"}};
}

void Database::apply(const Transaction& transaction) {
  for (const std::int64_t id : transaction.deleted) rows.erase(id);
  children_deleted += transaction.children;
  for (const auto& [name, document] : transaction.notes) {
    if (document) notes[name] = *document;
    else notes.erase(name);
  }
  if (transaction.slot) slots[transaction.slot->key] = *transaction.slot;
  for (const auto& [key, slot] : transaction.more_slots) slots[key] = slot;
}

void Database::settle_hanging() {
  if (hanging && hanging_commits) apply(*hanging);
  hanging.reset();
}

std::int64_t Database::expired_rows(std::int64_t grace_ms) const {
  std::int64_t out = 0;
  for (const auto& [id, record] : rows) out += record.expires_ms > 0 && record.expires_ms + grace_ms < now_ns / 1'000'000 ? 1 : 0;
  return out;
}

Database& database() {
  static Database instance;
  return instance;
}

Action raise(pk_code code, const std::string& message) {
  return [=](Connection&) { throw sdk::Error(code, message); };
}

Action lose_commit(bool applied) {
  return [=](Connection& c) {
    if (applied) c.apply();
    throw sdk::Error(PK_IN_DOUBT, "no answer to COMMIT");
  };
}

Action hang_commit(bool commits, int waits) {
  return [=](Connection& c) {
    c.leave_hanging(commits, waits);
    throw sdk::Error(PK_IN_DOUBT, "no answer to COMMIT");
  };
}

}  // namespace purgekit::fake
