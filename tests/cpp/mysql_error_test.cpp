// Vendor numbers and SQLSTATEs of MariaDB and MySQL to the engine's codes: a pure table, no database needed.
#include "../../plugins/mysql/error.hpp"

#include "gtest/gtest.h"

namespace {

using purgekit::mysql::code_for;
using purgekit::mysql::commit_code_for;
using purgekit::mysql::constraint_in;
using purgekit::mysql::make_error;

struct Case {
  int vendor;
  const char* state;
  pk_code expected;
};

TEST(MysqlError, VendorNumberDecides) {
  const Case cases[] = {
      {1205, "HY000", PK_LOCK_TIMEOUT},     {3572, "HY000", PK_LOCK_TIMEOUT},    {1213, "40001", PK_DEADLOCK},
      {1451, "23000", PK_FOREIGN_KEY},      {1452, "23000", PK_FOREIGN_KEY},     {1217, "23000", PK_FOREIGN_KEY},
      {1317, "70100", PK_CANCELLED},        {3024, "HY000", PK_STATEMENT_TIMEOUT}, {1969, "70100", PK_STATEMENT_TIMEOUT},
      {2006, "HY000", PK_CONNECTION_LOST},  {2013, "HY000", PK_CONNECTION_LOST}, {2055, "HY000", PK_CONNECTION_LOST},
      {1927, "70100", PK_CONNECTION_LOST},  {4031, "HY000", PK_CONNECTION_LOST}, {1053, "08S01", PK_SERVER_SHUTDOWN},
      {1290, "HY000", PK_READ_ONLY},        {1792, "25006", PK_READ_ONLY},       {1836, "HY000", PK_READ_ONLY},
      {1142, "42000", PK_PRIVILEGE},        {1044, "42000", PK_PRIVILEGE},       {1227, "42000", PK_PRIVILEGE},
      {1370, "42000", PK_PRIVILEGE},        {1045, "28000", PK_AUTHENTICATION},  {1049, "42000", PK_CONNECT_FAILED},
      {2002, "HY000", PK_CONNECT_FAILED},   {2026, "HY000", PK_CONNECT_FAILED},  {1146, "42S02", PK_NOT_FOUND},
      {1054, "42S22", PK_NOT_FOUND},        {1114, "HY000", PK_SERVER_RESOURCES}, {1021, "HY000", PK_SERVER_RESOURCES},
      {1040, "08004", PK_SERVER_RESOURCES}, {1041, "HY000", PK_SERVER_RESOURCES}, {1203, "42000", PK_SERVER_RESOURCES},
      {1206, "HY000", PK_SERVER_RESOURCES}, {1644, "45000", PK_TRIGGER},         {1644, "02000", PK_TRIGGER},
      {1292, "22007", PK_DATA},             {1690, "22003", PK_DATA},            {1064, "42000", PK_INVALID_ARGUMENT},
      {1665, "HY000", PK_NOT_SUPPORTED},    {1093, "HY000", PK_NOT_SUPPORTED},   {1412, "HY000", PK_SERIALIZATION},
      {1366, "22007", PK_DATA},             {1366, "HY000", PK_DATA},
  };
  for (const Case& c : cases) EXPECT_EQ(code_for(c.vendor, c.state), c.expected) << c.vendor << " " << c.state;
}

TEST(MysqlError, UnknownNumberFallsBackToTheClass) {
  EXPECT_EQ(code_for(9999, "40001"), PK_SERIALIZATION);
  EXPECT_EQ(code_for(9999, "22012"), PK_DATA);
  EXPECT_EQ(code_for(9999, "45999"), PK_TRIGGER);
  EXPECT_EQ(code_for(9999, "HY000"), PK_INTERNAL);
  EXPECT_EQ(code_for(9999, ""), PK_INTERNAL);
  EXPECT_EQ(code_for(0, "X"), PK_INTERNAL);
}

TEST(MysqlError, CommitWithoutAnAnswerIsInDoubt) {
  EXPECT_EQ(commit_code_for(2013, "HY000"), PK_IN_DOUBT);
  EXPECT_EQ(commit_code_for(1053, "08S01"), PK_IN_DOUBT);
  EXPECT_EQ(commit_code_for(1317, "70100"), PK_IN_DOUBT);
  EXPECT_EQ(commit_code_for(9999, "HY000"), PK_IN_DOUBT);
  EXPECT_EQ(commit_code_for(1213, "40001"), PK_DEADLOCK);
  EXPECT_EQ(commit_code_for(1180, "HY000"), PK_IN_DOUBT);
}

TEST(MysqlError, NamesTheConstraint) {
  const char* text =
      "Cannot delete or update a parent row: a foreign key constraint fails (`d`.`c`, CONSTRAINT `fk``x` FOREIGN KEY (`p`) REFERENCES `p` (`id`))";
  EXPECT_EQ(constraint_in(text), "fk`x");
  EXPECT_EQ(constraint_in("Cannot delete or update a parent row: a foreign key constraint fails"), "");
  EXPECT_EQ(constraint_in("CONSTRAINT `unfinished"), "");
  const auto error = make_error(PK_FOREIGN_KEY, 1451, "23000", text);
  EXPECT_EQ(error.constraint(), "fk`x");
  EXPECT_EQ(error.vendor_code(), 1451);
  EXPECT_FALSE(error.retryable());
}

TEST(MysqlError, ShowsNoStoredValues) {
  for (const pk_code code : {PK_DATA, PK_TRIGGER}) {
    const auto error = make_error(code, 1292, "22007", "Truncated incorrect DOUBLE value: 'secret'");
    EXPECT_EQ(error.message().find("secret"), std::string::npos);
    EXPECT_NE(error.message().find("1292"), std::string::npos);
  }
}

TEST(MysqlError, KeepsMessagesOnOneLine) {
  EXPECT_EQ(make_error(PK_INVALID_ARGUMENT, 1064, "42000", "near\n'x'").message(), "near 'x'");
}

}  // namespace
