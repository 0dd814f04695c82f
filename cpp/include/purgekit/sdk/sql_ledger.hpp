/// \file sql_ledger.hpp
/// The ledger as one plain table: slot rows (one for each purged table and worker), run rows (history), one version row.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

class SqlLedger {
 public:
  /// 1: the first. 2: slots also tell what became of the runs before them and where rows are kept, which an earlier purgekit would drop.
  /// 3: there may be holds, which an earlier purgekit would not see.
  /// 4: slots name the last link of a table's chain of evidence, which an earlier purgekit would drop.
  /// The columns are still those of version 1. A version that adds some gives them defaults and adds them in `upgrade`, step by step.
  static constexpr int version = 4;

  SqlLedger(SqlSession& session, const TableName& name)
      : session_(session), table_(qualified(session.dialect(), name.schema, name.name)) {}

  const std::string& table() const { return table_; }

  /// CREATE TABLE as an administrator would run it.
  std::string ddl() const {
    const Dialect& d = session_.dialect();
    const std::string number = " BIGINT NOT NULL, ";
    return "CREATE TABLE " + table_ + " (" + q("kind") + " " + d.ledger_text(8) + " NOT NULL, " + q("id") + " " + d.ledger_text(250) +
           " NOT NULL, " + q("epoch") + number + q("seq") + number + q("pass") + number + q("rows_deleted") + number + q("cutoff_ns") +
           number + q("run_id") + " " + d.ledger_text(64) + ", " + q("policy_hash") + " " + d.ledger_text(80) + ", " + q("state") + " " +
           d.ledger_text(32) + ", " + q("walk_cursor") + " " + d.ledger_long_text() + ", " + q("document") + " " + d.ledger_long_text() +
           ", PRIMARY KEY (" + q("kind") + ", " + q("id") + "))" + d.ledger_suffix();
  }

  /// Read the version. Throws PK_NOT_FOUND when the table is absent.
  pk_ledger_state state() {
    Sql sql(session_.dialect());
    sql << "SELECT " << q("document") << ", " << q("walk_cursor") << ", " << q("policy_hash") << " FROM " << table_;
    add_where(sql, "meta", "version");
    const Rows rows = session_.fetch(sql);
    if (rows.empty()) return PK_LEDGER_OLDER;  // made by hand from the DDL: it gets its version with the first run
    const std::string& text = rows[0].at(0).text;
    if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return PK_LEDGER_FOREIGN;
    const int found = text.size() > 6 ? version + 1 : std::stoi(text);
    return found > version ? PK_LEDGER_NEWER : found < version ? PK_LEDGER_OLDER : PK_LEDGER_PRESENT;
  }

  void create() {
    session_.execute(ddl(), {});
    upgrade();
  }

  /// From whatever earlier version to this one. May be repeated, and by several at once: a later version is never lowered.
  void upgrade() {
    insert_absent("meta", "version", std::to_string(version));
    for (int earlier = 0; earlier < version; ++earlier) {
      Sql sql(session_.dialect());
      sql << "UPDATE " << table_ << " SET " << q("document") << " = ";
      sql.bind(Value::string(std::to_string(version)), PK_COLUMN_TEXT);
      add_where(sql, "meta", "version");
      sql << " AND " << q("document") << " = ";
      sql.bind(Value::string(std::to_string(earlier)), PK_COLUMN_TEXT);
      session_.run(sql);
    }
  }

  /// Leaves the transaction open with the slot locked.
  Slot lock(const std::string& key, std::uint32_t wait_ms) {
    session_.begin_transaction();
    session_.set_lock_wait(wait_ms);
    Sql sql(session_.dialect());
    sql << "SELECT " << q("epoch") << ", " << q("seq") << ", " << q("run_id") << ", " << q("policy_hash") << ", " << q("cutoff_ns") << ", "
        << q("walk_cursor") << ", " << q("pass") << ", " << q("rows_deleted") << ", " << q("state") << ", " << q("document") << " FROM "
        << table_;
    add_where(sql, "slot", key);
    sql << session_.dialect().for_update();
    Rows rows = session_.fetch(sql);
    if (rows.empty()) {
      insert_absent("slot", key, "");
      rows = session_.fetch(sql);
      if (rows.empty()) throw Error(PK_SERIALIZATION, "the ledger slot of this table was removed meanwhile");
    }
    const Row& r = rows[0];
    Slot slot;
    slot.key = key;
    slot.epoch = r.at(0).i64;
    slot.seq = r.at(1).i64;
    slot.run_id = r.at(2).text;
    slot.policy_hash = r.at(3).text;
    slot.cutoff_ns = r.at(4).i64;
    slot.cursor = r.at(5).text;
    slot.pass = r.at(6).i64;
    slot.rows_deleted = r.at(7).i64;
    slot.state = r.at(8).text;
    slot.document = r.at(9).text;
    return slot;
  }

  /// In the open transaction, which then keeps others from locking or writing the slot.
  SharedSlot share(const std::string& key) {
    const std::string clock = session_.dialect().clock_us();
    Sql sql(session_.dialect());
    sql << "SELECT " << q("epoch") << ", " << (clock.empty() ? "0" : clock) << " FROM " << table_;
    add_where(sql, "slot", key);
    sql << session_.dialect().for_share();
    const Rows rows = session_.fetch(sql);
    if (rows.empty()) return {};
    return {rows[0].at(0).i64, clock.empty() ? -1 : rows[0].at(1).i64 * 1'000};
  }

  /// Write everything, whatever stands there; the slot is locked by this transaction.
  void write(const Slot& slot) {
    if (update(slot, false) != 1) throw Error(PK_FENCED, "the ledger slot of this table is gone");
  }

  /// Write what a chunk changed; fenced out when epoch or seq are not as after begin.
  void checkpoint(const Slot& slot) {
    if (update(slot, true) != 1) throw Error(PK_FENCED, "another run has taken this table over");
  }

  /// Move seq on, in the open transaction.
  void fence(const std::string& key, std::int64_t epoch, std::int64_t seq) {
    Sql sql(session_.dialect());
    sql << "UPDATE " << table_ << " SET " << q("seq") << " = " << q("seq") << " + 1";
    add_where(sql, "slot", key);
    add_expected(sql, epoch, seq);
    if (session_.run(sql) != 1) throw Error(PK_FENCED, "another run has taken this table over");
  }

  void write_run(const RunRecord& run) {
    session_.begin_transaction();
    try {
      write_note(run_kind, run);
    } catch (...) {
      session_.rollback_transaction();
      throw;
    }
    session_.commit_transaction();
  }

  std::vector<RunRecord> runs() { return notes(run_kind); }

  /// Insert or replace, in the open transaction. A note that is written again and again costs one statement.
  void write_note(const std::string& kind, const RunRecord& note) {
    Sql sql(session_.dialect());
    sql << "UPDATE " << table_ << " SET " << q("document") << " = ";
    sql.bind(Value::string(note.document), PK_COLUMN_TEXT);
    add_where(sql, kind, note.id);
    // None: there is no such note, or, as MySQL counts, it says the same already.
    if (session_.run(sql) == 0) insert_absent(kind, note.id, note.document);
  }

  void delete_note(const std::string& kind, const std::string& id) {
    Sql sql(session_.dialect());
    sql << "DELETE FROM " << table_;
    add_where(sql, kind, id);
    session_.run(sql);
  }

  /// In the open transaction.
  void add_note(const std::string& kind, const RunRecord& note) { insert("INSERT INTO ", "", kind, note.id, note.document); }

  std::vector<RunRecord> page(const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most) {
    Sql sql(session_.dialect());
    sql << "SELECT " << q("id") << ", " << q("document") << " FROM " << table_ << " WHERE " << q("kind") << " = ";
    sql.bind(Value::string(kind), PK_COLUMN_TEXT) << " AND " << q("id") << " > ";
    sql.bind(Value::string(after), PK_COLUMN_TEXT);
    // No range of ids: in some collations what begins alike does not stand together.
    sql << " AND SUBSTR(" << q("id") << ", 1, " << std::to_string(prefix.size()) << ") = ";
    sql.bind(Value::string(prefix), PK_COLUMN_TEXT) << " ORDER BY " << q("id") << session_.dialect().limit(static_cast<std::int64_t>(most));
    return records(sql);
  }

  std::vector<RunRecord> notes(const std::string& kind) {
    Sql sql(session_.dialect());
    sql << "SELECT " << q("id") << ", " << q("document") << " FROM " << table_ << " WHERE " << q("kind") << " = ";
    sql.bind(Value::string(kind), PK_COLUMN_TEXT) << " ORDER BY " << q("id");
    return records(sql);
  }

 private:
  static constexpr const char* run_kind = "run";

  std::vector<RunRecord> records(const Sql& sql) {
    const Rows rows = session_.fetch(sql);
    std::vector<RunRecord> out;
    out.reserve(rows.size());
    for (const Row& row : rows) out.push_back({row.at(0).text, row.at(1).text});
    return out;
  }

  std::string q(const char* name) const { return session_.dialect().quote(name); }

  void add_where(Sql& sql, const std::string& kind, const std::string& id) const {
    sql << " WHERE " << q("kind") << " = ";
    sql.bind(Value::string(kind), PK_COLUMN_TEXT) << " AND " << q("id") << " = ";
    sql.bind(Value::string(id), PK_COLUMN_TEXT);
  }

  void add_expected(Sql& sql, std::int64_t epoch, std::int64_t seq) const {
    sql << " AND " << q("epoch") << " = ";
    sql.bind(Value::integer(epoch), PK_COLUMN_INT) << " AND " << q("seq") << " = ";
    sql.bind(Value::integer(seq), PK_COLUMN_INT);
  }

  std::int64_t update(const Slot& slot, bool expected) {
    Sql sql(session_.dialect());
    sql << "UPDATE " << table_ << " SET " << q("run_id") << " = ";
    sql.bind(Value::string(slot.run_id), PK_COLUMN_TEXT) << ", " << q("policy_hash") << " = ";
    sql.bind(Value::string(slot.policy_hash), PK_COLUMN_TEXT) << ", " << q("cutoff_ns") << " = ";
    sql.bind(Value::integer(slot.cutoff_ns), PK_COLUMN_INT) << ", " << q("walk_cursor") << " = ";
    sql.bind(Value::string(slot.cursor), PK_COLUMN_TEXT) << ", " << q("pass") << " = ";
    sql.bind(Value::integer(slot.pass), PK_COLUMN_INT) << ", " << q("rows_deleted") << " = ";
    sql.bind(Value::integer(slot.rows_deleted), PK_COLUMN_INT) << ", " << q("state") << " = ";
    sql.bind(Value::string(slot.state), PK_COLUMN_TEXT) << ", " << q("document") << " = ";
    sql.bind(Value::string(slot.document), PK_COLUMN_TEXT);
    if (!expected) {
      sql << ", " << q("epoch") << " = ";
      sql.bind(Value::integer(slot.epoch), PK_COLUMN_INT) << ", " << q("seq") << " = ";
      sql.bind(Value::integer(slot.seq), PK_COLUMN_INT);
    }
    add_where(sql, "slot", slot.key);
    if (expected) add_expected(sql, slot.epoch, slot.seq);
    return session_.run(sql);
  }

  void insert_absent(const std::string& kind, const std::string& id, const std::string& document) {
    const auto [head, tail] = session_.dialect().insert_or_ignore();
    insert(head, tail, kind, id, document);
  }

  void insert(const std::string& head, const std::string& tail, const std::string& kind, const std::string& id, const std::string& document) {
    Sql sql(session_.dialect());
    sql << head << table_ << " (" << q("kind") << ", " << q("id") << ", " << q("epoch") << ", " << q("seq") << ", " << q("pass") << ", "
        << q("rows_deleted") << ", " << q("cutoff_ns") << ", " << q("document") << ") VALUES (";
    sql.bind(Value::string(kind), PK_COLUMN_TEXT) << ", ";
    sql.bind(Value::string(id), PK_COLUMN_TEXT) << ", 0, 0, 0, 0, 0, ";
    sql.bind(Value::string(document), PK_COLUMN_TEXT) << ")" << tail;
    session_.run(sql);
  }

  SqlSession& session_;
  std::string table_;
};

}  // namespace purgekit::sdk
