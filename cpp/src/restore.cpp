#include "purgekit/restore.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "archive_load.hpp"
#include "foreign_record.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/restore.hpp"
#include "restore_hold.hpp"
#include "restore_scope.hpp"
#include "slot_keeper.hpp"
#include "worker.hpp"

namespace purgekit {
namespace {

constexpr int most_chunk_tries = 10;  // of one chunk
constexpr int most_new_lines = 12;
constexpr const char* run_kind = "run";
constexpr double nap_s = 0.05;

using Clock = std::chrono::steady_clock;

bool is_passing(pk_code code) {
  return code == PK_LOCK_TIMEOUT || code == PK_DEADLOCK || code == PK_SERIALIZATION || code == PK_CANCELLED || code == PK_SERVER_RESOURCES;
}

/// One restore, from its checks to its record.
class RestoreRun {
 public:
  RestoreRun(Session& session, const sdk::ConnectParams& connection, const RestoreOptions& options, RunControl& control, const RestoreSink& on_progress)
      : session_(session), connection_(connection), options_(options), control_(control), on_progress_(on_progress) {
    report_.run_id = options.run_id;
    report_.restored_run_id = options.restored_run_id;
  }

  RestoreReport run() {
    std::vector<RestorePart> parts = check();
    make_archives(parts);
    try {
      for (std::size_t i = 0; i < parts.size(); ++i) load_table(parts[i], i);
      for (std::size_t i = 0; i < parts.size(); ++i) restore_table(parts[i], i);
    } catch (const Stop& stop) {
      report_.status = "stopped";
      report_.stop_reason = stop.reason;
    } catch (const sdk::Error& e) {
      fail(e);
    }
    if (doubt_) settle_at_end();
    finish();
    report_.elapsed_s = elapsed_s();
    log().info("restore {} of run {}: {}, {} rows in {:.2f} s", report_.run_id, report_.restored_run_id, report_.status, report_.rows_restored(), report_.elapsed_s);
    return report_;
  }

 private:
  double elapsed_s() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  std::vector<RestorePart> check() {
    const sdk::Server server = session_.inspect();
    if (server.read_only) refuse("read_only", "the database " + server.database + " is read-only here; connect to the primary, or as a user who may write");
    database_ = server.database;
    const sdk::Ledger ledger = session_.ledger_find(parse_table_name(options_.ledger));
    if (ledger.state == PK_LEDGER_ABSENT) refuse("not_found", "there is no ledger " + options_.ledger + ", so no run is known; name the one that the run used with --ledger");
    if (ledger.state == PK_LEDGER_FOREIGN) refuse("ledger_foreign", "table " + options_.ledger + " is not a purgekit ledger; name another with --ledger");
    if (ledger.state == PK_LEDGER_NEWER) refuse("ledger_newer", "the ledger " + options_.ledger + " was written by a newer version of purgekit; use that version");
    if (!ledger.can_write) refuse("ledger_privilege", "this user may not write the ledger " + options_.ledger + "; an administrator can run: " + ledger.grant_hint);
    records_ = session_.run_list();
    now_ns_ = server.clock_utc_ns;
    std::vector<RestorePart> parts = restore_parts(session_, options_, records_, now_ns_, report_.warnings);
    report_.tables.reserve(parts.size());
    for (const RestorePart& part : parts) {
      RestoredTable& table = report_.tables.emplace_back();
      table.table = table_name_text(part.source.schema, part.source.name);
      table.archive = table_name_text(part.archive.schema, part.archive.name);
    }
    return parts;
  }

  // For rows that lie in files. All else was checked; then the parts are seen anew, over the tables as they are.
  void make_archives(std::vector<RestorePart>& parts) {
    bool made = false;
    for (const RestorePart& part : parts) {
      if (!part.to_make) continue;
      make_archive(session_, part);
      made = true;
    }
    std::vector<Warning> known;
    if (made) parts = restore_parts(session_, options_, records_, now_ns_, known);
  }

  // Restores that were killed are known not to be running once their table's lock is ours.
  void close_interrupted() {
    for (const sdk::RunRecord& stored : std::exchange(records_, {})) {
      Json record = foreign_record(stored.document);
      if (foreign_text(record, "kind") != "restore" || foreign_text(record, "status") != "running" || foreign_text(record, "restored_run_id") != options_.restored_run_id) continue;
      record["status"] = "failed";
      record["exit_code"] = 1;
      record["stop_reason"] = "interrupted";
      session_.run_write({stored.id, dumped(record)});
    }
  }

  /// Do one chunk, and again where what was in the way passes. `step` leaves no transaction open.
  void in_chunk(const RestorePart& part, const std::function<void()>& step) {
    for (int tries = 0;;) {
      if (control_.stopping()) throw Stop{control_.reason()};
      in_commit_ = false;
      try {
        step();
        return;
      } catch (const sdk::Error& e) {
        if (control_.cancelled() && !in_commit_) {
          roll_back();
          throw Stop{control_.reason()};
        }
        if (e.connection_lost()) {
          doubt_ = doubt_ || in_commit_;
          log().warn("restore of {}: {}; connecting again", report_.tables[in_hand_].table, e.message());
          reconnect(part);
          continue;
        }
        roll_back();
        if (!is_passing(e.code()) || ++tries > most_chunk_tries) throw;
        log().debug("restore of {}: chunk rolled back: {}", report_.tables[in_hand_].table, e.message());
        wait(backoff_s(tries));
      }
    }
  }

  void load_table(const RestorePart& part, std::size_t index) {
    if (part.files == nullptr) return;
    in_hand_ = index;
    lock_run(part);
    if (!sdk::has_index_on(part.archive, {sdk::archive_run_column, sdk::archive_chunk_column})) index_archive(part);
    for (const LoadChunk& chunk : load_chunks(*part.files)) {
      in_chunk(part, [&] { load_one(part, index, chunk); });
    }
    unlock_run(part);
  }

  // The slot's lock lets one at a time look whether the chunk is there, and settles what a transaction in doubt has done.
  void load_one(const RestorePart& part, std::size_t index, const LoadChunk& chunk) {
    session_.slot_lock(slot_key(part.source), options_.lock_wait_ms);
    const std::int64_t there = rows_there(session_, part, options_.restored_run_id, chunk.number);
    if (doubt_) settle();
    if (there == chunk.rows) {
      session_.rollback();
      return;
    }
    if (there != 0) {
      throw sdk::Error(PK_CORRUPT, "archive table " + report_.tables[index].archive + " holds " + std::to_string(there) + " rows of chunk " + std::to_string(chunk.number) + " of run " +
                                       printable(options_.restored_run_id) + " where the files hold " + std::to_string(chunk.rows) + ": they are not what was loaded from there; delete or rename them");
    }
    load_chunk(session_, part, options_.restored_run_id, chunk);
    RestoreReport pending = report_;
    pending.tables[index].rows_loaded += chunk.rows;
    commit(std::move(pending), index);
  }

  // With the record of what is committed by it.
  void commit(RestoreReport pending, std::size_t index) {
    session_.note_write(run_kind, {record_id(), dumped(record(pending, "running"))});
    in_commit_ = true;
    session_.commit();
    in_commit_ = false;
    report_ = std::move(pending);
    changed_ = true;
    if (on_progress_) on_progress_(report_.tables[index], elapsed_s());
  }

  void restore_table(const RestorePart& part, std::size_t index) {
    in_hand_ = index;
    lock_run(part);
    std::int64_t after = 0;
    bool begun = false;
    for (bool done = false; !done;) {
      in_chunk(part, [&] {
        if (!begun) close_interrupted();
        const sdk::Restored chunk = one_chunk(part, index, after, !begun);
        done = chunk.done;
        if (!done && !begun) make_findable(part);
        begun = true;
        after = chunk.chunk;
      });
    }
    unlock_run(part);
  }

  // Nothing left: `done`, and no transaction is open.
  sdk::Restored one_chunk(const RestorePart& part, std::size_t index, std::int64_t after, bool with_hold) {
    const std::string hold = options_.hold ? restored_hold_id(part) : "";
    if (with_hold && !hold.empty()) begin_with_hold(session_, part, options_.restored_run_id);
    else session_.begin("", 0, 0);
    const pk_predicate where = part.where ? part.where->view() : pk_predicate{};
    const pk_restore request{sdk::to_text(part.source.schema), sdk::to_text(part.source.name), {sdk::to_text(part.archive.schema), sdk::to_text(part.archive.name), nullptr, 0, 0, {}},
                             sdk::to_text(options_.restored_run_id), part.where ? &where : nullptr, static_cast<std::uint32_t>(options_.conflict), options_.lock_wait_ms};
    const sdk::Restored chunk = session_.restore_next(request, after);
    // What an old transaction in doubt has done is settled by now: its locks were waited for.
    if (doubt_) settle();
    if (chunk.done) {
      session_.rollback();
      return chunk;
    }
    RestoreReport pending = report_;
    RestoredTable& table = pending.tables[index];
    table.rows_restored += chunk.rows_restored;
    table.rows_skipped += chunk.rows_skipped;
    table.chunks += 1;
    table.hold = hold;
    commit(std::move(pending), index);
    return chunk;
  }

  // The record was written with each chunk: it tells how many of them are committed.
  void settle() {
    for (const sdk::RunRecord& stored : session_.run_list()) {
      if (stored.id != record_id()) continue;
      const Json record = foreign_record(stored.document);
      const auto tables = record.find("tables");
      if (tables == record.end() || !tables->is_array() || tables->size() != report_.tables.size()) continue;
      for (std::size_t i = 0; i < report_.tables.size(); ++i) {
        RestoredTable& table = report_.tables[i];
        table.rows_restored = foreign_count((*tables)[i], "rows_restored");
        table.rows_skipped = foreign_count((*tables)[i], "rows_skipped");
        table.chunks = foreign_count((*tables)[i], "chunks");
        table.rows_loaded = foreign_count((*tables)[i], "rows_loaded");
        table.hold = foreign_text((*tables)[i], "hold");
      }
      changed_ = true;
    }
    doubt_ = false;
  }

  void settle_at_end() {
    try {
      settle();
    } catch (const sdk::Error& e) {
      report_.status = "failed";
      report_.error_code = "in_doubt";
      report_.error_message = "whether the last chunk was restored is not known: " + e.message() + "; the archive marks what was, the same command goes on from there";
      report_.error_table = report_.tables[in_hand_].table;
    }
  }

  // No archive has an index before rows are restored from it.
  void make_findable(const RestorePart& part) {
    if (options_.hold && part.source.key.empty()) {
      report_.warnings.push_back({"not_held", "table " + part.source.name + " has no key to tell its rows by, so what was restored is not on hold: the next purge takes it again"});
    }
    index_archive(part);
  }

  void index_archive(const RestorePart& part) {
    try {
      const LoweredPredicate none = lower_no_rows();
      session_.archive_create(PurgeSpec(part.source, none.view(), sdk::restore_walk, {}, {{part.archive.schema, part.archive.name}}, ""));
    } catch (const sdk::Error& e) {
      report_.warnings.push_back({"not_indexed", e.message()});
      if (e.connection_lost()) reconnect(part);
    }
  }

  void lock_run(const RestorePart& part) {
    try {
      session_.lock_run(slot_key(part.source));
    } catch (const sdk::Error& e) {
      if (e.code() == PK_LOCK_TIMEOUT) throw Stop{"another_run"};
      if (e.code() != PK_NOT_SUPPORTED) throw;
    }
  }

  void unlock_run(const RestorePart& part) {
    try {
      session_.unlock_run(slot_key(part.source));
    } catch (const sdk::Error&) {
      // Released with the connection.
    }
  }

  void reconnect(const RestorePart& part) {
    for (int tries = 1;; ++tries) {
      std::this_thread::sleep_for(std::chrono::duration<double>(backoff_s(tries)));
      try {
        session_.connect(connection_);
        session_.ledger_find(parse_table_name(options_.ledger));
        session_.describe({part.source.schema, part.source.name, true, true});
        session_.describe({part.archive.schema, part.archive.name, true, true});
        session_.lock_run(slot_key(part.source));
        return;
      } catch (const sdk::Error& e) {
        // The old session may still hold the lock; rows are locked one by one anyway.
        if (e.code() == PK_LOCK_TIMEOUT || e.code() == PK_NOT_SUPPORTED) return;
        const bool passing = e.connection_lost() || e.code() == PK_CONNECT_FAILED || e.code() == PK_SERVER_RESOURCES;
        if (!passing || tries >= most_new_lines || control_.stopping()) throw;
      }
    }
  }

  void roll_back() {
    try {
      session_.rollback();
    } catch (const sdk::Error& e) {
      if (!e.connection_lost()) throw;
    }
  }

  void wait(double seconds) const {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end && !control_.stopping()) std::this_thread::sleep_for(std::chrono::duration<double>(nap_s));
  }

  void fail(const sdk::Error& e) {
    const std::string& table = report_.tables[in_hand_].table;
    const std::string code = e.code() == PK_DATA && !e.constraint().empty() ? "conflict" : sdk::code_name(e.code());
    if (!changed_ && !doubt_) {
      EngineError refused(e);
      const ErrorKind kind = refused.kind() == ErrorKind::failed ? ErrorKind::refused : refused.kind();
      const std::string needed = e.code() != PK_PRIVILEGE ? "" : "; a restore needs SELECT, INSERT" + std::string(options_.conflict == PK_CONFLICT_REPLACE ? ", UPDATE" : "") + " on " + table +
                                                                    " and SELECT, UPDATE" + (options_.files.empty() ? "" : ", INSERT") + " on " + report_.tables[in_hand_].archive;
      throw EngineError(kind, code, e.message() + needed).table(table);
    }
    report_.status = "failed";
    report_.error_code = code;
    report_.error_message = e.message() + "; what was restored before is committed and marked, the same command goes on from there";
    report_.error_table = table;
  }

  std::string record_id() const { return options_.run_id + "/000"; }

  static std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

  Json record(const RestoreReport& report, const std::string& status) const {
    Json out = {{"kind", "restore"},
                {"run_id", options_.run_id},
                {"restored_run_id", options_.restored_run_id},
                {"policy", "restore of " + options_.restored_run_id},
                {"table", report.tables[0].table},
                {"started_utc", started_utc_},
                {"database", database_},
                {"status", status},
                {"exit_code", status == "running" ? 0 : report.exit_code()},
                {"stop_reason", report.stop_reason},
                {"rows_deleted", 0},
                {"rows_restored", report.rows_restored()},
                {"tables", Json::array()}};
    for (const RestoredTable& t : report.tables) {
      out["tables"].push_back({{"table", t.table}, {"rows_restored", t.rows_restored}, {"rows_skipped", t.rows_skipped}, {"rows_loaded", t.rows_loaded}, {"chunks", t.chunks}, {"hold", t.hold}});
    }
    return out;
  }

  void finish() {
    if (!changed_ && report_.status != "completed") return;  // there is nothing to tell
    try {
      session_.run_write({record_id(), dumped(record(report_, report_.status))});
    } catch (const sdk::Error& e) {
      log().warn("restore {}: its outcome could not be written to the ledger: {}", options_.run_id, e.message());
    }
  }

  Session& session_;
  const sdk::ConnectParams& connection_;
  const RestoreOptions& options_;
  RunControl& control_;
  const RestoreSink& on_progress_;
  Clock::time_point start_ = Clock::now();
  std::string started_utc_ = now_utc();
  std::string database_;
  std::vector<sdk::RunRecord> records_;
  std::int64_t now_ns_ = 0;  // the database's clock at the start
  RestoreReport report_;
  std::size_t in_hand_ = 0;  // which table
  bool in_commit_ = false;
  bool doubt_ = false;    // a commit without an answer
  bool changed_ = false;  // something is committed
};

}  // namespace

RestoreReport run_restore(Session& session, const sdk::ConnectParams& connection, const RestoreOptions& options, RunControl& control, const RestoreSink& on_progress) {
  const Attached attached(control, session);
  if (options.ledger == "none") bad_policy("a restore needs the ledger, where the run is recorded");
  if (options.lock_wait_ms < 1 || options.lock_wait_ms > 600'000) bad_policy("lock-wait-ms must lie between 1 and 600000");
  try {
    return RestoreRun(session, connection, options, control, on_progress).run();
  } catch (const sdk::Error& e) {
    throw EngineError(e);
  }
}

}  // namespace purgekit
