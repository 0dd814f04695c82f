// Rules that fit a table become SQL: SQLite's own parser takes it, and no value is part of any text.
#include <algorithm>

#include "../../plugins/mysql/dialect.hpp"
#include "../../plugins/postgresql/dialect.hpp"
#include "../../plugins/sqlite/dialect.hpp"
#include "../cpp/support/memory_db.hpp"
#include "fuzz.hpp"
#include "purgekit/sdk/render.hpp"
#include "tables.hpp"

namespace purgekit::fuzz {
namespace {

using sdk::Dialect;
using sdk::Sql;

Sql rendered(const Dialect& dialect, const pk_predicate& predicate) {
  Sql sql(dialect);
  sql << "SELECT \"ID\" FROM \"T\" WHERE ";
  sdk::render_predicate(sql, predicate, "T");
  return sql;
}

bool is_trusted(const pk_predicate& predicate) {
  return std::any_of(predicate.nodes, predicate.nodes + predicate.node_count, [](const pk_node& n) { return n.kind == PK_NODE_SQL; });
}

/// The same predicate about other values and another instant.
class Changed {
 public:
  explicit Changed(const pk_predicate& from) : view_(from), nodes_(from.nodes, from.nodes + from.node_count), values_(from.values, from.values + from.value_count) {
    constexpr std::int64_t day_ns = 86'400'000'000'000;
    for (pk_node& node : nodes_) {
      if (node.kind != PK_NODE_TIME) continue;
      node.cutoff_ns -= day_ns;
      node.wall_cutoff_ns -= day_ns;
    }
    for (pk_value& value : values_) {
      value.i64 ^= 0x155;
      value.f64 = value.f64 / 2 + 1;
      value.text = sdk::to_text(other_text);
    }
    view_.nodes = nodes_.data();
    view_.values = values_.data();
  }
  const pk_predicate& view() const { return view_; }

 private:
  static constexpr std::string_view other_text = "1";
  pk_predicate view_;
  std::vector<pk_node> nodes_;
  std::vector<pk_value> values_;
};

void check_sqlite(const Sql& sql) {
  static test::MemoryDb* const db = [] {
    auto* made = new test::MemoryDb;
    for (const char* name : {"T", "CHILD"}) {
      std::string columns;
      for (const sdk::Column& column : table_named(name).columns) {
        columns += (columns.empty() ? "" : ", ") + sqlite::SqliteDialect().quote(column.name);
      }
      made->execute(std::string("CREATE TABLE ") + name + " (" + columns + ")");
      made->execute(std::string("INSERT INTO ") + name + " (ID, I, S, TS) VALUES (1, 5, '2026-01-01', '2026-01-01T00:00:00Z'), (2, -1, 'x', NULL), (3, 1e300, x'00', 7)");
    }
    return made;
  }();
  db->ids(sql.text(), sql.params());
}

void check(const LoweredPredicate& lowered) {
  const pk_predicate view = lowered.view();
  static const postgresql::PgDialect* const postgresql = [] {
    auto* made = new postgresql::PgDialect;
    made->learn(150000, "Europe/Berlin");
    return made;
  }();
  static const mysql::MysqlDialect* const mysql = [] {
    auto* made = new mysql::MysqlDialect;
    made->learn(true, true);
    return made;
  }();
  static const sqlite::SqliteDialect sqlite;
  static const Dialect standard;
  for (const Dialect* dialect : {static_cast<const Dialect*>(&sqlite), static_cast<const Dialect*>(postgresql), static_cast<const Dialect*>(mysql), &standard}) {
    const auto sql = accepted([&] { return rendered(*dialect, view); });
    if (!sql) continue;
    const Sql other = rendered(*dialect, Changed(view).view());
    expect(other.text() == sql->text(), "the text is the same whatever the values are", sql->text());
    expect(other.params().size() == sql->params().size(), "as many parameters", sql->text());
    // What an operator wrote as SQL is trusted, and may be wrong.
    if (dialect == &sqlite && !is_trusted(view)) check_sqlite(*sql);
  }
}

void run(std::string_view text) {
  static const World world;
  const auto rule = accepted([&] { return Predicate::from_json(text); });
  if (!rule) return;
  if (const auto lowered = accepted([&] { return lower(*rule, world.input); })) check(*lowered);
  if (const auto lowered = accepted([&] { return lower(Predicate::negation(*rule), world.input); })) check(*lowered);
  const sdk::Reference reference{"fk", "", "CHILD", {"ID"}, {"ID"}, PK_FK_RESTRICT, true, true};
  if (const auto lowered = accepted([&] { return lower_guarded(*rule, world.input, {reference}); })) check(*lowered);
  if (const auto uses = accepted([&] { return time_uses(*rule, world.input); })) {
    for (const TimeUse& use : *uses) expect(world.t.find(use.column) != nullptr, "times are read from columns there are", use.column);
  }
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_TEXT(purgekit::fuzz::run)
