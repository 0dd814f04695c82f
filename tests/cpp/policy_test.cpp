#include "purgekit/policy.hpp"

#include "support/expect_error.hpp"

namespace purgekit {
namespace {

Policy sessions() {
  return Policy::from_json(R"({"name":"sessions","table":"IDN_SESSION","where":{"expired":{"column":"EXPIRY_TIME","unit":"ns"}}})");
}

std::string refusal(const char* json) {
  return message_of([&] { Policy::from_json(json); });
}

TEST(Policy, ComesBackFromJson) {
  Policy policy = sessions();
  EXPECT_EQ(Policy::from_json(policy.to_json()), policy);
  policy.grace_ns = 90'000'000'000;
  policy.max_fraction = 0.5;
  policy.optional = true;
  policy.dependents = {{"IDN_SCOPE", {{"SESSION_ID", "ID"}, {"TENANT", "TENANT_ID"}}, false, true}, {"IDN_CLAIM", {{"SCOPE_ID", "ID"}}, false, true, {}, "IDN_SCOPE"}};
  policy.held_while = Predicate::is_null("CLOSED_AT");
  policy.strategy = "swap";
  policy.move_window_ns = 1'500'000'000;
  EXPECT_EQ(Policy::from_json(policy.to_json()), policy);
}

TEST(Policy, WithAMappingComesBackFromJson) {
  Policy policy = sessions();
  policy.moved_to = ArchiveMapping{"AUDIT", {{"B", ArchivePart::From::column, "A"}, {"C", ArchivePart::From::run_id}, {"D", ArchivePart::From::own_default},
                                             {"E", ArchivePart::From::value, "", Value::string("x")}, {"F", ArchivePart::From::now, "", {}, Unit::milliseconds}}};
  policy.moved_to->parts.push_back({"G", ArchivePart::From::now, "", {}, Unit::timestamp, "Europe/Berlin"});
  policy.dependents = {{"IDN_SCOPE", {{"SESSION_ID", "ID"}}, false, true, ArchiveMapping{"SCOPE_AUDIT"}}};
  EXPECT_EQ(Policy::from_json(policy.to_json()), policy);
  const std::string mapping = R"({"name":"p","table":"T","where":{"column":"A","null":true},"archive":)";
  EXPECT_HAS(refusal((mapping + R"({"columns":{}}})").c_str()), "table name is empty");
  EXPECT_HAS(refusal((mapping + R"({"table":"X","columns":{"A":{"now":false}}}})").c_str()), "now = true");
  EXPECT_HAS(refusal((mapping + R"({"table":"X","columns":{"A":{}}}})").c_str()), "needs one of");
  EXPECT_HAS(refusal((mapping + R"({"table":"X","columns":{"A":{"value":null}}}})").c_str()), "NULL");
  EXPECT_HAS(refusal((mapping + R"({"table":"X","columns":{"A":7}}})").c_str()), "column's name");
}

// Its text is hashed, and a walk that an earlier version began goes on only under the same hash.
TEST(Policy, WithoutAStrategyIsWrittenAsEver) {
  EXPECT_EQ(sessions().to_json(), R"({"grace":"2h","name":"sessions","table":"IDN_SESSION","where":)" + sessions().where.to_json() + "}");
  const Policy given = Policy::from_json(
      R"({"name":"sessions","table":"IDN_SESSION","strategy":"auto","move_window":"60s","where":{"expired":{"column":"EXPIRY_TIME","unit":"ns"}}})");
  EXPECT_EQ(given.to_json(), sessions().to_json());
}

TEST(Policy, WhatIsDeletedIsNotHeld) {
  Policy policy = sessions();
  EXPECT_EQ(policy.deletable(), policy.where);
  policy.held_while = Predicate::is_null("CLOSED_AT");
  EXPECT_EQ(policy.deletable(), Predicate::all_of({policy.where, Predicate::negation(Predicate::is_null("CLOSED_AT"))}));
}

TEST(Policy, GraceIsTwoHoursUnlessGiven) {
  const Policy policy = Policy::from_json(R"({"name":"p","table":"T","where":{"column":"A","null":true}})");
  EXPECT_EQ(policy.grace_ns, 7'200'000'000'000);
  EXPECT_FALSE(policy.optional);
  EXPECT_FALSE(policy.max_fraction.has_value());
}

TEST(Policy, RefusesWhatIsWrong) {
  EXPECT_HAS(refusal(R"({"name":"p","table":"T"})"), "take every row");
  EXPECT_HAS(refusal(R"({"name":"","table":"T","where":{"column":"A","null":true}})"), "name");
  EXPECT_HAS(refusal(R"({"name":"p","table":"","where":{"column":"A","null":true}})"), "table name is empty");
  EXPECT_HAS(refusal(R"({"name":"p","tabel":"T","where":{"column":"A","null":true}})"), "did you mean table?");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","grace":"2 hours","where":{"column":"A","null":true}})"), "2 hours");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","max_fraction":1.5,"where":{"column":"A","null":true}})"), "max_fraction");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","max_fraction":0,"where":{"column":"A","null":true}})"), "max_fraction");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","max_fraction":"all","where":{"column":"A","null":true}})"), "number");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","strategy":"swop","where":{"column":"A","null":true}})"), "did you mean swap?");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","strategy":1,"where":{"column":"A","null":true}})"), "text");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","move_window":"0s","where":{"column":"A","null":true}})"), "move_window");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","move_window":"25h","where":{"column":"A","null":true}})"), "move_window");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","move_window":"soon","where":{"column":"A","null":true}})"), "soon");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","optional":1,"where":{"column":"A","null":true}})"), "true or false");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","dependents":[{"table":"C"}],"where":{"column":"A","null":true}})"), "needs on");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","dependents":[{"table":"C","on":{"X":1}}],"where":{"column":"A","null":true}})"), "columns");
  EXPECT_HAS(refusal(R"({"name":"p","table":"T","dependents":[{"table":"C","on":{"X":"ID"},"of":"B"}],"where":{"column":"A","null":true}})"), "must stand before it");
}

TEST(Policy, FusesComeBackFromJson) {
  Policy policy = sessions();
  policy.fuses = {true, 33.3, 7'200'000'000'000};
  EXPECT_EQ(Policy::from_json(policy.to_json()), policy);
  for (const double pct : {0.0, 1e-300, 0.1, 1'000'000.0}) {
    policy.fuses.within_pct = pct;
    EXPECT_EQ(Policy::from_json(policy.to_json()), policy) << pct;
  }
  policy.fuses.within_pct = 33.3;
  EXPECT_HAS(policy.to_json(), R"("approval":"required")");
  EXPECT_HAS(policy.to_json(), R"("within":"33.3%")");
  EXPECT_HAS(policy.to_json(), R"("min_retention":"2h")");
}

TEST(Policy, RefusesFusesThatCantBeRead) {
  const auto with = [](const std::string& fuse) {
    return refusal((R"({"name":"p","table":"T","where":{"column":"A","null":true},)" + fuse + "}").c_str());
  };
  EXPECT_HAS(with(R"("approval":"maybe")"), "approval is \"required\"");
  EXPECT_HAS(with(R"("within":"-1%")"), "-1%");
  EXPECT_HAS(with(R"("within":"half")"), "half");
  EXPECT_HAS(with(R"("within":"%")"), "percentage");
  EXPECT_HAS(with(R"("within":"1e3%")"), "percentage");
  EXPECT_HAS(with(R"("within":"inf%")"), "percentage");
  EXPECT_HAS(with(R"("within":50)"), "text");
  EXPECT_HAS(with(R"("min_retention":"30")"), "30");
}

// What the rule itself guarantees of a row's age counts, on every way through it.
TEST(Policy, RefusesARuleThatTakesYoungerRowsThanItsFloor) {
  const auto with = [](const std::string& where, const std::string& floor) {
    return Policy::from_json(R"({"name":"p","table":"T","grace":"2h","min_retention":")" + floor + R"(","where":)" + where + "}");
  };
  const std::string created = R"({"created":{"column":"C","unit":"s","lifetime":"30d"}})";
  const std::string by_row = R"({"created":{"column":"C","unit":"s","lifetime":{"column":"L","unit":"s"}}})";
  const std::string expired = R"({"expired":{"column":"E","unit":"s"}})";
  const std::string other = R"({"column":"A","null":true})";
  with(created, "30d2h");
  EXPECT_HAS(message_of([&] { with(created, "31d"); }), "30d2h old");
  with(R"({"all":[)" + other + "," + created + "]}", "30d");
  with(by_row, "2h");
  EXPECT_HAS(message_of([&] { with(by_row, "3h"); }), "2h old");
  with(expired, "2h");
  EXPECT_HAS(message_of([&] { with(expired, "1d"); }), "min_retention keeps them for 1d");
  EXPECT_HAS(message_of([&] { with(R"({"any":[)" + expired + "," + created + "]}", "30d"); }), "2h old");
  EXPECT_HAS(message_of([&] { with(other, "1s"); }), "of any age");
  EXPECT_HAS(message_of([&] { with(R"({"not":)" + created + "}", "1s"); }), "of any age");
  EXPECT_HAS(message_of([&] { with(R"({"created":{"column":"C","unit":"s","lifetime":"30d","null":"purge"}})", "1s"); }), "of any age");
  with(R"({"created":{"column":"C","unit":"s","lifetime":"30d","grace":"1d"}})", "31d");
}

TEST(TableName, SplitsAsInSql) {
  const auto plain = parse_table_name("T");
  EXPECT_EQ(plain.schema, "");
  EXPECT_EQ(plain.name, "T");
  EXPECT_FALSE(plain.name_quoted);
  const auto both = parse_table_name("s.T");
  EXPECT_EQ(both.schema, "s");
  EXPECT_EQ(both.name, "T");
  const auto quoted = parse_table_name(R"("my.schema"."a ""b""")");
  EXPECT_EQ(quoted.schema, "my.schema");
  EXPECT_TRUE(quoted.schema_quoted);
  EXPECT_EQ(quoted.name, "a \"b\"");
  EXPECT_TRUE(quoted.name_quoted);
  const auto half = parse_table_name(R"(s."T")");
  EXPECT_FALSE(half.schema_quoted);
  EXPECT_TRUE(half.name_quoted);
}

TEST(TableName, RefusesWhatIsNone) {
  EXPECT_HAS(message_of([] { parse_table_name(""); }), "empty");
  EXPECT_HAS(message_of([] { parse_table_name("s."); }), "empty");
  EXPECT_HAS(message_of([] { parse_table_name(".T"); }), "empty schema");
  EXPECT_HAS(message_of([] { parse_table_name("a.b.c"); }), "too many parts");
  EXPECT_HAS(message_of([] { parse_table_name("\"T"); }), "not closed");
  EXPECT_HAS(message_of([] { parse_table_name("\"\""); }), "empty");
  EXPECT_HAS(message_of([] { parse_table_name("T\"x"); }), "double quotes");
  EXPECT_HAS(message_of([] { parse_table_name("\"T\"x"); }), "too many parts");
  EXPECT_HAS(message_of([] { parse_table_name(std::string_view("T\0x", 3)); }), "NUL");
}

TEST(TableName, IsWrittenSoThatItReadsBack) {
  for (const auto& [schema, name] : std::vector<std::pair<std::string, std::string>>{
           {"", "T"}, {"s", "T"}, {"a.b", "c.d"}, {"", "has space"}, {"", "\"q\""}, {"s", "\xc3\xa4"}, {"S\"", "."}}) {
    const auto back = parse_table_name(table_name_text(schema, name));
    EXPECT_EQ(back.schema, schema);
    EXPECT_EQ(back.name, name);
  }
  EXPECT_EQ(table_name_text("public", "orders"), "public.orders");
}

TEST(DidYouMean, FindsTheNearestOrNothing) {
  const std::vector<std::string> names = {"IDN_AUTH_SESSION_STORE", "IDN_OAUTH2_ACCESS_TOKEN", "T"};
  EXPECT_EQ(did_you_mean("idn_auth_sesion_store", names), " (did you mean IDN_AUTH_SESSION_STORE?)");
  EXPECT_EQ(did_you_mean("completely_else", names), "");
  EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace
}  // namespace purgekit
