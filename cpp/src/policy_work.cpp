#include "policy_work.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "purgekit/log.hpp"

namespace purgekit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double tell_wait_every_s = 5;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

std::int64_t PolicyWork::rows_allowed() const {
  if (!context.options.max_rows) return INT64_MAX;
  return *context.options.max_rows - context.rows_deleted_before - report.rows_deleted_all();
}

std::string PolicyWork::asked_to_stop() const {
  if (context.control.stopping()) return context.control.reason();
  const RunOptions& o = context.options;
  if (o.deadline_s && context.elapsed_s() >= *o.deadline_s) return "deadline";
  return !o.stop_file.empty() && std::filesystem::exists(o.stop_file) ? "stop_file" : "";
}

void PolicyWork::check_stop() {
  if (const std::string reason = asked_to_stop(); !reason.empty()) throw Stop{reason};
  const std::scoped_lock lock(mutex);
  if (rows_allowed() <= 0) throw Stop{"max_rows"};
}

void PolicyWork::account() {
  const ChunkResult& chunk = last_chunk;
  keeper.committed();
  commit_sent = false;
  last_part->cursor = chunk.range.cursor;
  last_part->done = chunk.range.done;
  ++report.chunks;
  pass_deleted += chunk.range.rows_deleted;
  report.tables = tables_after_chunk;
  if (parts.size() == 1) share_of_walk_ = chunk.range.share_done;
  report.chunk_ms.record(chunk.elapsed_ms);
  context.flight.chunk(report.policy, {{"number", report.chunks}, {"pass", keeper.pass()}, {"seq", keeper.seq()}, {"rows", chunk.range.rows_deleted},
                                       {"visited", chunk.range.rows_visited}, {"children", chunk.children}, {"ms", chunk.elapsed_ms}, {"share_done", share_done()},
                                       {"part", std::int64_t{last_part - parts.data()}}});
  if (!moving()) pacer.record(chunk.visited(), chunk.range.rows_deleted + chunk.children, chunk.elapsed_ms, context.elapsed_s());
  log().debug("policy {}: chunk {} deleted {} of {} rows in {:.1f} ms", report.policy, report.chunks, chunk.range.rows_deleted, chunk.visited(), chunk.elapsed_ms);
}

std::int64_t PolicyWork::next_chunk_number() {
  const std::int64_t next = keeper.enabled() ? keeper.chunk() : report.chunks + 1;
  last_chunk_number_ = several() ? std::max(next, last_chunk_number_ + 1) : next;
  return last_chunk_number_;
}

double PolicyWork::share_done() const {
  if (parts.size() <= 1) return share_of_walk_;
  const auto done = std::count_if(parts.begin(), parts.end(), [](const WalkPart& part) { return part.done; });
  return static_cast<double>(done) / static_cast<double>(parts.size());
}

void PolicyWork::report_progress(double chunk_ms, std::int64_t chunk_rows, const std::string& waiting) {
  if (!context.on_progress) return;
  const std::scoped_lock lock(mutex);
  Progress p;
  p.policy = report.policy;
  p.table = report.table;
  p.pass = keeper.pass();
  p.rows_deleted = report.rows_deleted();
  p.rows_total_deleted = context.rows_deleted_before + report.rows_deleted_all();
  p.rows_purgeable = plan.rows_purgeable;
  p.share_done = share_done();
  if (plan.rows_purgeable > 0) {
    p.share_done = std::min(1.0, std::max(p.share_done, static_cast<double>(p.rows_deleted) / static_cast<double>(plan.rows_purgeable)));
  }
  p.chunk_ms = chunk_ms;
  p.chunk_rows = chunk_rows;
  p.elapsed_s = seconds_since(start);
  p.rows_per_s = p.elapsed_s > 0 ? static_cast<double>(p.rows_deleted) / p.elapsed_s : 0;
  if (p.rows_per_s > 0) p.eta_s = static_cast<double>(std::max<std::int64_t>(0, p.rows_purgeable - p.rows_deleted)) / p.rows_per_s;
  p.waiting = waiting;
  context.on_progress(p);
}

void pause(PolicyWork& work, const Pause& due, std::int64_t chunk_rows) {
  const std::string& name = due.name.empty() ? due.reason : due.name;
  {
    const std::scoped_lock lock(work.mutex);
    if (name != work.told_wait || work.context.elapsed_s() - work.told_wait_s >= tell_wait_every_s) {
      work.told_wait = name;
      work.told_wait_s = work.context.elapsed_s();
      log().info("policy {}: pausing {:.2f} s: {}", work.report.policy, due.wait_s, due.reason);
      // What follows the colon is a server's own text.
      work.context.flight.note("wait", work.report.policy, {{"planned_s", due.wait_s}, {"reason", due.reason.substr(0, due.reason.find(':'))}});
    }
  }
  work.report_progress(0, chunk_rows, due.reason);
  const auto start = Clock::now();
  const auto count = [&] {
    const std::scoped_lock lock(work.mutex);
    const double waited_s = seconds_since(start) / static_cast<double>(work.workers);
    work.report.throttled_s += waited_s;
    work.report.waits_s[name.substr(0, name.find(':'))] += waited_s;
  };
  try {
    while (seconds_since(start) < due.wait_s) {
      work.check_stop();
      if (work.halted) break;
      const double slice_s = std::min(0.05, due.wait_s - seconds_since(start));
      if (slice_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(slice_s));
    }
  } catch (const Stop&) {
    count();
    throw;
  }
  count();
}

}  // namespace purgekit
