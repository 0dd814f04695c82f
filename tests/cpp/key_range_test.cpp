// Row constructors and the ladder of ORs must select the same rows, and both must agree with tuple comparison.
#include "purgekit/sdk/key_range.hpp"

#include <tuple>

#include "gtest/gtest.h"
#include "support/memory_db.hpp"

namespace purgekit::sdk {
namespace {

class Ladder : public Dialect {};
class RowValues : public Dialect {
 public:
  bool has_row_ranges() const override { return true; }
};

const std::vector<KeyColumn> three = {{"\"A\"", PK_COLUMN_INT}, {"\"B\"", PK_COLUMN_TEXT}, {"\"C\"", PK_COLUMN_INT}};

std::string bound(const Dialect& dialect, const std::vector<KeyColumn>& key, const char* op) {
  Sql sql(dialect);
  add_bound(sql, key, op, 0);
  return sql.text();
}

TEST(KeyRange, SqlOfABound) {
  const std::vector<KeyColumn> one = {three[0]};
  const std::vector<KeyColumn> two = {three[0], three[1]};
  EXPECT_EQ(bound(Ladder(), one, ">"), R"("A" > ?)");
  EXPECT_EQ(bound(Ladder(), one, "<="), R"("A" <= ?)");
  EXPECT_EQ(bound(RowValues(), two, ">"), R"(("A", "B") > (?, ?))");
  EXPECT_EQ(bound(Ladder(), two, ">"), R"("A" >= ? AND ("A" > ? OR ("A" = ? AND "B" > ?)))");
  EXPECT_EQ(bound(Ladder(), two, "<="), R"("A" <= ? AND ("A" < ? OR ("A" = ? AND "B" <= ?)))");
  EXPECT_EQ(column_list(two), R"("A", "B")");
  EXPECT_EQ(order_by(two, true), R"("A" DESC, "B" DESC)");
}

class Range : public ::testing::Test {
 protected:
  Range() {
    db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, A INTEGER, B TEXT, C INTEGER)");
    std::int64_t id = 0;
    for (std::int64_t a = 0; a < 4; ++a) {
      for (const char* b : {"", "k", "z"}) {
        for (std::int64_t c = -1; c < 3; ++c) {
          db.execute("INSERT INTO T VALUES (?, ?, ?, ?)", {Value::integer(++id), Value::integer(a), Value::string(b), Value::integer(c)});
          rows.emplace_back(id, std::tuple(a, std::string(b), c));
        }
      }
    }
  }

  std::set<std::int64_t> selected(const Dialect& dialect, const Row& after, const Row& until) {
    Sql sql(dialect);
    sql << "SELECT ID FROM T WHERE ";
    add_bound(sql, three, ">", 0);
    sql << " AND ";
    add_bound(sql, three, "<=", 3);
    Row slots = after;
    slots.insert(slots.end(), until.begin(), until.end());
    return db.ids(sql.text(), sql.params(slots));
  }

  test::MemoryDb db;
  std::vector<std::pair<std::int64_t, std::tuple<std::int64_t, std::string, std::int64_t>>> rows;
};

TEST_F(Range, BothFormsSelectTheSameRows) {
  for (std::size_t i = 0; i < rows.size(); i += 5) {
    for (std::size_t j = i; j < rows.size(); j += 3) {
      const auto& [a1, b1, c1] = rows[i].second;
      const auto& [a2, b2, c2] = rows[j].second;
      const Row after = {Value::integer(a1), Value::string(b1), Value::integer(c1)};
      const Row until = {Value::integer(a2), Value::string(b2), Value::integer(c2)};
      std::set<std::int64_t> expected;
      for (const auto& [id, key] : rows) {
        if (key > rows[i].second && key <= rows[j].second) expected.insert(id);
      }
      ASSERT_EQ(selected(Ladder(), after, until), expected);
      ASSERT_EQ(selected(RowValues(), after, until), expected);
    }
  }
}

}  // namespace
}  // namespace purgekit::sdk
