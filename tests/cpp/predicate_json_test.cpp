#include <random>
#include <set>

#include "json.hpp"
#include "purgekit/predicate.hpp"
#include "support/expect_error.hpp"

namespace purgekit {
namespace {

std::string json_refusal(const char* json) {
  return message_of([&] { Predicate::from_json(json); });
}

/// A tree of every kind of rule, the same for the same seed.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  Predicate predicate(int depth) {
    switch (pick(depth > 0 ? 11 : 8)) {
      case 0: return Predicate::compare(column(), static_cast<pk_op>(1 + pick(6)), value());
      case 1: {
        std::vector<Value> values;
        for (int i = 0; i <= pick(3); ++i) values.push_back(value());
        return Predicate::in(column(), std::move(values));
      }
      case 2: return Predicate::is_null(column());
      case 3: return Predicate::expired({time()});
      case 4: return Predicate::created(created());
      case 5: {
        rule::ReferencedBy r{"T" + std::to_string(pick(3)), {{column(), PK_EQ, column()}}, nullptr};
        if (pick(2) == 0) r.on.push_back({column(), PK_NE, column()});
        if (depth > 0 && pick(2) == 0) r.where = std::make_shared<const Predicate>(predicate(depth - 1));
        return Predicate::referenced_by(std::move(r));
      }
      case 6: return Predicate::keep_latest({1 + pick(5), pick(2) == 0 ? std::vector<std::string>{} : std::vector<std::string>{column(), column()}, column()});
      case 7: return Predicate::sql({"X = :p", {{"p", value()}}});
      case 8: return Predicate::negation(predicate(depth - 1));
      case 9: return Predicate::all_of({predicate(depth - 1), predicate(depth - 1)});
      default: return Predicate::any_of({predicate(depth - 1), predicate(depth - 1), predicate(depth - 1)});
    }
  }

 private:
  int pick(int choices) { return std::uniform_int_distribution<int>(0, choices - 1)(random_); }
  std::string column() { return "C" + std::to_string(pick(5)); }

  Value value() {
    switch (pick(8)) {
      case 0: return Value::integer(pick(1'000) - 500);
      case 1: return Value::unsigned_integer(~0ull - static_cast<unsigned>(pick(9)));
      case 2: return Value::real(pick(1'000) / 7.0);
      case 3: return Value::decimal("1234567890123456789." + std::to_string(pick(100)));
      case 4: return Value::string("text \"" + std::to_string(pick(9)) + "\" \xc3\xa4");
      case 5: return Value::bytes(std::string("\0\xff", 2) + std::to_string(pick(9)));
      case 6: return Value::boolean(pick(2) == 0);
      default: return pick(2) == 0 ? Value::instant(pick(1'000'000) * 1'000'001LL) : Value::wall(-pick(1'000'000) * 1'000'001LL);
    }
  }

  rule::Time time() {
    rule::Time t;
    t.column = column();
    t.unit = static_cast<Unit>(pick(5));
    if (pick(2) == 0) t.grace_ns = pick(100) * 1'000'000'007LL;
    t.purge_null = pick(4) == 0;
    if (t.unit == Unit::timestamp && pick(2) == 0) t.timezone = "Europe/Berlin";
    if (t.unit == Unit::timestamp && pick(4) == 0) t.stored_wall = true;
    return t;
  }

  rule::Created created() {
    rule::Created r;
    r.time = time();
    if (pick(2) == 0) {
      r.lifetime_ns = pick(1'000) * 3'600'000'000'000LL;
    } else {
      r.lifetime_column = column();
      r.lifetime_unit = static_cast<Unit>(pick(4));
      r.purge_never = pick(2) == 0;
    }
    return r;
  }

  std::mt19937 random_;
};

TEST(PredicateJson, EveryTreeComesBackEqual) {
  std::set<std::string> seen;
  for (unsigned seed = 0; seed < 2'000; ++seed) {
    const Predicate original = Generator(seed).predicate(3);
    const std::string json = original.to_json();
    const Predicate back = Predicate::from_json(json);
    ASSERT_EQ(back, original) << json;
    ASSERT_EQ(back.to_json(), json);
    seen.insert(json);
  }
  EXPECT_GT(seen.size(), 1'000u);
}

TEST(PredicateJson, EqualTreesGiveEqualText) {
  for (unsigned seed = 0; seed < 300; ++seed) EXPECT_EQ(Generator(seed).predicate(3).to_json(), Generator(seed).predicate(3).to_json());
  EXPECT_EQ(Predicate::from_json(R"({ "column": "A", "value": 1, "op": "=" })").to_json(), Predicate::from_json(R"({"op":"==","column":"A","value":1})").to_json());
}

TEST(PredicateJson, IsCanonical) {
  rule::Expired r;
  r.time.column = "EXPIRY";
  r.time.unit = Unit::nanoseconds;
  r.time.grace_ns = 5'400'000'000'000;
  EXPECT_EQ(Predicate::expired(r).to_json(), R"({"expired":{"column":"EXPIRY","grace":"1h30m","unit":"ns"}})");
  EXPECT_EQ(Predicate::negation(Predicate::is_null("A")).to_json(), R"({"not":{"column":"A","null":true}})");
}

TEST(PredicateJson, NullFalseIsNotNull) { EXPECT_EQ(Predicate::from_json(R"({"column":"A","null":false})"), Predicate::negation(Predicate::is_null("A"))); }

TEST(PredicateJson, NamesTheNearestRightWord) {
  EXPECT_HAS(json_refusal(R"({"expird":{"column":"A","unit":"s"}})"), "did you mean expired?");
  EXPECT_HAS(json_refusal(R"({"expired":{"colum":"A","unit":"s"}})"), "did you mean column?");
  EXPECT_HAS(json_refusal(R"({"created":{"column":"A","unit":"s","lifetme":"1d"}})"), "did you mean lifetime?");
  EXPECT_HAS(json_refusal(R"({"expired":{"column":"A","unit":"millis"}})"), "did you mean ms?");
  EXPECT_HAS(json_refusal(R"({"keep_latest":{"n":1,"orderby":"A"}})"), "did you mean order_by?");
  EXPECT_HAS(json_refusal(R"({"referenced_by":{"tabel":"A"}})"), "did you mean table?");
}

TEST(PredicateJson, RefusesWhatItCannotRead) {
  EXPECT_HAS(json_refusal(""), "JSON");
  EXPECT_HAS(json_refusal("{"), "JSON");
  EXPECT_HAS(json_refusal("[]"), "a table with one rule");
  EXPECT_HAS(json_refusal("{}"), "a table with one rule");
  EXPECT_HAS(json_refusal(R"({"all":{}})"), "list");
  EXPECT_HAS(json_refusal(R"({"all":[]})"), "every row");
  EXPECT_HAS(json_refusal(R"({"any":[],"all":[]})"), "exactly one");
  EXPECT_HAS(json_refusal(R"({"column":"A"})"), "needs in, null, or op and value");
  EXPECT_HAS(json_refusal(R"({"column":"A","op":"~","value":1})"), "unknown comparison");
  EXPECT_HAS(json_refusal(R"({"column":"A","op":"=","value":null})"), "NULL");
  EXPECT_HAS(json_refusal(R"({"column":"A","op":"=","value":[1]})"), "must be a number");
  EXPECT_HAS(json_refusal(R"({"column":"A","in":5})"), "list");
  EXPECT_HAS(json_refusal(R"({"column":5,"null":true})"), "must be text");
  EXPECT_HAS(json_refusal(R"({"column":"A","null":"yes"})"), "true or false");
  EXPECT_HAS(json_refusal(R"({"column":"A","op":"=","value":{"decimal":"1e5"}})"), "decimal");
  EXPECT_HAS(json_refusal(R"({"column":"A","op":"=","value":{"bytes":"FF"}})"), "hexadecimal");
  EXPECT_HAS(json_refusal(R"({"column":"A","op":"=","value":{"instant":"soon"}})"), "time");
  EXPECT_HAS(json_refusal(R"({"expired":[]})"), "table of keys");
  EXPECT_HAS(json_refusal(R"({"expired":{"column":"A","unit":"s","null":"perhaps"}})"), "keep");
  EXPECT_HAS(json_refusal(R"({"expired":{"column":"A","unit":"s","grace":-5}})"), "duration");
  EXPECT_HAS(json_refusal(R"({"expired":{"column":"A","unit":"timestamp","stored":"utc"}})"), "wall");
  EXPECT_HAS(json_refusal(R"({"created":{"column":"A","unit":"s"}})"), "lifetime");
  EXPECT_HAS(json_refusal(R"({"keep_latest":{"n":1.5,"order_by":"A"}})"), "whole number");
  EXPECT_HAS(json_refusal(R"({"keep_latest":{"n":1,"order_by":"A","per":"B"}})"), "list");
  EXPECT_HAS(json_refusal(R"({"referenced_by":{"table":"T","on":[["A","="]]}})"), "[other column");
  EXPECT_HAS(json_refusal(R"({"sql":{"text":"A = 1","parameters":[]}})"), "parameters");
}

TEST(PredicateJson, DeepNestingIsRefusedNotFollowed) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"not":)";
  EXPECT_HAS(json_refusal(deep.c_str()), "JSON");
}

}  // namespace
}  // namespace purgekit
