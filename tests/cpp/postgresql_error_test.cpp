// What PostgreSQL's errors mean: pure functions of text, so no server is needed.
#include "../../plugins/postgresql/error.hpp"

#include "gtest/gtest.h"

namespace purgekit::postgresql {
namespace {

struct Expected {
  const char* sqlstate;
  pk_code code;
};

class CodeForTest : public testing::TestWithParam<Expected> {};

TEST_P(CodeForTest, MapsSqlstate) { EXPECT_EQ(code_for(GetParam().sqlstate), GetParam().code) << GetParam().sqlstate; }

INSTANTIATE_TEST_SUITE_P(Exact, CodeForTest,
                         testing::Values(Expected{"23503", PK_FOREIGN_KEY}, Expected{"23001", PK_FOREIGN_KEY}, Expected{"25006", PK_READ_ONLY},
                                         Expected{"25P03", PK_CONNECTION_LOST}, Expected{"40001", PK_SERIALIZATION},
                                         Expected{"40003", PK_IN_DOUBT}, Expected{"40P01", PK_DEADLOCK}, Expected{"42501", PK_PRIVILEGE},
                                         Expected{"42703", PK_NOT_FOUND}, Expected{"42P01", PK_NOT_FOUND}, Expected{"53300", PK_SERVER_RESOURCES},
                                         Expected{"55P03", PK_LOCK_TIMEOUT}, Expected{"57014", PK_STATEMENT_TIMEOUT},
                                         Expected{"57P01", PK_SERVER_SHUTDOWN}, Expected{"57P02", PK_SERVER_SHUTDOWN},
                                         Expected{"57P03", PK_SERVER_SHUTDOWN}, Expected{"P0001", PK_TRIGGER}, Expected{"XX001", PK_CORRUPT}));

INSTANTIATE_TEST_SUITE_P(ByClass, CodeForTest,
                         testing::Values(Expected{"08006", PK_CONNECTION_LOST}, Expected{"22P02", PK_DATA}, Expected{"23514", PK_TRIGGER},
                                         Expected{"27000", PK_TRIGGER}, Expected{"28P01", PK_AUTHENTICATION}, Expected{"40999", PK_SERIALIZATION},
                                         Expected{"42601", PK_INVALID_ARGUMENT}, Expected{"53100", PK_SERVER_RESOURCES}, Expected{"58P01", PK_SERVER_RESOURCES}));

INSTANTIATE_TEST_SUITE_P(Unknown, CodeForTest, testing::Values(Expected{"", PK_INTERNAL}, Expected{"X", PK_INTERNAL}, Expected{"ZZ999", PK_INTERNAL}));

TEST(ConnectCodeTest, ReadsLibpqsSentence) {
  EXPECT_EQ(connect_code_for("FATAL:  password authentication failed for user \"iam\""), PK_AUTHENTICATION);
  EXPECT_EQ(connect_code_for("fe_sendauth: no password supplied"), PK_AUTHENTICATION);
  EXPECT_EQ(connect_code_for("FATAL:  the database system is starting up"), PK_SERVER_SHUTDOWN);
  EXPECT_EQ(connect_code_for("FATAL:  sorry, too many clients already"), PK_SERVER_RESOURCES);
  EXPECT_EQ(connect_code_for("could not translate host name \"nowhere\" to address"), PK_CONNECT_FAILED);
  EXPECT_EQ(connect_code_for(""), PK_CONNECT_FAILED);
}

TEST(ServerMessageTest, TakesVerboseTextApart) {
  const ServerMessage m = parse_server_message(
      "ERROR:  23503: update or delete on table \"parent\" violates foreign key constraint \"child_fk\" on table \"child\"\n"
      "DETAIL:  Key (id)=(4711) is still referenced from table \"child\".\n"
      "SCHEMA NAME:  public\nTABLE NAME:  child\nCONSTRAINT NAME:  child_fk\nLOCATION:  ri_ReportViolation, ri_triggers.c:2528\n");
  EXPECT_EQ(m.sqlstate, "23503");
  EXPECT_EQ(m.constraint, "child_fk");
  EXPECT_EQ(m.primary.find("4711"), std::string::npos);
}

TEST(ServerMessageTest, SeverityMayBeTranslated) {
  const ServerMessage m = parse_server_message("FEHLER:  40P01: Verklemmung entdeckt\nDETAIL:  …\n");
  EXPECT_EQ(m.sqlstate, "40P01");
  EXPECT_EQ(m.primary, "Verklemmung entdeckt");
}

TEST(ServerMessageTest, TextWithoutStateIsKept) {
  const ServerMessage m = parse_server_message("server closed the connection unexpectedly\n\tThis probably means …");
  EXPECT_EQ(m.sqlstate, "");
  EXPECT_EQ(m.primary, "server closed the connection unexpectedly");
  EXPECT_EQ(parse_server_message("").primary, "");
  EXPECT_EQ(parse_server_message("ERROR:  ").sqlstate, "");
}

TEST(ServerMessageTest, NamesTheTriggersFunction) {
  const ServerMessage m = parse_server_message(
      "ERROR:  P0001: session 4711 is in use\nCONTEXT:  PL/pgSQL function app.deny() line 3 at RAISE\nLOCATION:  exec_stmt_raise, pl_exec.c:3893");
  EXPECT_EQ(m.function, "app.deny");
}

TEST(MakeErrorTest, HidesStoredValues) {
  const sdk::Error trigger = make_error(PK_TRIGGER, {"P0001", "session 4711 is in use", "", "app.deny"});
  EXPECT_EQ(trigger.message().find("4711"), std::string::npos);
  EXPECT_EQ(trigger.constraint(), "app.deny");
  const sdk::Error data = make_error(PK_DATA, {"22P02", "invalid input syntax for type integer: \"4711\"", "", ""});
  EXPECT_EQ(data.message().find("4711"), std::string::npos);
  EXPECT_EQ(data.sqlstate(), "22P02");
}

TEST(MakeErrorTest, KeepsWhatTheEngineActsOn) {
  const sdk::Error e = make_error(PK_FOREIGN_KEY, {"23503", "violates", "child_fk", ""});
  EXPECT_EQ(e.code(), PK_FOREIGN_KEY);
  EXPECT_EQ(e.constraint(), "child_fk");
  EXPECT_FALSE(e.retryable());
  EXPECT_TRUE(make_error(PK_LOCK_TIMEOUT, {"55P03", "lock", "", ""}).retryable());
}

TEST(WithoutSecretTest, RemovesEveryOccurrence) {
  EXPECT_EQ(without_secret("bad pa55 and pa55\n", "pa55"), "bad *** and ***");
  EXPECT_EQ(without_secret("two\nlines", ""), "two lines");
  EXPECT_EQ(without_secret("**", "*"), "******");
}

}  // namespace
}  // namespace purgekit::postgresql
