#include "slot_keeper.hpp"

#include <chrono>
#include <cstdio>

#include "purgekit/duration.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::uint32_t claim_wait_ms = 10'000;  // longest an open chunk of another run may keep us waiting

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string now_utc() {
  return format_instant(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count() * 1'000'000);
}

Json parsed(const std::string& document) {
  Json json = Json::parse(document, nullptr, false);
  return json.is_object() ? json : Json::object();
}

}  // namespace

std::string slot_key(const sdk::Table& table) {
  const std::string name = sdk::encode_row({Value::string(table.schema), Value::string(table.name)});
  char hash[24];
  std::snprintf(hash, sizeof hash, "~%016llx", static_cast<unsigned long long>(fnv1a(name)));
  return (name.size() > 180 ? name.substr(0, 160) + hash : name) + "#0";
}

SlotKeeper::SlotKeeper(Session& session, const PolicyPlan& plan, const RunOptions& options, std::size_t ordinal, const std::string& database)
    : session_(session), plan_(plan), options_(options), enabled_(options.ledger != "none"), database_(database), started_utc_(now_utc()) {
  char number[16];
  std::snprintf(number, sizeof number, "/%03zu", ordinal);
  record_id_ = options.run_id + number;
  hash_ = ordinal < options.policy_hashes.size() ? options.policy_hashes[ordinal] : "";
  if (hash_.empty()) {
    char text[24];
    std::snprintf(text, sizeof text, "fnv:%016llx", static_cast<unsigned long long>(fnv1a(plan.policy.to_json())));
    hash_ = text;
  }
  if (!plan.archives.empty()) archive_ = table_name_text(plan.archives[0].schema, plan.archives[0].table);
  slot_.key = enabled_ ? slot_key(plan.table) : "";
  slot_.pass = 1;
  slot_.cutoff_ns = plan.now_ns;
}

Json SlotKeeper::record(const std::string& status, int exit_code, std::int64_t rows_deleted) const {
  return {{"run_id", options_.run_id},
          {"policy", plan_.policy.name},
          {"table", table_name_text(plan_.table.schema, plan_.table.name)},
          {"started_utc", started_utc_},
          {"database", database_},
          {"status", status},
          {"exit_code", exit_code},
          {"rows_deleted", rows_deleted},
          {"archive", archive_},
          {"rows_archived", archive_.empty() ? 0 : rows_deleted},
          {"continues", continues_},
          {"slot", slot_.key}};
}

void SlotKeeper::write_record(const Json& record) {
  session_.run_write({record_id_, record.dump(-1, ' ', false, Json::error_handler_t::replace)});
}

void SlotKeeper::claim() {
  if (!enabled_) return;
  const sdk::Slot old = session_.slot_lock(slot_.key, claim_wait_ms);
  const Json document = parsed(old.document);
  const bool unfinished = old.state == "walking" || old.state == "stopped";
  const bool same = old.policy_hash == hash_ && document.value("identity", "") == plan_.table.identity && document.value("walk", "") == plan_.walk.id &&
                    document.value("archive", "") == archive_ &&
                    old.cutoff_ns <= plan_.now_ns;
  slot_.epoch = old.epoch + 1;
  slot_.seq = old.seq;
  slot_.run_id = options_.run_id;
  slot_.policy_hash = hash_;
  slot_.state = "walking";
  if (unfinished && same && !old.cursor.empty()) {
    continues_ = old.run_id;
    slot_.cutoff_ns = old.cutoff_ns;
    slot_.cursor = old.cursor;
    slot_.pass = old.pass;
  }
  slot_.document = Json{{"identity", plan_.table.identity}, {"walk", plan_.walk.id}, {"archive", archive_}, {"record_id", record_id_}, {"record", record("running", 0, 0)}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
  session_.slot_write(slot_);
  session_.commit();
  if (old.state == "walking" && document.contains("record")) {
    // The run before us was killed: its record gets what it truly deleted.
    Json gone = document["record"];
    gone["status"] = "failed";
    gone["exit_code"] = 1;
    gone["rows_deleted"] = old.rows_deleted;
    gone["rows_archived"] = gone.value("archive", "").empty() ? 0 : old.rows_deleted;
    gone["stop_reason"] = "interrupted";
    session_.run_write({document.value("record_id", old.run_id), gone.dump(-1, ' ', false, Json::error_handler_t::replace)});
  }
  write_record(record("running", 0, 0));
}

void SlotKeeper::checkpoint(const std::string& cursor, std::int64_t rows, const std::vector<TableCount>& tables) {
  pending_ = slot_;
  pending_.seq += 1;
  pending_.cursor = cursor;
  pending_.rows_deleted += rows;
  if (!enabled_) return;
  if (tables.size() > 1) {
    Json document = parsed(pending_.document);
    Json totals = Json::object();
    for (const TableCount& t : tables) totals[t.table] = t.rows_deleted;
    document["totals"] = totals;
    pending_.document = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  session_.checkpoint(pending_);
}

void SlotKeeper::committed() { slot_ = pending_; }

bool SlotKeeper::resolve(std::uint32_t wait_ms) {
  if (!enabled_) throw sdk::Error(PK_IN_DOUBT, "whether the last chunk was committed is not known, and without a ledger it can't be found out");
  const sdk::Slot now = session_.slot_lock(slot_.key, wait_ms);
  session_.rollback();
  if (now.epoch != slot_.epoch) throw sdk::Error(PK_FENCED, "another run has taken this table over");
  if (now.seq == slot_.seq) return false;
  if (now.seq == slot_.seq + 1) return true;
  throw sdk::Error(PK_CORRUPT, "the ledger's slot of " + plan_.table.name + " was changed by something else");
}

void SlotKeeper::new_pass(std::int64_t now_ns) {
  slot_.cursor.clear();
  slot_.cutoff_ns = now_ns;
  slot_.pass += 1;
}

void SlotKeeper::other_walk(const std::string& walk) {
  Json document = parsed(slot_.document);
  document["walk"] = walk;
  slot_.document = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  slot_.cursor.clear();
}

void SlotKeeper::finish(const PolicyReport& report) {
  if (!enabled_) return;
  if (report.stop_reason != "fenced") {
    const sdk::Slot now = session_.slot_lock(slot_.key, claim_wait_ms);
    if (now.epoch == slot_.epoch) {
      slot_.seq = now.seq;
      slot_.state = report.status == "completed" ? "done" : "stopped";
      session_.slot_write(slot_);
      session_.commit();
    } else {
      session_.rollback();
    }
  }
  Json outcome = record(report.status, report.exit_code(), report.rows_deleted_all());
  outcome["stop_reason"] = report.stop_reason;
  write_record(outcome);
}

}  // namespace purgekit
