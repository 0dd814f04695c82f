// A table of which no row stays.
#include <utility>

#include "purgekit/sdk/error.hpp"
#include "stroke.hpp"

namespace purgekit::postgresql {
namespace {

using sdk::Deleted;
using sdk::Error;
using sdk::Range;

class TruncateMove final : public Walk {
 public:
  explicit TruncateMove(MoveContext context) : context_(std::move(context)) { check(); }

  std::vector<std::string> statements() const override { return {lock_text(), census_sql(context_, source()).text(), truncate_text()}; }

  Deleted next(const Range& range) override {
    // What could be deleted beside rows that stay is not this move's.
    Deleted nothing{0, 0, "truncated", true, 1};
    if (has_survivor(context_, source())) return nothing;
    Window window(context_.line, range.window_ms, "reading and truncating table " + context_.table.name);
    context_.session.query(lock_text(), {});
    window.open();
    Census census;
    window.run([&] { census = take_census(context_, source()); });
    if (census.survivors > 0) return nothing;
    // Asked again under the lock: a trigger or publication may have come since the plan.
    check();
    if (census.rows > 0) window.run([&] { context_.session.query(truncate_text(), {}); });
    window.leave();
    return {census.rows, census.rows, "truncated", true, 1};
  }

 private:
  std::string source() const { return context_.whole() + " AS " + context_.dialect.quote(context_.table.name); }
  std::string lock_text() const { return "LOCK TABLE " + context_.whole() + " IN ACCESS EXCLUSIVE MODE"; }
  std::string truncate_text() const { return "TRUNCATE TABLE " + context_.whole(); }

  void check() {
    const Parts parts = read_parts(context_.session, context_.table_oid);
    const std::string problem = move_problem(context_.session, context_.dialect.server_version(), context_.table, parts, false, context_.user);
    if (!problem.empty()) throw Error(PK_NOT_SUPPORTED, problem);
  }

  MoveContext context_;
};

}  // namespace

std::unique_ptr<Walk> make_truncate_move(MoveContext context) { return std::make_unique<TruncateMove>(std::move(context)); }

}  // namespace purgekit::postgresql
