#include "purgekit/sdk/dialect.hpp"

#include "purgekit/sdk/render.hpp"
#include "support/expect_error.hpp"

namespace purgekit::sdk {
namespace {

class Numbered final : public Dialect {
 public:
  std::string placeholder(std::size_t index) const override { return "$" + std::to_string(index); }
  std::string typed(std::string placeholder, std::uint32_t kind, pk_value_kind) const override {
    return kind == PK_COLUMN_INT ? placeholder + "::bigint" : placeholder;
  }
};

class Backticks final : public Dialect {
 public:
  std::string quote(std::string_view identifier) const override { return quote_with(identifier, '`'); }
};

pk_node epoch(pk_storage storage, std::int64_t unit_ns, std::int64_t cutoff_ns) {
  pk_node n{};
  n.kind = PK_NODE_TIME;
  n.storage = storage;
  n.unit_ns = unit_ns;
  n.cutoff_ns = cutoff_ns;
  return n;
}

Value constant_of(const pk_node& node) {
  const Dialect dialect;
  Sql sql(dialect);
  dialect.time_before(sql, "\"T\"", node, false);
  EXPECT_EQ(sql.text(), "\"T\" < ?");
  return sql.params().at(0);
}

TEST(Dialect, QuotesDoubleTheirMark) {
  EXPECT_EQ(Dialect().quote("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(Backticks().quote("a`b\"c"), "`a``b\"c`");
  EXPECT_EQ(qualified(Dialect(), "", "T"), "\"T\"");
  EXPECT_EQ(qualified(Backticks(), "s.x", "T"), "`s.x`.`T`");
  EXPECT_HAS(message_of([] { (void)Dialect().quote(std::string_view("a\0b", 3)); }), "NUL");
}

TEST(Sql, NumbersItsPlaceholdersAndKeepsValuesOutOfTheText) {
  const Numbered dialect;
  Sql sql(dialect);
  sql << "a = ";
  sql.bind(Value::string("x'; DROP TABLE t")) << " AND b > ";
  sql.slot(1, PK_COLUMN_INT) << " AND c = ";
  sql.bind(Value::integer(7), PK_COLUMN_INT) << " AND d = ";
  sql.slot(0);
  EXPECT_EQ(sql.text(), "a = $1 AND b > $2::bigint AND c = $3::bigint AND d = $4");
  const auto params = sql.params({Value::integer(10), Value::integer(20)});
  EXPECT_EQ(params, (std::vector<Value>{Value::string("x'; DROP TABLE t"), Value::integer(20), Value::integer(7), Value::integer(10)}));
  EXPECT_THROW((void)sql.params({Value::integer(10)}), std::out_of_range);
  EXPECT_EQ(sql.with_text("other").params({Value::null(), Value::null()}).size(), 4u);
}

TEST(Dialect, WholeNumbersAreComparedWithTheNextWholeUnit) {
  const std::int64_t ms = 1'000'000;
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_INT, ms, 5 * ms)), Value::integer(5));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_INT, ms, 5 * ms + 1)), Value::integer(6));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_INT, ms, 5 * ms - 1)), Value::integer(5));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_INT, ms, -1)), Value::integer(0));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_INT, ms, -ms)), Value::integer(-1));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_INT, 1, INT64_MAX)), Value::integer(INT64_MAX));
  // For every stored number near the cutoff: below the constant exactly when its instant is before the cutoff.
  for (const std::int64_t unit : {std::int64_t{1}, std::int64_t{1'000}, ms, 1'000 * ms}) {
    for (std::int64_t cutoff = -3; cutoff <= 3; ++cutoff) {
      const std::int64_t exact = 1'700'000'000 * unit + cutoff;
      const std::int64_t constant = constant_of(epoch(PK_STORED_EPOCH_INT, unit, exact)).i64;
      for (std::int64_t stored = 1'700'000'000 - 5; stored <= 1'700'000'000 + 5; ++stored) EXPECT_EQ(stored < constant, stored * unit < exact);
    }
  }
}

TEST(Dialect, NumbersWithAFractionAreComparedExactly) {
  const std::int64_t second = 1'000'000'000;
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_DECIMAL, second, 5 * second)), Value::integer(5));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_DECIMAL, second, 5 * second + 1)), Value::decimal("5.000000001"));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_DECIMAL, second, 5 * second + 120'000'000)), Value::decimal("5.120000000"));
  EXPECT_EQ(constant_of(epoch(PK_STORED_EPOCH_DECIMAL, 1'000'000, 5'000'007)), Value::decimal("5.000007"));
}

TEST(Dialect, TimesAreRoundedUpToWhatTheDatabaseKeeps) {
  EXPECT_EQ(constant_of(epoch(PK_STORED_UNZONED, 0, 0)).text, "1970-01-01 00:00:00.000000");
  pk_node zoned = epoch(PK_STORED_ZONED, 0, 1'000'000'001);
  EXPECT_EQ(constant_of(zoned).text, "1970-01-01 00:00:01.000001+00:00");
  pk_node wall = epoch(PK_STORED_UNZONED, 0, 0);
  wall.wall_cutoff_ns = 3'600'000'000'000;
  EXPECT_EQ(constant_of(wall).text, "1970-01-01 01:00:00.000000") << "a wall clock is compared with the cutoff as a wall clock";
}

TEST(Dialect, RefusesWhatItDoesNotOffer) {
  const Dialect dialect;
  Sql sql(dialect);
  EXPECT_EQ(code_of([&] { dialect.time_before(sql, "T", epoch(PK_STORED_TEXT, 0, 0), false); }), "not_supported");
  EXPECT_EQ(code_of([&] { dialect.time_before(sql, "T", epoch(PK_STORED_ZONED_WALL, 0, 0), false); }), "not_supported");
  EXPECT_EQ(code_of([&] { dialect.age_ns(sql, "T", epoch(PK_STORED_UNZONED, 0, 0)); }), "not_supported");
}

TEST(Dialect, ZoneOffsetsAreACaseOverWallClocks) {
  const Dialect dialect;
  Sql sql(dialect);
  pk_node n = epoch(PK_STORED_UNZONED, 0, 0);
  n.zone_step_count = 2;
  const pk_zone_step steps[] = {{INT64_MIN, 3'600'000'000'000}, {0, 7'200'000'000'000}};
  dialect.zone_offset(sql, "W", n, steps);
  EXPECT_EQ(sql.text(), " + CASE WHEN W >= ? THEN 7200000000000 ELSE 3600000000000 END");
  Sql single(dialect);
  n.zone_step_count = 1;
  const pk_zone_step west[] = {{INT64_MIN, -3'600'000'000'000}};
  dialect.zone_offset(single, "W", n, west);
  EXPECT_EQ(single.text(), " + (-3600000000000)");
}

}  // namespace
}  // namespace purgekit::sdk
