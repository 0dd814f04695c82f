#include "evidence.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <string_view>
#include <utility>

#include "foreign_record.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/error.hpp"
#include "sha256.hpp"

namespace purgekit {
namespace {

constexpr const char* evidence_schema = "purgekit.evidence/1";
constexpr std::size_t most_counted_tables = 1'000;
constexpr std::size_t key_id_digits = 16;

std::string canonical_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string keyed_hash(const std::string& key, const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, text.size(), digest.data(), &size) == nullptr) throw std::bad_alloc();
  return hex_of(digest.data(), size);
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// Lengths go before the cursors: no two ranges give the same text.
std::string range_text(const ChunkFacts& facts, std::int64_t pass) {
  return std::to_string(facts.before.size()) + ":" + facts.before + "|" + std::to_string(facts.after.size()) + ":" + facts.after + "|" + std::to_string(pass);
}

// A word of ours. Whoever stops a run may say anything, as may an error, and evidence tells nothing of rows or people.
std::string told_reason(const std::string& reason) {
  static constexpr std::array<std::string_view, 8> words{"signal", "deadline", "max_rows", "max_fraction", "stop_file", "fenced", "hold_unreadable", "pacer"};
  const std::string word = reason.substr(0, reason.find(':'));
  return word.empty() || std::find(words.begin(), words.end(), word) != words.end() ? word : "other";
}

bool read_counts(const Json& json, const char* key, std::vector<std::int64_t>& out) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array() || found->size() > most_counted_tables) return false;
  for (const Json& count : *found) {
    if (!count.is_number_integer() || !believable(count.get<std::int64_t>())) return false;
    out.push_back(count.get<std::int64_t>());
  }
  return true;
}

const char* kept_in(const PolicyPlan& plan) { return plan.files ? "files" : plan.archives.empty() ? "none" : "table"; }

std::vector<std::string> table_names(const PolicyPlan& plan) {
  std::vector<std::string> out{table_name_text(plan.table.schema, plan.table.name)};
  out.reserve(plan.dependents.size() + 1);
  for (const sdk::Dependent& d : plan.dependents) out.push_back(table_name_text(d.schema, d.table));
  return out;
}

std::int64_t promised_s(const Policy& policy) {
  constexpr std::int64_t second_ns = 1'000'000'000;
  return policy.evidence_retention_ns ? (*policy.evidence_retention_ns + second_ns - 1) / second_ns : 0;
}

}  // namespace

Json ChainPlace::to_json() const {
  return {{"head", head},     {"run_id", run_id}, {"next", next},          {"first", first},       {"chunks", chunks}, {"rows_deleted", rows_deleted},
          {"rows_archived", rows_archived}, {"retention_s", retention_s}, {"ended", is_ended}, {"limited", is_limited}};
}

Json ChainPlace::record() const { return {{"head", head}, {"first", first}, {"links", next - first}, {"retention_s", retention_s}}; }

std::optional<ChainPlace> ChainPlace::from_slot(const Json& document) {
  const auto found = document.find("evidence");
  if (found == document.end() || !found->is_object()) return std::nullopt;
  const Json& json = *found;
  ChainPlace out;
  out.head = foreign_text(json, "head");
  out.run_id = foreign_text(json, "run_id");
  out.next = foreign_count(json, "next");
  out.first = foreign_count(json, "first");
  out.chunks = foreign_count(json, "chunks");
  out.retention_s = foreign_count(json, "retention_s");
  out.is_ended = json.contains("ended") && json["ended"] == true;
  out.is_limited = json.contains("limited") && json["limited"] == true;
  const bool counted = read_counts(json, "rows_deleted", out.rows_deleted) && read_counts(json, "rows_archived", out.rows_archived);
  if (!counted || !is_sha256(out.head) || out.run_id.empty() || out.first < 1 || out.next <= out.first) return std::nullopt;
  return out;
}

Json chain_record(const Json& record) {
  const auto found = record.find("evidence");
  if (found == record.end() || !found->is_object() || !is_sha256(foreign_text(*found, "head"))) return nullptr;
  Json out = {{"head", foreign_text(*found, "head")}};
  for (const char* key : {"first", "links", "retention_s"}) out[key] = foreign_count(*found, key);
  return out;
}

std::string evidence_root(const std::vector<std::string>& heads) {
  Sha256 hash;
  for (const std::string& head : heads) hash.add(head);
  return hash.hex();
}

std::string evidence_key_id(const std::string& key) { return key.empty() ? "" : Sha256::of("purgekit evidence key" + key).substr(0, key_id_digits); }

std::string link_id(const std::string& record_id, std::int64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "/%09lld", static_cast<long long>(number));
  return record_id + text;
}

Evidence::Evidence(const PolicyPlan& plan, const RunOptions& options, std::size_t ordinal, std::string record_id)
    : plan_(plan), options_(options), ordinal_(ordinal), record_id_(std::move(record_id)) {}

void Evidence::add(Session& session, Json link, bool is_sealed) {
  link["run_id"] = options_.run_id;
  link["ordinal"] = ordinal_;
  link["number"] = pending_.next;
  link["prev"] = text_or_null(pending_.head);
  if (is_sealed && !options_.evidence_key.empty()) link["hmac"] = keyed_hash(options_.evidence_key, canonical_text(link));
  const std::string text = canonical_text(link);
  session.note_add(link_note_kind, {link_id(record_id_, pending_.next), text});
  pending_.head = Sha256::of(text);
  pending_.run_id = options_.run_id;
  ++pending_.next;
}

void Evidence::add_start(Session& session, const Json& document, Json facts, std::int64_t cutoff_ns) {
  if (!is_kept_) return;
  const std::optional<ChainPlace> before = ChainPlace::from_slot(document);
  if (!before && document.contains("evidence")) {
    log().warn("policy {}: where its chain of evidence had come to can't be read in the ledger; it begins anew, and a verification shows that", plan_.policy.name);
  }
  const std::vector<std::string> tables = table_names(plan_);
  pending_ = {};
  if (before) {
    pending_.head = before->head;
    pending_.next = before->next;
    pending_.is_limited = before->is_limited;
  }
  pending_.first = pending_.next;
  pending_.rows_deleted.assign(tables.size(), 0);
  pending_.rows_archived.assign(tables.size(), 0);
  pending_.retention_s = promised_s(plan_.policy);
  pending_.is_limited = pending_.is_limited || pending_.retention_s > 0;
  facts["kind"] = "start";
  facts["schema"] = evidence_schema;
  facts["cutoff_utc"] = format_instant(cutoff_ns);
  facts["after"] = before ? Json(before->run_id) : Json(nullptr);
  facts["policy"] = plan_.policy.name;
  facts["tables"] = tables;
  facts["plan_sha256"] = text_or_null(options_.evidence_plan);
  facts["approval_sha256"] = text_or_null(options_.evidence_approval);
  facts["holds"] = plan_.holds.size();
  facts["archive"] = kept_in(plan_);
  facts["key_id"] = text_or_null(evidence_key_id(options_.evidence_key));
  facts["retention_s"] = pending_.retention_s;
  told_cutoff_ns_ = cutoff_ns;
  try {
    add(session, std::move(facts));
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_SUPPORTED) throw;
    is_kept_ = false;
    pending_ = {};
    log().info("policy {}: this backend keeps no notes, so that there is no evidence of what is deleted", plan_.policy.name);
  }
}

void Evidence::take_up(const Json& document) {
  if (!is_kept_) return;
  const std::optional<ChainPlace> place = ChainPlace::from_slot(document);
  if (!place || !is_ours(*place)) throw sdk::Error(PK_CORRUPT, "the ledger's slot of " + plan_.table.name + " was changed by something else: it has lost the evidence of this run");
  committed_ = pending_ = *place;
}

void Evidence::add_chunk(Session& session, const ChunkFacts& facts, std::int64_t pass, std::int64_t cutoff_ns, const FileArchive* files) {
  pending_ = committed_;
  const bool any = std::any_of(facts.rows_deleted.begin(), facts.rows_deleted.end(), [](std::int64_t rows) { return rows > 0; });
  if (!is_kept_ || !any) return;
  const std::vector<std::int64_t> archived = keeps_rows(plan_) ? facts.rows_deleted : std::vector<std::int64_t>(facts.rows_deleted.size(), 0);
  Json link = {{"kind", "chunk"}, {"chunk", facts.number}, {"pass", pass}, {"rows_deleted", facts.rows_deleted}, {"rows_archived", archived}, {"at_utc", now_utc()}};
  if (cutoff_ns != told_cutoff_ns_) link["cutoff_utc"] = format_instant(cutoff_ns);
  if (!options_.evidence_key.empty()) link["range_hmac"] = keyed_hash(options_.evidence_key, range_text(facts, pass));
  if (files != nullptr) {
    link["files"] = Json::array();
    for (const Frame& frame : facts.frames) {
      const FilePlace& place = files->pending(frame.table);
      link["files"].push_back({{"table", frame.table}, {"rows", frame.rows}, {"sha256", frame.sha256}, {"file_bytes", place.end}, {"file_sha256", place.sha256}});
    }
  }
  ++pending_.chunks;
  pending_.rows_deleted.resize(facts.rows_deleted.size());
  pending_.rows_archived.resize(archived.size());
  for (std::size_t i = 0; i < archived.size(); ++i) {
    pending_.rows_deleted[i] = sum_of(pending_.rows_deleted[i], facts.rows_deleted[i]);
    pending_.rows_archived[i] = sum_of(pending_.rows_archived[i], archived[i]);
  }
  add(session, std::move(link));
}

// From the slot as it is: the last commit may be one that nobody was told of.
void Evidence::add_end(Session& session, const Json& document, const PolicyReport& report) {
  if (!is_kept_) return;
  const std::optional<ChainPlace> place = ChainPlace::from_slot(document);
  if (!place || !is_ours(*place)) {
    pending_ = committed_;
    log().warn("policy {}: where its chain of evidence had come to can't be read in the ledger; it has no end", plan_.policy.name);
    return;
  }
  pending_ = *place;
  if (pending_.is_ended) return;  // an earlier try, whose answer was lost
  pending_.is_ended = true;
  add(session,
      {{"kind", "end"},
       {"status", report.status},
       {"stop_reason", text_or_null(told_reason(report.stop_reason))},
       {"chunks", pending_.chunks},
       {"rows_deleted", pending_.rows_deleted},
       {"rows_archived", pending_.rows_archived},
       {"holds", report.holds.size()},
       {"finished_utc", now_utc()}},
      true);
}

void Evidence::write_to(Json& document) const {
  if (is_kept_ && !pending_.head.empty()) document["evidence"] = pending_.to_json();
  else document.erase("evidence");
}

std::optional<ChainReport> Evidence::report() const {
  if (!is_ours(committed_)) return std::nullopt;
  return ChainReport{committed_.head, committed_.next - committed_.first};
}

}  // namespace purgekit
