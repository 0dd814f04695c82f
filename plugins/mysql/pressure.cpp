#include "pressure.hpp"

#include <algorithm>
#include <cstdlib>

#include "purgekit/sdk/error.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;

// One statement at work for each CPU and one that waits for its turn, its commit or its page; two more, since on a small server a few
// come and go by chance. Of all figures here this one goes with the latency of others. Measured on two CPUs beside a purge: with up
// to two at a time 1 to 4 % of the others' transactions took over 100 ms, with six to eight 20 %, with nine and more 60 to 90 %.
constexpr double running_a_cpu = 2;
constexpr double running_by_chance = 2;
// MySQL does not tell how many CPUs it has: what online schema changes have waited at for years.
constexpr double running_of_unknown_server = 25;
// Row locks are held for one chunk, so a single waiter is nothing; more than these at a time are a queue.
constexpr double lock_waits_limit = 8;
// At 100 % every writer waits for pages to be written. Measured beside a purge that fills the log: below 70 % none of the others'
// transactions took over 100 ms, up to 97 % one in a hundred, above it every third, up to 0.7 s. Some room, since a small log fills
// by several percent between two looks.
constexpr double redo_limit_pct = 90;
// Transactions whose old row versions nobody has cleared away: readers go through them. Alarms are usually set at a million.
constexpr double history_limit = 500'000;
// Fewer are somebody who looks, or a monitor: nobody is kept waiting who would notice.
constexpr double others_from_per_s = 5;
// Measured beside 300 logins a second: with chunks of 25, 40 and 100 ms the 99th percentile of a login was 9, 15 and 60 ms (3.5 without
// a purge), and the purge took 8, 6 and 4.6 times as long as one DELETE. Pauses of their own beside it cost more time than they gain: at 40 ms and
// 60 % of all time 8 ms and 8.3 times as long.
constexpr double shared_chunk_ms = 40;

double number(const sdk::Value& v) {
  if (v.kind == PK_VALUE_REAL) return v.f64;
  if (v.kind == PK_VALUE_INT || v.kind == PK_VALUE_UINT) return static_cast<double>(v.i64);
  return std::strtod(v.text.c_str(), nullptr);
}

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

}  // namespace

void PressureGauge::learn(Line& line) {
  const sdk::Rows rows = line.query("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('thread_pool_size', 'innodb_max_dirty_pages_pct')", {});
  running_limit_ = running_of_unknown_server;
  for (const sdk::Row& row : rows) {
    if (row.at(0).text == "innodb_max_dirty_pages_pct") dirty_limit_pct_ = number(row.at(1));
    // MariaDB sets it to its number of CPUs, whether or not the pool is in use.
    else if (line.is_mariadb()) running_limit_ = running_a_cpu * number(row.at(1)) + running_by_chance;
  }
  asks_metrics_ = !line.is_mariadb();
  learned_ = true;
}

PressureGauge::Status PressureGauge::status(Line& line) {
  const sdk::Rows rows = line.query(
      "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_running', 'Innodb_row_lock_current_waits', 'Innodb_checkpoint_age', 'Innodb_checkpoint_max_age',"
      " 'Innodb_redo_log_logical_size', 'Innodb_redo_log_capacity_resized', 'Innodb_history_list_length', 'Innodb_buffer_pool_pages_dirty',"
      " 'Innodb_buffer_pool_pages_total', 'Innodb_buffer_pool_reads', 'Innodb_os_log_written', 'Questions')",
      {});
  Status out;
  for (const sdk::Row& row : rows) out[row.at(0).text] = number(row.at(1));
  return out;
}

void PressureGauge::add_history(Line& line, Status& now) {
  if (!asks_metrics_) return;
  try {
    const sdk::Rows rows = line.query("SELECT `COUNT` FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'", {});
    if (!rows.empty()) now["Innodb_history_list_length"] = number(rows[0].at(0));
  } catch (const Error& e) {
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    asks_metrics_ = false;
  }
}

// Of a counter, from the second look on.
void PressureGauge::add_rate(std::vector<sdk::Signal>& out, const char* signal, const char* name, const Status& now, double elapsed_s) const {
  const auto before = last_.find(name);
  const auto after = now.find(name);
  if (before == last_.end() || after == now.end() || elapsed_s <= 0) return;
  out.push_back({signal, std::max(0.0, (after->second - before->second) / elapsed_s), 0});
}

// The server counts statements, its own account of this process's among them.
void PressureGauge::add_others(std::vector<sdk::Signal>& out, const Status& now, std::int64_t sent, double elapsed_s) const {
  const auto before = last_.find("Questions");
  const auto after = now.find("Questions");
  if (before == last_.end() || after == now.end() || elapsed_s <= 0) return;
  const double per_s = std::max(0.0, (after->second - before->second - static_cast<double>(sent - last_sent_)) / elapsed_s);
  out.push_back({"others_statements_per_s", per_s, 0, per_s > others_from_per_s ? shared_chunk_ms : 0});
}

std::int64_t PressureGauge::log_bytes(Line& line) {
  // Innodb_lsn_current counts what is still in memory as well, but not every server has it.
  std::int64_t written = -1;
  std::int64_t reached = -1;
  std::int64_t binary = 0;
  for (const sdk::Row& row : line.query("SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_os_log_written', 'Innodb_lsn_current', 'Binlog_bytes_written')", {})) {
    const auto bytes = static_cast<std::int64_t>(number(row.at(1)));
    if (row.at(0).text == "Innodb_os_log_written") written = bytes;
    else if (row[0].text == "Innodb_lsn_current") reached = bytes;
    else binary = bytes;
  }
  if (written < 0 && reached < 0) throw Error(PK_NOT_SUPPORTED, "the server's status does not tell how long its log is");
  return (reached >= 0 ? reached : written) + binary;
}

std::vector<sdk::Signal> PressureGauge::read(Line& line) {
  if (!learned_) learn(line);
  Status now = status(line);
  const std::int64_t sent = Line::sent();
  // What this process has under way, this very statement included, is no pressure from others.
  const double own = Line::under_way() + 1;
  add_history(line, now);
  if (now.empty()) throw Error(PK_NOT_SUPPORTED, "the server's status tells nothing about its load");
  std::vector<sdk::Signal> out;
  const auto has = [&](const char* name) { return now.count(name) > 0; };
  const double running = has("Threads_running") ? std::max(0.0, now["Threads_running"] - own) : 0;
  if (has("Threads_running")) out.push_back({"threads_running", running, running_limit_});
  // A counter that servers have let drift upwards: whoever waits is also running.
  if (has("Innodb_row_lock_current_waits")) out.push_back({"lock_waits", std::clamp(now["Innodb_row_lock_current_waits"], 0.0, running), lock_waits_limit});
  if (has("Innodb_checkpoint_age") && has("Innodb_checkpoint_max_age")) {
    out.push_back({"redo_log_used_pct", percent(now["Innodb_checkpoint_age"], now["Innodb_checkpoint_max_age"]), redo_limit_pct});
  } else if (has("Innodb_redo_log_logical_size") && has("Innodb_redo_log_capacity_resized")) {
    out.push_back({"redo_log_used_pct", percent(now["Innodb_redo_log_logical_size"], now["Innodb_redo_log_capacity_resized"]), redo_limit_pct});
  }
  if (has("Innodb_history_list_length")) out.push_back({"history_list_length", now["Innodb_history_list_length"], history_limit});
  if (has("Innodb_buffer_pool_pages_dirty") && has("Innodb_buffer_pool_pages_total")) {
    out.push_back({"dirty_pages_pct", percent(now["Innodb_buffer_pool_pages_dirty"], now["Innodb_buffer_pool_pages_total"]), dirty_limit_pct_});
  }
  const Clock::time_point at = Clock::now();
  const double elapsed_s = std::chrono::duration<double>(at - last_at_).count();
  add_rate(out, "pages_read_in_per_s", "Innodb_buffer_pool_reads", now, elapsed_s);
  add_rate(out, "redo_bytes_per_s", "Innodb_os_log_written", now, elapsed_s);
  add_others(out, now, sent, elapsed_s);
  last_ = std::move(now);
  last_sent_ = sent;
  last_at_ = at;
  return out;
}

}  // namespace purgekit::mysql
