#include "rehearsal.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/sdk/error.hpp"
#include "slot_keeper.hpp"

namespace purgekit {
namespace {

constexpr std::uint32_t lock_wait_ms = 200;  // a locked row is no reason to keep others waiting for a mere plan
constexpr std::int64_t most_rows = 100'000;

Rehearsal chunk(Session& session, const PolicyPlan& plan, const std::string& cursor, std::int64_t rows) {
  Rehearsal out;
  const std::optional<std::int64_t> logged = session.log_bytes();
  const auto start = std::chrono::steady_clock::now();
  session.begin("", 0, 0);
  try {
    const sdk::Deleted range = session.delete_range({cursor, rows, lock_wait_ms, 1, ""});
    out.rows_visited = std::max(range.rows_visited, range.rows_deleted);
    out.rows_deleted = range.rows_deleted;
    for (std::size_t i = 0; i < plan.dependents.size() && range.rows_deleted > 0; ++i) out.rows_of_dependents += session.delete_children(i);
    out.elapsed_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (const auto now = session.log_bytes(); now && logged && *now > *logged) out.log_bytes = *now - *logged;
  } catch (...) {
    try {
      session.rollback();
    } catch (const sdk::Error&) {
      // The connection is gone, and what it did with it.
    }
    throw;
  }
  session.rollback();
  return out;
}

/// A backend may keep limits for a session that purges until it is told that it is over.
class Purging {
 public:
  Purging(Session& session, std::string key) : session_(session), key_(std::move(key)) {}
  Purging(const Purging&) = delete;
  Purging& operator=(const Purging&) = delete;
  ~Purging() {
    try {
      session_.unlock_run(key_);
    } catch (const sdk::Error&) {
      // Not offered, or the connection is gone.
    }
  }

 private:
  Session& session_;
  std::string key_;
};

}  // namespace

Rehearsal rehearse(Session& session, const PolicyPlan& plan, const pk_predicate& predicate, double chunk_ms) {
  const Purging purging(session, slot_key(plan.table));
  session.prepare(PurgeSpec(plan.table, predicate, plan.walk.id, plan.dependents));
  std::string cursor;
  if (const std::vector<std::string> cuts = session.split(4); !cuts.empty()) cursor = cuts[cuts.size() / 2];
  const Rehearsal first = chunk(session, plan, cursor, plan.chunk_rows);
  if (first.rows_visited < plan.chunk_rows || first.elapsed_ms <= 0) return first;
  const double wanted = static_cast<double>(plan.chunk_rows) * chunk_ms / first.elapsed_ms;
  return chunk(session, plan, cursor, std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1, most_rows));
}

}  // namespace purgekit
