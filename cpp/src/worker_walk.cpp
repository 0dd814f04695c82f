// Which walk a worker goes by, and what it counts beside it.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

#include "purgekit/log.hpp"
#include "purgekit/sdk/error.hpp"
#include "worker.hpp"

namespace purgekit {

// A walk that sees matching rows only would stay at a blocked one for ever: take one that visits every row. Such a walk is never
// cut, so no other worker is in it.
void Worker::take_other_walk() {
  if (!choose_walk(true)) {
    work_.gave_up = true;
    return;
  }
  log().info("policy {}: a row is blocked, walking on by {}", work_.report.policy, work_.walk.strategy);
  part_->cursor.clear();
  prepare(plan_.now_ns);
}

bool Worker::choose_walk(bool by_every_row) {
  const LoweredPredicate predicate = deletable(plan_.now_ns);
  const PurgeSpec spec(plan_.table, predicate.view(), "", plan_.dependents, plan_.archives);
  std::vector<sdk::Walk> walks = session_.propose(spec, plan_.rows_total, plan_.rows_purgeable);
  std::erase_if(walks, [&](const sdk::Walk& w) { return by_every_row ? !can_skip_rows(w) : w.strategy == "scan"; });
  if (walks.empty()) return false;
  work_.walk = *std::min_element(walks.begin(), walks.end(), [](const sdk::Walk& a, const sdk::Walk& b) { return a.cost < b.cost; });
  work_.keeper.other_walk(work_.walk.id);
  return true;
}

// The limit came from an estimate of the whole; it is made exact before it stops a run.
void Worker::refresh_fraction_limit() {
  const double fraction = effective_max_fraction(context_.options.max_fraction, plan_.policy);
  const std::int64_t rows = count(lower_all_rows());
  const Lock lock(work_.mutex);
  const std::int64_t total = rows + work_.report.rows_deleted();
  work_.fraction_limit = static_cast<std::int64_t>(fraction * static_cast<double>(total));
}

std::int64_t Worker::count(const LoweredPredicate& predicate) {
  const PurgeSpec spec(plan_.table, predicate.view(), work_.walk.id);
  for (int tries = 1;; ++tries) {
    try {
      return session_.count(spec);
    } catch (const sdk::Error& e) {
      if (context_.control.cancelled()) throw Stop{context_.control.reason()};
      if (tries > 3) throw;
      if (e.connection_lost()) {
        reconnect();
      } else if (!e.retryable()) {
        throw;
      }
    }
  }
}

}  // namespace purgekit
