// What a rule and its negation select on SQLite, against the three-valued model: a row for which a rule is unknown matches neither.
#include "../../plugins/sqlite/dialect.hpp"

#include "gtest/gtest.h"
#include "purgekit/lower.hpp"
#include "purgekit/sdk/render.hpp"
#include "support/logic_model.hpp"
#include "support/memory_db.hpp"

namespace purgekit::test {
namespace {

template <class T>
Value or_null(const std::optional<T>& value) {
  if (!value) return Value::null();
  if constexpr (std::is_same_v<T, std::string>) {
    return Value::string(*value);
  } else {
    return Value::integer(*value);
  }
}

class World {
 public:
  explicit World(const ModelData& data) : data_(data) {
    db_.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, A INTEGER, S TEXT, T_MS INTEGER, LIFE_S INTEGER)");
    db_.execute("CREATE TABLE CHILD (T_ID INTEGER, A INTEGER)");
    for (const ModelRow& r : data.rows) {
      db_.execute("INSERT INTO T VALUES (?, ?, ?, ?, ?)", {Value::integer(r.id), or_null(r.a), or_null(r.s), or_null(r.t_ms), or_null(r.life_s)});
    }
    for (const ModelChild& c : data.children) db_.execute("INSERT INTO CHILD VALUES (?, ?)", {or_null(c.t_id), or_null(c.a)});
    table_.name = "T";
    table_.columns = {{"ID", "INTEGER", PK_COLUMN_INT, false}, {"A", "INTEGER", PK_COLUMN_INT, true}, {"S", "TEXT", PK_COLUMN_TEXT, true},
                      {"T_MS", "INTEGER", PK_COLUMN_INT, true}, {"LIFE_S", "INTEGER", PK_COLUMN_INT, true}};
    table_.key = {0};
    child_.name = "CHILD";
    child_.columns = {{"T_ID", "INTEGER", PK_COLUMN_INT, true}, {"A", "INTEGER", PK_COLUMN_INT, true}};
  }

  std::set<std::int64_t> selected(const Predicate& predicate) {
    const Zones zones;
    const LowerInput input{table_, data_.now_ns, data_.grace_ns, zones, [this](const std::string&) -> const sdk::Table& { return child_; }};
    const LoweredPredicate lowered = lower(predicate, input);
    const sqlite::SqliteDialect dialect;
    sdk::Sql sql(dialect);
    sql << "SELECT ID FROM T WHERE ";
    sdk::render_predicate(sql, lowered.view(), "T");
    return db_.ids(sql.text(), sql.params());
  }

 private:
  const ModelData& data_;
  MemoryDb db_;
  sdk::Table table_;
  sdk::Table child_;
};

TEST(Logic, RulesAndTheirNegationsMeanWhatTheModelSays) {
  std::size_t selected = 0;
  std::size_t unknown = 0;
  for (unsigned seed = 0; seed < 25; ++seed) {
    std::mt19937 random(seed);
    const ModelData data = random_data(random);
    World world(data);
    for (int i = 0; i < 60; ++i) {
      const Predicate rule = random_predicate(random, data, 3);
      std::set<std::int64_t> yes;
      std::set<std::int64_t> no;
      for (const ModelRow& row : data.rows) {
        const Truth truth = evaluate(rule, row, data);
        if (truth == Truth::yes) yes.insert(row.id);
        if (truth == Truth::no) no.insert(row.id);
        if (truth == Truth::unknown) ++unknown;
      }
      ASSERT_EQ(world.selected(rule), yes) << "seed " << seed << ": " << rule.to_text();
      ASSERT_EQ(world.selected(Predicate::negation(rule)), no) << "seed " << seed << ": NOT " << rule.to_text();
      selected += yes.size();
    }
  }
  EXPECT_GT(selected, 10'000u) << "rules that select nothing prove nothing";
  EXPECT_GT(unknown, 5'000u);
}

}  // namespace
}  // namespace purgekit::test
