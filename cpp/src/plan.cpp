#include "purgekit/plan.hpp"

#include "json.hpp"
#include "purgekit/duration.hpp"
#include "row_sample.hpp"

namespace purgekit {

std::string fingerprint(const sdk::Table& table) {
  std::string out = table.identity + "|" + table.schema + "." + table.name;
  for (const sdk::Column& c : table.columns) out += "|" + c.name + " " + c.type_name + (c.nullable ? "" : " not null");
  out += "|key";
  for (const std::uint32_t position : table.key) out.append(" ").append(std::to_string(position));
  return out;
}

namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json forecast_json(const Forecast& f) {
  Json out = {{"seconds", or_null(f.seconds)}, {"transactions", or_null(f.transactions)}, {"log_bytes", or_null(f.log_bytes)}, {"freed_bytes", or_null(f.freed_bytes)}, {"rehearsal", nullptr}};
  if (f.rehearsal) {
    out["rehearsal"] = {{"rows_visited", f.rehearsal->rows_visited},
                        {"rows_deleted", f.rehearsal->rows_deleted},
                        {"rows_of_dependents", f.rehearsal->rows_of_dependents},
                        {"elapsed_ms", f.rehearsal->elapsed_ms}};
  }
  return out;
}

Json move_json(const sdk::Move& m) {
  return {{"strategy", m.walk.strategy},
          {"reason", m.walk.reason},
          {"problem", m.problem.empty() ? Json(nullptr) : Json(m.problem)},
          {"rows", m.rows < 0 ? Json(nullptr) : Json(m.rows)},
          {"window_s", m.window_ms < 0 ? Json(nullptr) : Json(static_cast<double>(m.window_ms) / 1000)},
          {"needed_bytes", m.needed_bytes}};
}

}  // namespace

std::string Plan::to_json() const {
  Json out = {{"schema", "purgekit.plan/1"},
              {"database",
               {{"backend", backend},
                {"product", server.product},
                {"server_version", server.version},
                {"name", server.database},
                {"clock_utc", format_instant(server.clock_utc_ns)},
                {"clock_skew_ms", clock_skew_ns / 1'000'000}}},
              {"policies", Json::array()}};
  for (const PolicyPlan& p : policies) {
    Json warnings = Json::array();
    for (const Warning& w : p.warnings) warnings.push_back({{"code", w.code}, {"message", w.message}});
    Json item = {{"policy", p.policy.name},
                 {"table", p.skipped ? p.policy.table : table_name_text(p.table.schema, p.table.name)},
                 {"rule", p.policy.where.to_text()},
                 {"now_utc", format_instant(p.now_ns)},
                 {"cutoff_utc", format_instant(p.cutoff_ns)},
                 {"rows_total", p.rows_total},
                 {"rows_purgeable", p.rows_purgeable},
                 {"exact", p.exact},
                 {"skipped", p.skipped},
                 {"strategy", p.walk.strategy},
                 {"strategy_reason", p.walk.reason},
                 {"walks", Json::array()},
                 {"index", p.walk.index.empty() ? Json(nullptr) : Json(p.walk.index)},
                 {"chunk_rows", p.chunk_rows},
                 {"bytes", p.table.bytes},
                 {"index_bytes", p.table.index_bytes},
                 {"statements", p.statements},
                 {"forecast", forecast_json(p.forecast)},
                 {"dependents", Json::array()},
                 {"warnings", warnings}};
    for (const sdk::Walk& w : p.walks) item["walks"].push_back({{"strategy", w.strategy}, {"index", w.index.empty() ? Json(nullptr) : Json(w.index)}, {"cost", w.cost}, {"reason", w.reason}});
    for (const sdk::Dependent& d : p.dependents) item["dependents"].push_back(table_name_text(d.schema, d.table));
    item["move"] = p.move ? move_json(*p.move) : Json(nullptr);
    if (p.move) item["move"]["move_window_s"] = static_cast<double>(p.policy.move_window_ns) / 1e9;
    item["proposals"] = Json::array();
    for (const sdk::Move& m : p.proposals) item["proposals"].push_back(move_json(m));
    item["holds"] = Json::array();
    for (const HoldInForce& hold : p.holds) item["holds"].push_back({{"id", hold.id}, {"form", hold.form}, {"reason", hold.reason}});
    item["rows_held"] = or_null(p.rows_held);
    item["sample"] = sample_json(p);
    item["archive"] = p.archives.empty() ? Json(nullptr) : Json(table_name_text(p.archives[0].schema, p.archives[0].table));
    if (p.files) item["archive"] = p.files->folder;
    out["policies"].push_back(std::move(item));
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace purgekit
