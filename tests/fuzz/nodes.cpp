// Predicates as they cross the plugin line, from a host that is wrong: the renderer refuses or renders, and reads nothing that
// the struct does not hold.
#include <deque>

#include "../../plugins/mysql/dialect.hpp"
#include "../../plugins/postgresql/dialect.hpp"
#include "../../plugins/sqlite/dialect.hpp"
#include "fuzz.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::fuzz {
namespace {

/// Arrays of exactly their size on the heap, so that reading beyond them is seen.
class Drawn {
 public:
  explicit Drawn(FuzzedDataProvider& in) {
    const auto count = [&] { return in.ConsumeIntegralInRange<std::size_t>(0, 6); };
    const std::size_t nodes = count();
    for (std::size_t n = count(); n > 0; --n) values_.push_back(value(in));
    for (std::size_t n = count(); n > 0; --n) joins_.push_back({text(in), text(in), in.ConsumeIntegralInRange<std::uint32_t>(0, 7), 0});
    for (std::size_t n = count(); n > 0; --n) names_.push_back(text(in));
    for (std::size_t n = count(); n > 0; --n) steps_.push_back({in.ConsumeIntegral<std::int64_t>(), in.ConsumeIntegral<std::int64_t>()});
    for (std::size_t n = 0; n < nodes; ++n) nodes_.push_back(node(in));
    for (auto* list : {&values_}) list->shrink_to_fit();
    joins_.shrink_to_fit();
    names_.shrink_to_fit();
    steps_.shrink_to_fit();
    nodes_.shrink_to_fit();
    view_ = {sizeof(pk_node), nodes_.data(), nodes_.size(), index(in), 0,             values_.data(), values_.size(),
             joins_.data(),   joins_.size(), names_.data(), names_.size(), steps_.data(), steps_.size()};
    if (in.ConsumeIntegralInRange<int>(0, 20) == 0) view_.node_size = in.ConsumeIntegralInRange<std::size_t>(0, sizeof(pk_node) - 1);
  }
  const pk_predicate& view() const { return view_; }

 private:
  static std::uint32_t index(FuzzedDataProvider& in) {
    return in.ConsumeIntegralInRange<int>(0, 20) == 0 ? in.ConsumeIntegral<std::uint32_t>() : in.ConsumeIntegralInRange<std::uint32_t>(0, 6);
  }
  pk_text text(FuzzedDataProvider& in) { return sdk::to_text(texts_.emplace_back(in.ConsumeRandomLengthString(12))); }
  pk_value value(FuzzedDataProvider& in) {
    return {in.ConsumeIntegralInRange<std::uint32_t>(0, 11), 0, in.ConsumeIntegral<std::int64_t>(), in.ConsumeFloatingPoint<double>(), text(in)};
  }
  pk_node node(FuzzedDataProvider& in) {
    pk_node n{};
    n.kind = in.ConsumeIntegralInRange<std::uint32_t>(0, 13);
    n.flags = in.ConsumeIntegralInRange<std::uint32_t>(0, 7);
    n.column = text(in);
    n.column_kind = in.ConsumeIntegralInRange<std::uint32_t>(0, 16);
    n.op = in.ConsumeIntegralInRange<std::uint32_t>(0, 7);
    n.storage = in.ConsumeIntegralInRange<std::uint32_t>(0, 7);
    if (in.ConsumeBool()) n.lifetime_column = text(in);
    n.lifetime_kind = n.column_kind;
    static constexpr std::int64_t units[] = {0, 1, 1'000, 1'000'000, 1'000'000'000, -1};
    n.unit_ns = in.PickValueInArray(units);
    n.lifetime_unit_ns = in.PickValueInArray(units);
    n.cutoff_ns = in.ConsumeIntegral<std::int64_t>();
    n.wall_cutoff_ns = in.ConsumeIntegral<std::int64_t>();
    n.count = in.ConsumeIntegral<std::int64_t>();
    n.sql = text(in);
    n.other_schema = text(in);
    n.other_table = text(in);
    for (std::uint32_t* field : {&n.first_child, &n.child_count, &n.first_value, &n.value_count, &n.first_join, &n.join_count, &n.first_name, &n.name_count,
                                 &n.first_tie, &n.tie_count, &n.first_zone_step, &n.zone_step_count}) {
      *field = index(in);
    }
    return n;
  }

  std::deque<std::string> texts_;
  std::vector<pk_value> values_;
  std::vector<pk_join> joins_;
  std::vector<pk_text> names_;
  std::vector<pk_zone_step> steps_;
  std::vector<pk_node> nodes_;
  pk_predicate view_{};
};

void run(FuzzedDataProvider& in) {
  const Drawn drawn(in);
  static const postgresql::PgDialect postgresql;
  static const mysql::MysqlDialect mysql;
  static const sqlite::SqliteDialect sqlite;
  for (const sdk::Dialect* dialect : {static_cast<const sdk::Dialect*>(&postgresql), static_cast<const sdk::Dialect*>(&mysql), static_cast<const sdk::Dialect*>(&sqlite)}) {
    accepted([&] {
      sdk::Sql sql(*dialect);
      sdk::render_predicate(sql, drawn.view(), "T");
      expect(sql.params().size() < 1'000'000, "rendering ends");
      return sdk::reads_table(drawn.view(), "", "T");
    });
  }
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_DATA(purgekit::fuzz::run)
