#include "purgekit/report.hpp"

#include <algorithm>
#include <cmath>

#include "evidence.hpp"
#include "json.hpp"

namespace purgekit {
namespace {

constexpr double first_ms = 0.01;
const double log_step = std::log(1.05);

double rounded(double value, double digits = 1000) { return std::round(value * digits) / digits; }

int worst(const std::vector<int>& codes) {
  for (const int code : {1, 3, 4}) {
    if (std::find(codes.begin(), codes.end(), code) != codes.end()) return code;
  }
  return 0;
}

Json known_bytes(std::int64_t bytes) { return bytes < 0 ? Json(nullptr) : Json(bytes); }

Json to_json_value(const SpaceFigures& f) {
  return {{"bytes", known_bytes(f.bytes)}, {"reusable_bytes", known_bytes(f.reusable_bytes)}, {"dead_bytes", known_bytes(f.dead_bytes)}};
}

Json to_json_value(const SpaceReport& s) {
  return {{"before", to_json_value(s.before)},
          {"after", to_json_value(s.after)},
          {"returned_bytes", known_bytes(s.returned_bytes())},
          {"advice", s.advice.empty() ? Json(nullptr) : Json(s.advice)}};
}

Json to_json_value(const CareReport& c) {
  if (c.asked.empty()) return nullptr;
  return {{"asked", c.asked}, {"status", c.status}, {"steps", c.steps}, {"elapsed_s", rounded(c.elapsed_s)}, {"warning", c.warning.empty() ? Json(nullptr) : Json(c.warning)}};
}

Json to_json_value(const PolicyReport& p) {
  Json blocked = Json::array();
  for (const Blocked& b : p.blocked) {
    blocked.push_back({{"table", b.table}, {"reason", b.reason}, {"constraint", b.constraint.empty() ? Json(nullptr) : Json(b.constraint)},
                       {"rows", b.rows}, {"sample_key", b.sample_key.empty() ? Json(nullptr) : Json(b.sample_key)}, {"message", b.message}});
  }
  Json tables = Json::array();
  for (const TableCount& t : p.tables) tables.push_back({{"table", t.table}, {"rows_deleted", t.rows_deleted}, {"rows_archived", t.rows_archived}});
  Json files = Json::array();
  for (const ArchivedFile& f : p.archive_files) {
    files.push_back({{"table", f.table}, {"path", f.path}, {"rows", f.rows}, {"bytes", f.bytes}, {"sha256", f.sha256}, {"finished", f.finished}});
  }
  Json waits = Json::object();
  for (const auto& [name, waited_s] : p.waits_s) waits[name] = rounded(waited_s);
  Json out = {{"policy", p.policy},
              {"table", p.table},
              {"strategy", p.strategy},
              {"status", p.status},
              {"stop_reason", p.stop_reason.empty() ? Json(nullptr) : Json(p.stop_reason)},
              {"rows_deleted", p.rows_deleted()},
              {"rows_archived", p.tables.empty() ? 0 : p.tables[0].rows_archived},
              {"rows_left", p.rows_left},
              {"at_least", p.at_least},
              {"chunks", p.chunks},
              {"retries", p.retries},
              {"workers", p.workers},
              {"elapsed_s", rounded(p.elapsed_s)},
              {"rows_per_s", p.elapsed_s > 0 ? rounded(static_cast<double>(p.rows_deleted()) / p.elapsed_s, 10) : 0.0},
              {"throttled_s", rounded(p.throttled_s)},
              {"forecast_s", p.forecast_s ? Json(rounded(*p.forecast_s)) : Json(nullptr)},
              {"forecast_chunks", p.forecast_chunks ? Json(*p.forecast_chunks) : Json(nullptr)},
              {"log_bytes", p.log_bytes ? Json(*p.log_bytes) : Json(nullptr)},
              {"forecast_log_bytes", p.forecast_log_bytes ? Json(*p.forecast_log_bytes) : Json(nullptr)},
              {"waits", waits},
              {"chunk_ms", {{"p50", rounded(p.chunk_ms.percentile(0.5))}, {"p99", rounded(p.chunk_ms.percentile(0.99))}, {"max", rounded(p.chunk_ms.max())}}},
              {"blocked", blocked},
              {"holds", p.holds},
              {"rows_held", p.rows_held ? Json(*p.rows_held) : Json(nullptr)},
              {"tables", tables},
              {"archive_files", files},
              {"archived_bytes", p.archived_bytes},
              {"space", to_json_value(p.space)},
              {"care", to_json_value(p.care)},
              {"evidence", p.evidence ? Json({{"head", p.evidence->head}, {"links", p.evidence->links}}) : Json(nullptr)}};
  if (!p.error_code.empty()) out["error"] = {{"code", p.error_code}, {"message", p.error_message}};
  return out;
}

}  // namespace

void ChunkTimes::record(double ms) {
  const double position = ms <= first_ms ? 0 : std::log(ms / first_ms) / log_step;
  ++counts_[std::min(buckets - 1, static_cast<std::size_t>(position))];
  ++total_;
  max_ms_ = std::max(max_ms_, ms);
}

double ChunkTimes::percentile(double share) const {
  if (total_ == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    seen += counts_[i];
    if (seen >= wanted && seen > 0) return std::min(max_ms_, first_ms * std::exp((static_cast<double>(i) + 0.5) * log_step));
  }
  return max_ms_;
}

std::int64_t SpaceReport::returned_bytes() const {
  if (before.bytes < 0 || after.bytes < 0) return -1;
  return std::max<std::int64_t>(0, before.bytes - after.bytes);
}

std::int64_t PolicyReport::rows_deleted_all() const {
  std::int64_t sum = 0;
  for (const TableCount& t : tables) sum += t.rows_deleted;
  return sum;
}

int PolicyReport::exit_code() const {
  if (status == "failed") return 1;
  if (status == "stopped") return 3;
  return rows_left > 0 ? 4 : 0;
}

int Report::exit_code() const {
  std::vector<int> codes;
  for (const PolicyReport& p : policies) codes.push_back(p.exit_code());
  return worst(codes);
}

std::string Report::status() const {
  const int code = exit_code();
  return code == 1 ? "failed" : code == 3 ? "stopped" : "completed";
}

std::int64_t Report::rows_deleted() const {
  std::int64_t sum = 0;
  for (const PolicyReport& p : policies) sum += p.rows_deleted_all();
  return sum;
}

std::int64_t Report::rows_archived() const {
  std::int64_t sum = 0;
  for (const PolicyReport& p : policies) {
    for (const TableCount& t : p.tables) sum += t.rows_archived;
  }
  return sum;
}

std::string Report::evidence_root() const {
  std::vector<std::string> heads;
  for (const PolicyReport& p : policies) {
    if (p.evidence) heads.push_back(p.evidence->head);
  }
  return heads.empty() ? "" : purgekit::evidence_root(heads);
}

std::string Report::to_json() const {
  Json out = {{"schema", "purgekit.run/1"}, {"run_id", run_id},          {"started_utc", started_utc}, {"continues", nullptr},     {"status", status()},
              {"stop_reason", nullptr},     {"exit_code", exit_code()},  {"rows_deleted", rows_deleted()}, {"rows_archived", rows_archived()}, {"elapsed_s", rounded(elapsed_s)},
              {"policies", Json::array()}};
  std::int64_t archived_bytes = 0;
  std::int64_t links = 0;
  Json chains = Json::array();
  for (const PolicyReport& p : policies) {
    archived_bytes += p.archived_bytes;
    if (p.evidence) {
      links += p.evidence->links;
      chains.push_back({{"policy", p.policy}, {"head", p.evidence->head}, {"links", p.evidence->links}});
    }
    if (out["continues"].is_null() && !p.continues.empty()) out["continues"] = p.continues;
    if (out["stop_reason"].is_null() && !p.stop_reason.empty()) out["stop_reason"] = p.stop_reason;
    if (!out.contains("error") && !p.error_code.empty()) {
      out["error"] = {{"code", p.error_code}, {"message", p.error_message}, {"table", p.table}, {"policy", p.policy}};
    }
    out["policies"].push_back(to_json_value(p));
  }
  out["archived_bytes"] = archived_bytes;
  out["evidence"] = nullptr;
  if (!chains.empty()) out["evidence"] = {{"root", evidence_root()}, {"key_id", evidence_key_id.empty() ? Json(nullptr) : Json(evidence_key_id)}, {"links", links}, {"policies", chains}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace purgekit
