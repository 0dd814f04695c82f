#include <algorithm>
#include <numeric>

#include "json.hpp"
#include "purgekit/restore.hpp"

namespace purgekit {
namespace {

std::int64_t total_of(const std::vector<RestoredTable>& tables, std::int64_t RestoredTable::*rows) {
  return std::accumulate(tables.begin(), tables.end(), std::int64_t{0}, [&](std::int64_t total, const RestoredTable& t) { return total + t.*rows; });
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::int64_t RestoreReport::rows_restored() const { return total_of(tables, &RestoredTable::rows_restored); }

std::int64_t RestoreReport::rows_skipped() const { return total_of(tables, &RestoredTable::rows_skipped); }

std::int64_t RestoreReport::rows_loaded() const { return total_of(tables, &RestoredTable::rows_loaded); }

int RestoreReport::exit_code() const {
  if (status == "failed") return 1;
  if (status == "stopped") return 3;
  return rows_skipped() > 0 ? 4 : 0;
}

std::string RestoreReport::to_json() const {
  Json out = {{"schema", "purgekit.restore/1"}, {"run_id", run_id},           {"restored_run_id", restored_run_id}, {"status", status},
              {"stop_reason", text_or_null(stop_reason)}, {"exit_code", exit_code()}, {"rows_restored", rows_restored()}, {"rows_skipped", rows_skipped()}, {"rows_loaded", rows_loaded()},
              {"elapsed_s", elapsed_s}, {"tables", Json::array()}, {"warnings", Json::array()}, {"error", nullptr}};
  for (const RestoredTable& t : tables) {
    out["tables"].push_back({{"table", t.table}, {"archive", t.archive}, {"rows_restored", t.rows_restored}, {"rows_skipped", t.rows_skipped}, {"rows_loaded", t.rows_loaded}, {"chunks", t.chunks}, {"hold", text_or_null(t.hold)}});
  }
  for (const Warning& w : warnings) out["warnings"].push_back({{"code", w.code}, {"message", w.message}});
  if (status == "failed") out["error"] = {{"code", error_code}, {"message", error_message}, {"table", text_or_null(error_table)}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace purgekit
