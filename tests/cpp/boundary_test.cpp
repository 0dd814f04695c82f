// The last row that goes and the first that stays, for each way to store a time, on SQLite.
#include "../../plugins/sqlite/dialect.hpp"

#include "gtest/gtest.h"
#include "purgekit/lower.hpp"
#include "purgekit/sdk/render.hpp"
#include "support/memory_db.hpp"

namespace purgekit::test {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t base_s = 1'800'000'000;

std::set<std::int64_t> matching(MemoryDb& db, const std::vector<sdk::Column>& columns, const Predicate& predicate, std::int64_t now_ns) {
  sdk::Table table;
  table.name = "T";
  table.columns = columns;
  const Zones zones;
  const LoweredPredicate lowered = lower(predicate, LowerInput{table, now_ns, 0, zones, {}});
  const sqlite::SqliteDialect dialect;
  sdk::Sql sql(dialect);
  sql << "SELECT ID FROM T WHERE ";
  sdk::render_predicate(sql, lowered.view(), "T");
  return db.ids(sql.text(), sql.params());
}

rule::Time time_of(const char* column, Unit unit) {
  rule::Time t;
  t.column = column;
  t.unit = unit;
  return t;
}

const std::vector<sdk::Column> int_column = {{"ID", "INTEGER", PK_COLUMN_INT, false}, {"V", "INTEGER", PK_COLUMN_INT, true}, {"LIFE", "INTEGER", PK_COLUMN_INT, true}};

class Boundary : public ::testing::TestWithParam<Unit> {};

TEST_P(Boundary, RowsOnItStayAndRowsANanosecondBeforeItGo) {
  const std::int64_t unit = unit_ns(GetParam());
  MemoryDb db;
  db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, V INTEGER, LIFE INTEGER)");
  const std::int64_t stored = base_s * (second / unit);
  for (std::int64_t i = -3; i <= 3; ++i) db.execute("INSERT INTO T VALUES (?, ?, 1)", {Value::integer(10 + i), Value::integer(stored + i)});
  const Predicate rule = Predicate::expired({time_of("V", GetParam())});
  for (const std::int64_t off : {std::int64_t{-unit - 1}, std::int64_t{-unit}, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, unit - 1, unit, unit + 1}) {
    std::set<std::int64_t> expected;
    for (std::int64_t i = -3; i <= 3; ++i) {
      if ((stored + i) * unit < stored * unit + off) expected.insert(10 + i);
    }
    EXPECT_EQ(matching(db, int_column, rule, stored * unit + off), expected) << off << " ns";
  }
}

TEST_P(Boundary, LifetimeColumnsAreAddedExactly) {
  const std::int64_t unit = unit_ns(GetParam());
  MemoryDb db;
  db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, V INTEGER, LIFE INTEGER)");
  const std::int64_t stored = base_s * (second / unit);
  const std::int64_t lives[] = {1, 2, 3'600, 86'400};
  for (std::int64_t i = 0; i < 4; ++i) db.execute("INSERT INTO T VALUES (?, ?, ?)", {Value::integer(i), Value::integer(stored), Value::integer(lives[i])});
  rule::Created created;
  created.time = time_of("V", GetParam());
  created.lifetime_column = "LIFE";
  created.lifetime_unit = Unit::seconds;
  for (const std::int64_t life : lives) {
    for (const std::int64_t off : {-1, 0, 1}) {
      std::set<std::int64_t> expected;
      for (std::int64_t i = 0; i < 4; ++i) {
        if (lives[i] * second < life * second + off) expected.insert(i);
      }
      EXPECT_EQ(matching(db, int_column, Predicate::created(created), base_s * second + life * second + off), expected) << life << " s, " << off << " ns";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Units, Boundary, ::testing::Values(Unit::seconds, Unit::milliseconds, Unit::microseconds, Unit::nanoseconds),
                         [](const auto& info) { return std::string(unit_text(info.param)); });

TEST(Boundary, NullZeroAndNegativeNeverExpireUnlessAskedFor) {
  MemoryDb db;
  db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, V INTEGER, LIFE INTEGER)");
  db.execute("INSERT INTO T VALUES (1, NULL, 1), (2, 0, 1), (3, -5, 1), (4, 1, 1), (5, 1, NULL), (6, 1, 0), (7, 1, -1)");
  rule::Time time = time_of("V", Unit::seconds);
  EXPECT_EQ(matching(db, int_column, Predicate::expired({time}), base_s * second), (std::set<std::int64_t>{4, 5, 6, 7}));
  EXPECT_EQ(matching(db, int_column, Predicate::negation(Predicate::expired({time})), base_s * second), std::set<std::int64_t>{});
  rule::Created created;
  created.time = time;
  created.lifetime_column = "LIFE";
  EXPECT_EQ(matching(db, int_column, Predicate::created(created), base_s * second), std::set<std::int64_t>{4});
  created.purge_never = true;
  EXPECT_EQ(matching(db, int_column, Predicate::created(created), base_s * second), (std::set<std::int64_t>{4, 5, 6, 7}));
  time.purge_null = true;
  EXPECT_EQ(matching(db, int_column, Predicate::expired({time}), base_s * second), (std::set<std::int64_t>{1, 2, 3, 4, 5, 6, 7}));
}

TEST(Boundary, LifetimesThatRunOutOfRangeNeverExpire) {
  MemoryDb db;
  db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, V INTEGER, LIFE INTEGER)");
  db.execute("INSERT INTO T VALUES (1, 1, 9223372036854775807), (2, 1, 9223372036854), (3, 1, 5)");
  rule::Created created;
  created.time = time_of("V", Unit::seconds);
  created.lifetime_column = "LIFE";
  EXPECT_EQ(matching(db, int_column, Predicate::created(created), base_s * second), std::set<std::int64_t>{3});
}

TEST(Boundary, TextIsReadAsIso8601) {
  MemoryDb db;
  db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, V TEXT)");
  const std::vector<sdk::Column> columns = {{"ID", "INTEGER", PK_COLUMN_INT, false}, {"V", "TEXT", PK_COLUMN_TEXT, true}};
  // The cutoff is 2027-01-15T08:00:00Z.
  const char* before[] = {"2027-01-15T07:59:59.999999999Z", "2027-01-15 07:59:59", "2027-01-15T09:59:59+02:00", "2027-01-14", "1999-01-01T00:00:00"};
  const char* not_before[] = {"2027-01-15T08:00:00Z", "2027-01-15T10:00:00+02:00", "2027-01-15 08:00:00.000000001", "2027-01-16", "2200-01-01"};
  const char* unreadable[] = {"", "tomorrow", "2027-02-30", "2027-01-15T25:00:00", "15.01.2027"};
  std::set<std::int64_t> goes;
  std::set<std::int64_t> stays;
  std::int64_t id = 0;
  for (const char* text : before) {
    db.execute("INSERT INTO T VALUES (?, ?)", {Value::integer(++id), Value::string(text)});
    goes.insert(id);
  }
  for (const char* text : not_before) {
    db.execute("INSERT INTO T VALUES (?, ?)", {Value::integer(++id), Value::string(text)});
    stays.insert(id);
  }
  for (const char* text : unreadable) db.execute("INSERT INTO T VALUES (?, ?)", {Value::integer(++id), Value::string(text)});
  db.execute("INSERT INTO T VALUES (?, NULL)", {Value::integer(++id)});
  const Predicate rule = Predicate::expired({time_of("V", Unit::timestamp)});
  EXPECT_EQ(matching(db, columns, rule, base_s * second), goes);
  EXPECT_EQ(matching(db, columns, Predicate::negation(rule), base_s * second), stays) << "text that can't be read matches neither";
}

}  // namespace
}  // namespace purgekit::test
