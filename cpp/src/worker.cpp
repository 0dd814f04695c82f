#include "worker.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "hold.hpp"
#include "moves.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr int most_lock_tries = 3;
constexpr int most_conflict_tries = 12;
constexpr int most_resource_tries = 6;
constexpr int most_begin_tries = 8;
constexpr int most_reconnects = 12;
constexpr int most_reconnects_when_stopping = 3;
constexpr std::uint32_t bisect_lock_wait_ms = 50;
constexpr std::uint32_t resolve_wait_ms = 10'000;

using Clock = std::chrono::steady_clock;

}  // namespace

double backoff_s(int tries) {
  thread_local std::mt19937 random(std::random_device{}());
  const double base = 0.05 * std::pow(2.0, std::min(tries, 6));
  return base * std::uniform_real_distribution<double>(0.5, 1.5)(random);
}

bool can_skip_rows(const sdk::Walk& walk) { return walk.strategy != "index-range" && walk.strategy != "scan"; }

Worker::Worker(PolicyWork& work, Session& session, bool primary)
    : work_(work),
      context_(work.context),
      plan_(work.plan),
      session_(session),
      frames_(work.plan.files ? std::make_unique<ChunkFrames>(*work.plan.files) : nullptr),
      catalogue_(session),
      sizer_(work.context.options.chunk_ms, work.plan.chunk_rows),
      primary_(primary) {}

LowerInput Worker::input(std::int64_t now_ns) { return catalogue_.input(plan_.table, now_ns, plan_.policy, context_.plan.zones); }

LoweredPredicate Worker::deletable(std::int64_t now_ns) { return lower_guarded(purgekit::deletable(plan_.policy, work_.holds), input(now_ns), plan_.guards); }

void Worker::prepare(std::int64_t now_ns, bool nothing) {
  const LoweredPredicate predicate = nothing ? lower_no_rows() : deletable(now_ns);
  const std::vector<std::string> statements =
      session_.prepare(PurgeSpec(plan_.table, predicate.view(), work_.walk.id, plan_.dependents, work_.archives, context_.options.run_id, frames_ ? &frames_->sink() : nullptr));
  if (primary_) context_.flight.statements(work_.report.policy, statements);
  prepared_nothing_ = nothing;
  prepared_now_ns_ = now_ns;
}

void Worker::lock_run() {
  if (!primary_) return;
  try {
    session_.lock_run(slot_key(plan_.table));
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_SUPPORTED) throw;
  }
}

// Also without the lock: a backend may keep limits for a purging session until then.
void Worker::unlock_run() {
  try {
    session_.unlock_run(slot_key(plan_.table));
  } catch (const sdk::Error&) {
    // Released with the connection.
  }
}

bool Worker::take_part() {
  const Lock lock(work_.mutex);
  const auto free = std::find_if(work_.parts.begin(), work_.parts.end(), [](const WalkPart& part) { return !part.taken && !part.done; });
  if (free == work_.parts.end()) return false;
  free->taken = true;
  part_ = &*free;
  suspect_ = {};
  return true;
}

void Worker::walk() {
  while (!work_.gave_up && take_part()) {
    while (!part_->done && !work_.gave_up) {
      if (work_.halted) throw Halted{};
      work_.check_stop();
      await_pace();
      one_chunk();
    }
  }
}

// Does one chunk whatever it takes.
void Worker::one_chunk() {
  lock_tries_ = conflict_tries_ = resource_tries_ = begin_tries_ = 0;
  bool stepping_over = false;  // past one row that can't go: a chunk whose condition no row satisfies
  std::int64_t rows = suspect_.rows > 0 ? std::min(suspect_.step, suspect_.rows) : sizer_.rows();
  if (context_.options.max_rows_per_s) rows = std::min(rows, std::max<std::int64_t>(1, static_cast<std::int64_t>(*context_.options.max_rows_per_s)));
  for (;;) {
    Lock lock(work_.mutex, std::defer_lock);
    try {
      if (try_chunk(rows, stepping_over, lock)) return;
    } catch (const sdk::Error& e) {
      context_.flight.error(work_.report.policy, in_commit_ ? "commit" : at_ledger_ ? "begin" : "chunk", e);
      if (context_.control.cancelled() && !in_commit_) throw Stop{context_.control.reason()};
      if (!in_commit_ && lock.owns_lock()) lock.unlock();
      if (e.connection_lost()) {
        count_retry();
        log().warn("policy {}: {}; connecting again", work_.report.policy, e.message());
        reconnect();
        if (committed_after_reconnect() && in_commit_) {
          committed(stepping_over);
          return;
        }
      } else {
        roll_back();
        switch (after_error(e)) {
          case Verdict::give_up: return;
          case Verdict::skip_row:
            if (rows > 1) {
              if (suspect_.rows == 0) suspect_.rows = rows;
              rows = suspect_.step = std::max<std::int64_t>(1, rows / 10);
            } else if (stepping_over) {
              if (++conflict_tries_ > most_conflict_tries) throw;
              wait(backoff_s(conflict_tries_), "row locked");
            } else {
              note_blocked(e);
              if (!can_skip_rows(work_.walk)) {
                take_other_walk();
                suspect_ = {};
                return;
              }
              if (suspect_.rows == 0) suspect_ = {1, 1};
              stepping_over = true;
            }
            break;
          case Verdict::again:
            if (e.code() == PK_STATEMENT_TIMEOUT) {
              if (rows == 1) throw;
              rows = std::max<std::int64_t>(1, rows / 2);
              sizer_.set_rows(rows);
            }
            break;
        }
      }
      if (in_commit_) work_.commit_sent = in_commit_ = false;  // known by now not to be committed
    }
  }
}

// One attempt; true when it is committed, false when it is to be made again with `rows`, or because a limit was mended.
bool Worker::try_chunk(std::int64_t& rows, bool stepping_over, Lock& lock) {
  SlotKeeper& keeper = work_.keeper;
  const std::uint32_t lock_wait_ms = suspect_.rows > 0 ? std::min(bisect_lock_wait_ms, context_.options.lock_wait_ms) : context_.options.lock_wait_ms;
  const auto start = Clock::now();
  at_ledger_ = true;
  in_commit_ = false;
  if (stepping_over != prepared_nothing_) prepare(prepared_now_ns_, stepping_over);
  // Several share the slot: each moves it on at its chunk's end, or one would keep all others out for the whole chunk.
  if (work_.several()) session_.begin("", 0, 0);
  else session_.begin(keeper.key(), keeper.epoch(), keeper.seq());
  at_ledger_ = false;
  lock.lock();
  const std::int64_t number = work_.next_chunk_number();
  lock.unlock();
  if (frames_) frames_->start();
  ChunkResult chunk;
  chunk.range = session_.delete_range({part_->cursor, rows, lock_wait_ms, number, part_->until, work_.moving() ? window_ms(plan_) : 0});
  std::vector<std::int64_t> children;
  if (chunk.range.rows_deleted > 0) {
    for (std::size_t i = 0; i < plan_.dependents.size(); ++i) children.push_back(session_.delete_children(i));
  }
  std::vector<std::int64_t> deleted = children;
  deleted.insert(deleted.begin(), chunk.range.rows_deleted);
  std::vector<Frame> frames;
  if (frames_) frames = frames_->finish(deleted);
  deleted.resize(plan_.dependents.size() + 1);  // nothing was deleted from those that weren't asked
  lock.lock();
  if (work_.halted || work_.commit_sent) throw Halted{};
  std::vector<TableCount> tables = work_.report.tables;
  add_rows(tables[0], chunk.range.rows_deleted);
  for (std::size_t i = 0; i < children.size(); ++i) {
    chunk.children += children[i];
    add_rows(tables[i + 1], children[i]);
  }
  const std::int64_t all = chunk.range.rows_deleted + chunk.children;
  if (const std::int64_t allowed = work_.rows_allowed(); all > allowed) {
    lock.unlock();
    roll_back();
    if (rows <= 1 || allowed <= 0) throw Stop{"max_rows"};
    rows = std::clamp<std::int64_t>(rows / all * allowed + rows % all * allowed / all, 1, rows - 1);
    return false;
  }
  if (work_.fraction_limit >= 0 && tables[0].rows_deleted > work_.fraction_limit) {
    // Counted outside the chunk's transaction: nothing may hold its rows that long.
    lock.unlock();
    roll_back();
    refresh_fraction_limit();
    lock.lock();
    if (tables[0].rows_deleted > work_.fraction_limit) throw Stop{"max_fraction"};
    return false;
  }
  at_ledger_ = work_.several();
  if (work_.several() && keeper.enabled()) session_.fence(keeper.key(), keeper.epoch(), keeper.seq());
  at_ledger_ = false;
  if (FileArchive* files = keeper.files()) files->append(number, frames);
  keeper.checkpoint(session_, parts_after(chunk.range), all, tables, {number, part_->cursor, chunk.range.cursor, deleted, frames});
  work_.last_chunk = chunk;
  work_.last_part = part_;
  work_.tables_after_chunk = std::move(tables);
  work_.commit_sent = in_commit_ = true;
  session_.commit();
  work_.last_chunk.elapsed_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  committed(stepping_over);
  return true;
}

void Worker::committed(bool stepping_over) {
  const Lock lock(work_.mutex);
  in_commit_ = false;
  const ChunkResult chunk = work_.last_chunk;
  work_.account();
  if (chunk.visited() > 0 && chunk.elapsed_ms > 0 && suspect_.rows == 0 && !work_.moving()) sizer_.record(chunk.visited(), chunk.elapsed_ms);
  last_chunk_ms_ = chunk.elapsed_ms;
  last_chunk_rows_ = chunk.range.rows_deleted + chunk.children;
  suspect_.passed(chunk.visited(), stepping_over);
  work_.report_progress(chunk.elapsed_ms, sizer_.rows(), "");
}

std::vector<WalkPart> Worker::parts_after(const sdk::Deleted& range) const {
  std::vector<WalkPart> parts = work_.parts;
  WalkPart& mine = parts[static_cast<std::size_t>(part_ - work_.parts.data())];
  mine.cursor = range.cursor;
  mine.done = range.done;
  return parts;
}

// A row is in the way somewhere within the next rows. Small steps with short waits lead up to it; past it they grow again, and
// past the last suspect row everything is as before.
void Worker::Suspect::passed(std::int64_t visited, bool stepped_over) {
  if (rows == 0) return;
  rows = std::max<std::int64_t>(0, rows - std::max<std::int64_t>(1, visited));
  if (stepped_over) step = std::min<std::int64_t>(step * 10, rows);
  if (rows == 0) step = 0;
}

void Worker::add_rows(TableCount& table, std::int64_t rows) const {
  table.rows_deleted += rows;
  if (keeps_rows(plan_)) table.rows_archived += rows;  // the backend kept every one, or the chunk had failed
}

void Worker::count_retry() {
  const Lock lock(work_.mutex);
  ++work_.report.retries;
}

// What to do about an error that left the connection alive. Throws what can't be mended.
Worker::Verdict Worker::after_error(const sdk::Error& e) {
  count_retry();
  log().debug("policy {}: chunk rolled back: {}", work_.report.policy, e.message());
  if (work_.moving() && !may_repeat_move(e)) throw e;
  switch (e.code()) {
    case PK_FOREIGN_KEY:
    case PK_ARCHIVE_REFUSED:
    case PK_TRIGGER: return Verdict::skip_row;
    case PK_LOCK_TIMEOUT:
      if (at_ledger_ || work_.moving()) {
        // The database, the table or the ledger is locked, not a row.
        if (++begin_tries_ > most_begin_tries) {
          const Lock lock(work_.mutex);
          Blocked& b = work_.blocked_in_pass[{"lock", ""}];
          b.message = e.message();
          work_.gave_up = true;
          return Verdict::give_up;
        }
        wait(backoff_s(begin_tries_), at_ledger_ ? "database locked" : "table locked");
        return Verdict::again;
      }
      if (suspect_.rows > 0 || ++lock_tries_ > most_lock_tries) return Verdict::skip_row;
      wait(backoff_s(lock_tries_), "row locked");
      return Verdict::again;
    case PK_DEADLOCK:
    case PK_CANCELLED:  // not by us: an administrator cancelled the statement
    case PK_SERIALIZATION:
      if (++conflict_tries_ > most_conflict_tries) throw e;
      wait(backoff_s(conflict_tries_), "conflict with another transaction");
      return Verdict::again;
    case PK_STATEMENT_TIMEOUT: return Verdict::again;
    case PK_SERVER_RESOURCES:
      if (++resource_tries_ > most_resource_tries) throw e;
      wait(0.5 * resource_tries_, "server short of resources: " + e.message());
      return Verdict::again;
    default: throw e;
  }
}

void Worker::note_blocked(const sdk::Error& error) {
  const std::string reason = error.code() == PK_FOREIGN_KEY ? "foreign_key" : error.code() == PK_TRIGGER ? "trigger" : error.code() == PK_ARCHIVE_REFUSED ? "archive" : "lock";
  const Lock lock(work_.mutex);
  Blocked& b = work_.blocked_in_pass[{reason, error.constraint()}];
  ++b.rows;
  b.message = error.message();
}

// A connection lost while rolling back has rolled back too.
void Worker::roll_back() {
  try {
    session_.rollback();
  } catch (const sdk::Error& e) {
    if (!e.connection_lost()) throw;
    reconnect();
    committed_after_reconnect();
  }
}

void Worker::reconnect() {
  for (int tries = 1;; ++tries) {
    try {
      if (in_commit_) {
        // Whoever wants the run to end waits until the doubt about the last chunk is gone.
        std::this_thread::sleep_for(std::chrono::duration<double>(backoff_s(tries + 1)));
      } else {
        wait(backoff_s(tries + 1), "connection lost");
      }
      session_.connect(context_.connection);
      if (work_.keeper.enabled()) session_.ledger_find(parse_table_name(context_.options.ledger));
      const sdk::Table table = session_.describe({plan_.table.schema, plan_.table.name, true, true});
      if (!is_planned(table, plan_)) throw sdk::Error(PK_SCHEMA_CHANGED, "table " + work_.report.table + " changed while the connection was lost");
      try {
        lock_run();
      } catch (const sdk::Error& e) {
        // The old session may still hold it; the fence decides anyway.
        if (e.code() != PK_LOCK_TIMEOUT) throw;
      }
      prepare(prepared_now_ns_ != 0 ? prepared_now_ns_ : plan_.now_ns);
      context_.flight.note("reconnected", work_.report.policy, {{"tries", std::int64_t{tries}}});
      return;
    } catch (const sdk::Error& e) {
      context_.flight.error(work_.report.policy, "connecting again", e);
      const bool passing = e.connection_lost() || e.code() == PK_CONNECT_FAILED || e.code() == PK_SERVER_RESOURCES;
      if (!passing || tries >= (context_.control.stopping() ? most_reconnects_when_stopping : most_reconnects)) throw;
    }
  }
}

// Where several share the slot, it may have moved on by another's chunk: only a commit in doubt is asked about.
bool Worker::committed_after_reconnect() {
  for (int tries = 1;; ++tries) {
    try {
      if (!in_commit_ && (work_.several() || !work_.keeper.enabled())) return false;
      return work_.keeper.resolve(session_, resolve_wait_ms);
    } catch (const sdk::Error& e) {
      if (e.connection_lost() && tries < 4) {
        reconnect();
        continue;
      }
      if (e.code() != PK_LOCK_TIMEOUT || tries >= 3) throw;
      session_.rollback();
    }
  }
}

}  // namespace purgekit
