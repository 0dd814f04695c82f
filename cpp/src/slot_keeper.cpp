#include "slot_keeper.hpp"

#include <cstdio>
#include <utility>

#include "archive_record.hpp"
#include "foreign_record.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::uint32_t claim_wait_ms = 10'000;  // longest an open chunk of another run may keep us waiting
constexpr std::size_t most_left_behind = 16;
constexpr std::int64_t most_passes_continued = 20;
constexpr std::size_t most_parts = 256;

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// A record as it may be written back, of what stands in a slot: texts of ours and nothing else.
Json copied(const Json& record, std::int64_t rows_deleted) {
  Json out = {{"status", foreign_text(record, "status")}, {"exit_code", foreign_count(record, "exit_code")}, {"rows_deleted", rows_deleted}};
  for (const char* key : {"run_id", "policy", "table", "started_utc", "database", "continues", "slot", "stop_reason", "archive"}) out[key] = foreign_text(record, key);
  out["rows_archived"] = foreign_text(record, "archive").empty() ? 0 : rows_deleted;
  for (const char* key : {"rows_purgeable", "rows_of_table"}) {
    if (record.contains(key)) out[key] = foreign_count(record, key);
  }
  if (record.contains("archives")) out["archives"] = archive_record(kept_tables(record));
  if (const Json chain = chain_record(record); !chain.is_null()) out["evidence"] = chain;
  return out;
}

// "RUN/000": the policy with this number in the run.
std::string record_id_of(const RunOptions& options, std::size_t ordinal) {
  char number[16];
  std::snprintf(number, sizeof number, "/%03zu", ordinal);
  return options.run_id + number;
}

// What is left of a pass that was cut, as [cursor, until]; nothing when it was not, or when it can't be read.
std::vector<WalkPart> parts_of(const Json& document) {
  std::vector<WalkPart> out;
  const auto parts = document.find("parts");
  if (parts == document.end() || !parts->is_array() || parts->size() > most_parts) return {};
  for (const Json& part : *parts) {
    if (!part.is_array() || part.size() != 2 || !part[0].is_string() || !part[1].is_string()) return {};
    out.push_back({part[0].get<std::string>(), part[1].get<std::string>()});
  }
  return out;
}

// Told to whoever adds a hold on one of them.
Json dependents_of(const PolicyPlan& plan) {
  Json out = Json::array();
  for (const sdk::Dependent& d : plan.dependents) out.push_back(table_name_text(d.schema, d.table));
  return out;
}

bool fits_as_id(const std::string& id) { return !id.empty() && id.size() <= 200; }  // the column's width, with room to spare

// Records of earlier runs that `old` has left behind: its own, with what it truly deleted, and those it did not get to write.
Json left_behind(const sdk::Slot& old, const Json& document) {
  Json out = Json::array();
  if (const auto record = document.find("record"); record != document.end() && record->is_object()) {
    Json gone = copied(*record, old.rows_deleted);
    if (old.state == "walking") {
      gone["status"] = "failed";
      gone["exit_code"] = 1;
      gone["stop_reason"] = "interrupted";
      const std::optional<ChainPlace> chain = ChainPlace::from_slot(document);
      if (chain && chain->run_id == foreign_text(gone, "run_id")) gone["evidence"] = chain->record();
    }
    const std::string id = foreign_text(document, "record_id");
    if (foreign_text(gone, "status") != "running") out.push_back({{"id", fits_as_id(id) ? id : old.run_id}, {"seq", old.seq}, {"record", gone}});
  }
  const auto earlier = document.find("taken_over");
  if (earlier == document.end() || !earlier->is_array()) return out;
  for (const Json& entry : *earlier) {
    const bool whole = entry.is_object() && fits_as_id(foreign_text(entry, "id")) && entry.contains("record") && entry["record"].is_object();
    if (!whole || out.size() >= most_left_behind) continue;
    const Json& record = entry["record"];
    out.push_back({{"id", foreign_text(entry, "id")}, {"seq", foreign_count(entry, "seq")}, {"record", copied(record, foreign_count(record, "rows_deleted"))}});
  }
  return out;
}

}  // namespace

void check_slot(const sdk::Slot& slot) {
  for (const std::int64_t number : {slot.epoch, slot.seq, slot.rows_deleted}) {
    if (believable(number)) continue;
    throw sdk::Error(PK_CORRUPT, "the ledger's row with kind 'slot' and id '" + slot.key + "' holds impossible numbers (epoch " + std::to_string(slot.epoch) + ", seq " +
                                     std::to_string(slot.seq) + ", rows_deleted " + std::to_string(slot.rows_deleted) +
                                     "): restore it, or delete it when no purge of that table runs");
  }
}

std::string slot_key(const sdk::Table& table) {
  const std::string name = sdk::encode_row({Value::string(table.schema), Value::string(table.name)});
  char hash[24];
  std::snprintf(hash, sizeof hash, "~%016llx", static_cast<unsigned long long>(fnv1a(name)));
  return (name.size() > 180 ? name.substr(0, 160) + hash : name) + "#0";
}

SlotKeeper::SlotKeeper(Session& session, const PolicyPlan& plan, const RunOptions& options, std::size_t ordinal, const std::string& database)
    : session_(session), plan_(plan), options_(options), enabled_(options.ledger != "none"), record_id_(record_id_of(options, ordinal)), database_(database), started_utc_(now_utc()), evidence_(plan, options, ordinal, record_id_) {
  hash_ = ordinal < options.policy_hashes.size() ? options.policy_hashes[ordinal] : "";
  if (hash_.empty()) {
    char text[24];
    std::snprintf(text, sizeof text, "fnv:%016llx", static_cast<unsigned long long>(fnv1a(plan.policy.to_json())));
    hash_ = text;
  }
  if (!plan.archives.empty()) archive_ = table_name_text(plan.archives[0].schema, plan.archives[0].table);
  if (enabled_ && plan.files) {
    archive_ = plan.files->folder;
    FileSet own;
    own.stem = safe_name(options.run_id) + "." + record_id_.substr(options.run_id.size() + 1);
    own.run_id = options.run_id;
    own.runs = {options.run_id};
    own.policy = plan.policy.name;
    own.policy_hash = hash_;
    own.database = database;
    own.place = safe_name(database);
    own.started_utc = started_utc_;
    files_ = std::make_unique<FileArchive>(*plan.files, std::move(own));
  }
  archives_ = archive_record(kept_tables(plan));
  slot_.key = enabled_ ? slot_key(plan.table) : "";
  slot_.pass = 1;
  slot_.cutoff_ns = plan.now_ns;
}

Json SlotKeeper::record(const std::string& status, int exit_code, std::int64_t rows_deleted) const {
  Json out = {{"run_id", options_.run_id},
              {"policy", plan_.policy.name},
              {"table", table_name_text(plan_.table.schema, plan_.table.name)},
              {"started_utc", started_utc_},
              {"database", database_},
              {"status", status},
              {"exit_code", exit_code},
              {"rows_deleted", rows_deleted},
              {"archive", archive_},
              {"archives", archives_},
              {"rows_archived", archive_.empty() ? 0 : rows_deleted},
              {"continues", continues_},
              {"dependents", dependents_of(plan_)},
          {"slot", slot_.key}};
  if (const Json chain = evidence_.record(); !chain.is_null()) out["evidence"] = chain;
  return out;
}

void SlotKeeper::write_record(const Json& record) { session_.run_write({record_id_, dumped(record)}); }

void SlotKeeper::claim() {
  if (!enabled_) return;
  const sdk::Slot old = session_.slot_lock(slot_.key, claim_wait_ms);
  check_slot(old);
  const Json document = foreign_record(old.document);
  if (slot_.epoch > 0 && old.epoch >= slot_.epoch && old.run_id == options_.run_id) {
    session_.rollback();  // a takeover of ours whose answer was lost: it stands, whatever holds came since
    slot_ = old;
    evidence_.take_up(document);
  } else {
    take_over(old, document);
  }
  for (const Json& entry : left_behind_) session_.run_write({foreign_text(entry, "id"), dumped(entry["record"])});
  write_record(record("running", 0, 0));
  // Written down by now. The run just before us stays in the slot: should it live, it learns there how far it got.
  if (left_behind_.size() > 1) left_behind_.erase(left_behind_.begin() + 1, left_behind_.end());
  Json own = foreign_record(slot_.document);
  own["taken_over"] = left_behind_;
  if (files_) {
    own["left_files"] = files_->close_left(own.value("left_files", Json::array()));
    files_->verify();
  }
  slot_.document = dumped(own);
}

void SlotKeeper::take_over(const sdk::Slot& old, const Json& document) {
  const bool unfinished = old.state == "walking" || old.state == "stopped";
  const bool same = old.policy_hash == hash_ && foreign_text(document, "identity") == plan_.table.identity && foreign_text(document, "walk") == plan_.walk.id &&
                    foreign_text(document, "archive") == archive_;
  const bool plausible = old.cutoff_ns >= 0 && old.cutoff_ns <= plan_.now_ns;
  const std::vector<WalkPart> parts = parts_of(document);
  const bool continued = unfinished && same && plausible && (!old.cursor.empty() || !parts.empty());
  const bool taken_up = files_ && files_->take_over(document, continued);
  const Json files = document.value("files", Json());
  const bool is_closed = old.state == "done" && !(files_ && files.is_object() && foreign_text(files, "folder") == archive_);
  const Json left = left_files(document, taken_up, is_closed);
  interrupted_ = unfinished;
  slot_.epoch = old.epoch + 1;
  slot_.seq = old.seq;
  slot_.run_id = options_.run_id;
  slot_.policy_hash = hash_;
  slot_.state = "walking";
  continues_ = continued ? old.run_id : "";
  slot_.cutoff_ns = continued ? old.cutoff_ns : plan_.now_ns;
  slot_.cursor = continued ? old.cursor : "";
  slot_.pass = continued && old.pass >= 1 && old.pass < most_passes_continued ? old.pass : 1;
  left_behind_ = left_behind(old, document);
  Json own = {{"identity", plan_.table.identity}, {"walk", plan_.walk.id}, {"archive", archive_}, {"record_id", record_id_},
              {"record", record("running", 0, 0)}, {"taken_over", left_behind_}};
  if (continued && !parts.empty()) own["parts"] = document["parts"];
  if (files_) own["files"] = files_->state();
  if (!left.empty()) own["left_files"] = left;
  evidence_.add_start(session_, document,
                      {{"policy_sha256", hash_}, {"backend", session_.backend().name}, {"database", database_.substr(database_.find_last_of('/') + 1)}, {"continues", continues_.empty() ? Json(nullptr) : Json(continues_)}, {"started_utc", started_utc_}},
                      slot_.cutoff_ns);
  evidence_.write_to(own);
  slot_.document = dumped(own);
  session_.slot_write(slot_);
  session_.commit();
  evidence_.committed();
}

std::vector<WalkPart> SlotKeeper::parts() const {
  std::vector<WalkPart> parts = parts_of(foreign_record(slot_.document));
  if (parts.empty()) parts.push_back({slot_.cursor, ""});
  return parts;
}

void SlotKeeper::checkpoint(Session& session, const std::vector<WalkPart>& parts, std::int64_t rows, const std::vector<TableCount>& tables, const ChunkFacts& facts) {
  pending_ = slot_;
  pending_.seq += 1;
  const bool cut = parts.size() > 1 || !parts[0].until.empty();
  pending_.cursor = cut ? "" : parts[0].cursor;
  pending_.rows_deleted += rows;
  if (!enabled_) return;
  evidence_.add_chunk(session, facts, slot_.pass, slot_.cutoff_ns, files_.get());
  Json document = foreign_record(pending_.document);
  evidence_.write_to(document);
  document.erase("parts");
  if (tables.size() > 1) {
    Json totals = Json::object();
    for (const TableCount& t : tables) totals[t.table] = t.rows_deleted;
    document["totals"] = totals;
  }
  if (cut) {
    document["parts"] = Json::array();
    for (const WalkPart& part : parts) {
      if (!part.done) document["parts"].push_back({part.cursor, part.until});
    }
  }
  if (files_) document["files"] = files_->state();
  pending_.document = dumped(document);
  session.checkpoint(pending_);
}

void SlotKeeper::committed() {
  slot_ = pending_;
  evidence_.committed();
  if (files_) files_->committed();
}

bool SlotKeeper::resolve(Session& session, std::uint32_t wait_ms) {
  if (!enabled_) throw sdk::Error(PK_IN_DOUBT, "whether the last chunk was committed is not known, and without a ledger it can't be found out");
  const sdk::Slot now = session.slot_lock(slot_.key, wait_ms);
  session.rollback();
  if (now.epoch != slot_.epoch && now.run_id != options_.run_id) throw sdk::Error(PK_FENCED, "another run has taken this table over");
  if (now.seq == slot_.seq) return false;
  if (now.seq == slot_.seq + 1) return true;
  throw sdk::Error(PK_CORRUPT, "the ledger's slot of " + plan_.table.name + " was changed by something else");
}

bool SlotKeeper::rejoin() {
  if (!enabled_) return false;
  const sdk::Slot now = session_.slot_lock(slot_.key, claim_wait_ms);
  session_.rollback();
  if (now.run_id != options_.run_id || now.epoch <= slot_.epoch) return false;
  if (now.seq != slot_.seq) throw sdk::Error(PK_CORRUPT, "the ledger's slot of " + plan_.table.name + " was changed by something else");
  slot_.epoch = now.epoch;
  return true;
}

void SlotKeeper::forget_place() {
  slot_.cursor.clear();
  Json document = foreign_record(slot_.document);
  if (document.erase("parts") > 0) slot_.document = dumped(document);
}

void SlotKeeper::new_pass(std::int64_t now_ns) {
  forget_place();
  slot_.cutoff_ns = now_ns;
  slot_.pass += 1;
}

void SlotKeeper::other_walk(const std::string& walk) {
  forget_place();
  Json document = foreign_record(slot_.document);
  document["walk"] = walk;
  slot_.document = dumped(document);
}

std::optional<bool> SlotKeeper::settle() {
  if (!enabled_) return std::nullopt;
  const sdk::Slot now = session_.slot_lock(slot_.key, claim_wait_ms);
  session_.rollback();
  std::int64_t seq = now.seq;
  if (now.epoch != slot_.epoch && now.run_id != options_.run_id) {
    seq = -1;
    const Json document = foreign_record(now.document);
    const auto taken_over = document.find("taken_over");
    if (taken_over == document.end() || !taken_over->is_array()) return std::nullopt;
    for (const Json& entry : *taken_over) {
      if (entry.is_object() && foreign_text(entry, "id") == record_id_ && entry.contains("seq") && entry["seq"].is_number_integer()) seq = entry["seq"].get<std::int64_t>();
    }
  }
  if (seq == slot_.seq) return false;
  if (seq == slot_.seq + 1) return true;
  return std::nullopt;
}

void SlotKeeper::finish(const PolicyReport& report) {
  if (!enabled_) return;
  Json outcome = record(report.status, report.exit_code(), report.rows_deleted_all());
  outcome["stop_reason"] = report.stop_reason;
  outcome["rows_of_table"] = report.rows_deleted();
  if (plan_.exact) outcome["rows_purgeable"] = plan_.rows_purgeable;
  sdk::Slot now = session_.slot_lock(slot_.key, claim_wait_ms);
  if (now.epoch == slot_.epoch || now.run_id == options_.run_id) {
    // Cursor and counts stay as the last commit left them: it may be one that nobody was told of.
    outcome["rows_deleted"] = now.rows_deleted;
    outcome["rows_archived"] = archive_.empty() ? 0 : now.rows_deleted;
    Json document = foreign_record(slot_.document);
    evidence_.add_end(session_, foreign_record(now.document), report);
    evidence_.write_to(document);
    if (const Json chain = evidence_.pending_record(); !chain.is_null()) outcome["evidence"] = chain;
    document["record"] = outcome;
    now.document = dumped(document);
    now.state = report.status == "completed" ? "done" : "stopped";
    session_.slot_write(now);
    session_.commit();
    evidence_.committed();
    if (files_) files_->finish(report.status == "completed");
  } else {
    session_.rollback();
    // Whoever took over has written our record with the slot's own count; one that is not sure must not replace it.
    if (report.at_least) return;
  }
  write_record(outcome);
}

}  // namespace purgekit
