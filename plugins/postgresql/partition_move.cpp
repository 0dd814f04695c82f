// Partitions that hold purgeable rows only, one a stroke.
#include <algorithm>
#include <chrono>
#include <utility>

#include "place.hpp"
#include "purgekit/sdk/error.hpp"
#include "stroke.hpp"

namespace purgekit::postgresql {
namespace {

using sdk::Deleted;
using sdk::Error;
using sdk::Range;
using sdk::Value;
using Clock = std::chrono::steady_clock;

class PartitionMove final : public Walk {
 public:
  PartitionMove(MoveContext context, const pk_predicate& predicate) : context_(std::move(context)), parts_(read_parts(context_.session, context_.table_oid)) {
    const std::string problem =
        parts_.is_partitioned ? move_problem(context_.session, context_.dialect.server_version(), context_.table, parts_, true, context_.user)
                              : "table " + context_.table.name + " has no partitions";
    if (!problem.empty()) throw Error(PK_NOT_SUPPORTED, problem);
    mark_past(context_.session, context_.table, predicate, parts_);
  }

  std::vector<std::string> statements() const override {
    const auto shown = std::find_if(parts_.leaves.begin(), parts_.leaves.end(), [](const Part& part) { return part.goes(); });
    if (shown == parts_.leaves.end() && parts_.leaves.empty()) return {};
    const Part& part = shown == parts_.leaves.end() ? parts_.leaves.front() : *shown;
    return {lock_text(part), census_sql(context_, context_.source(part.leaf)).text(), act_text(part)};
  }

  Deleted next(const Range& range) override {
    const std::int64_t behind = PartPlace::parse(range.cursor).value_or(PartPlace{}).leaf;
    for (const Part& part : parts_.leaves) {
      if (part.leaf.oid <= behind || nothing_in(part)) continue;
      // Most partitions that stay are known by their first rows, and nobody has to wait for that.
      if (has_survivor(context_, context_.source(part.leaf))) continue;
      const Census census = stroke(part, range);
      // Also when a row came that stays: the next partition is another transaction's, without this one's lock.
      return {census.survivors > 0 ? 0 : census.rows, census.rows, PartPlace{part.leaf.oid}.text(), part.leaf.oid == parts_.leaves.back().leaf.oid, share(part.leaf.oid)};
    }
    const std::int64_t last = parts_.leaves.empty() ? behind : std::max(behind, parts_.leaves.back().leaf.oid);
    return {0, 0, PartPlace{last}.text(), true, 1};
  }

 private:
  std::string name(const Part& part) const { return sdk::qualified(context_.dialect, part.leaf.schema, part.leaf.name); }
  std::string lock_text(const Part& part) const { return "LOCK TABLE ONLY " + name(part) + " IN SHARE MODE"; }
  // DROP waits for everybody who uses the parent, for a moment; rows that still belong into this partition could then go nowhere.
  std::string act_text(const Part& part) const { return part.goes() ? "DROP TABLE " + name(part) : truncate_text(part); }
  std::string truncate_text(const Part& part) const { return "TRUNCATE TABLE ONLY " + name(part); }

  // Dropped, detached or made another by somebody.
  bool gone(const Part& part) {
    return context_.session
        .query("SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = $1::oid AND c.relispartition AND pg_catalog.pg_get_expr(c.relpartbound, c.oid) = $2::text",
               {Value::integer(part.leaf.oid), Value::string(part.bound)})
        .empty();
  }

  // One that waits for its first rows is kept.
  bool nothing_in(const Part& part) {
    return gone(part) || context_.session.query("SELECT 1 FROM ONLY " + name(part) + " LIMIT 1", {}).empty();
  }

  // Writers into this one partition wait while it is read; all others only for the moment in which it goes.
  Census stroke(const Part& part, const Range& range) {
    Window window(context_.line, range.window_ms, "reading and removing partition " + name(part));
    context_.session.query(lock_text(part), {});
    window.open();
    if (gone(part)) return {};
    Census census;
    window.run([&] { census = take_census(context_, context_.source(part.leaf)); });
    if (census.rows == 0 || census.survivors > 0) return census;
    // Asked again under the lock: a trigger or publication may have come since the plan.
    const std::string problem = move_problem(context_.session, context_.dialect.server_version(), context_.table, parts_, true, context_.user);
    if (!problem.empty()) throw Error(PK_NOT_SUPPORTED, problem);
    take(part, range.lock_wait_ms, window);
    window.leave();
    return census;
  }

  // Somebody who waits to write into the partition may hold what DROP waits for: then this one steps back, and it never waits for as
  // long as the server lets pass before it looks for a deadlock and picks a victim.
  void take(const Part& part, std::uint32_t lock_wait_ms, Window& window) {
    const sdk::Rows patience = context_.session.query("SELECT pg_catalog.date_part('epoch', pg_catalog.current_setting('deadlock_timeout')::interval) * 500", {});
    const auto step_ms = std::clamp<std::int64_t>(static_cast<std::int64_t>(patience.at(0).at(0).f64), 1, std::max<std::int64_t>(lock_wait_ms, 1));
    const Clock::time_point end = Clock::now() + std::chrono::milliseconds(lock_wait_ms);
    std::string act = act_text(part);
    for (;;) {
      if (others_wait(part)) {
        throw Error(PK_LOCK_TIMEOUT, "others wait to write into partition " + name(part) + ", which was to go; it was left alone and can be tried again");
      }
      context_.line.mark_step();
      try {
        context_.line.set_lock_wait(static_cast<std::uint32_t>(step_ms));
        window.run([&] { context_.session.query(act, {}); });
        return;
      } catch (const Error& e) {
        const bool has_dependents = e.sqlstate() == "2BP01" && act != truncate_text(part);
        if (!has_dependents && (e.code() != PK_LOCK_TIMEOUT || Clock::now() >= end)) throw;
        context_.line.undo_step();
        if (has_dependents) act = truncate_text(part);
      }
    }
  }

  bool others_wait(const Part& part) {
    return !context_.session
                .query("SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND NOT l.granted AND l.relation = $1::oid AND l.database ="
                       " (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) LIMIT 1",
                       {Value::integer(part.leaf.oid)})
                .empty();
  }

  double share(std::int64_t oid) const {
    std::int64_t all = 0;
    std::int64_t done = 0;
    for (const Part& part : parts_.leaves) {
      all += part.leaf.pages;
      if (part.leaf.oid <= oid) done += part.leaf.pages;
    }
    return all == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all);
  }

  MoveContext context_;
  Parts parts_;
};

}  // namespace

std::unique_ptr<Walk> make_partition_move(MoveContext context, const pk_predicate& predicate) {
  return std::make_unique<PartitionMove>(std::move(context), predicate);
}

}  // namespace purgekit::postgresql
