#include "purgekit/sdk/row_mapping.hpp"

#include <gtest/gtest.h>

#include "purgekit/sdk/archive.hpp"
#include "support/expect_error.hpp"

namespace purgekit::sdk {
namespace {

class Marked : public Dialect {};

struct RowMappingTest : testing::Test {
  RowMappingTest() {
    source.name = "TOKENS";
    source.columns = {{"ID", "bigint", PK_COLUMN_INT, false}, {"State", "varchar(9)", PK_COLUMN_TEXT}, {"NEW", "varchar(9)", PK_COLUMN_TEXT}};
    target.name = "AUDIT";
    target.columns = {{"N", "bigint", PK_COLUMN_INT, false}, {"id", "bigint", PK_COLUMN_INT}, {"STATE", "varchar(20)", PK_COLUMN_TEXT},
                      {"GONE", "timestamp", PK_COLUMN_TIMESTAMP}, {"TWICE", "bigint", PK_COLUMN_INT}};
    target.indexes = {{"AUDIT_ONCE", {1}, true}, {"AUDIT_STATE", {2}}};
    shape.identity = {"N"};
    shape.generated = {"TWICE"};
    wanted.table = "AUDIT";
    wanted.is_mapped = true;
  }

  RowMapping map() { return Mapper(dialect, source, target, shape, wanted).map(); }

  Marked dialect;
  Table source;
  Table target;
  InsertShape shape;
  ArchiveTable wanted{};
};

TEST_F(RowMappingTest, GoesByNameAndTellsWhatIsLost) {
  const RowMapping mapping = map();
  EXPECT_EQ(mapping.problem, "");
  ASSERT_EQ(mapping.columns.size(), 2U);
  EXPECT_EQ(mapping.columns[0].source, "ID");
  EXPECT_EQ(mapping.columns[1].source, "State");
  EXPECT_EQ(mapping.lost, std::vector<std::string>{"NEW"});
  EXPECT_EQ(mapping.unique, std::vector<std::string>{"AUDIT_ONCE"});
  EXPECT_FALSE(mapping.names_identity);
}

TEST_F(RowMappingTest, MovesWhatThePolicySays) {
  wanted.columns = {{"STATE", PK_ARCHIVE_FROM_COLUMN, "NEW"}, {"GONE", PK_ARCHIVE_FROM_VALUE, "", Value::wall(1'999'999'999)}, {"N", PK_ARCHIVE_FROM_COLUMN, "ID"},
                    {"id", PK_ARCHIVE_FROM_DEFAULT}};
  RowMapping mapping = map();
  EXPECT_EQ(mapping.problem, "");
  EXPECT_TRUE(mapping.names_identity);
  EXPECT_EQ(mapping.lost, std::vector<std::string>{"State"});
  const ArchiveWriter writer(dialect, source, wanted, "run", std::move(mapping));
  Sql statement(dialect);
  statement << "DELETE FROM TOKENS WHERE 1 = 1";
  const Sql insert = writer.insert(statement);
  EXPECT_EQ(insert.text(), R"(INSERT INTO "AUDIT" ("N", "STATE", "GONE") SELECT "ID", "NEW", ? FROM TOKENS WHERE 1 = 1 FOR UPDATE)");
  ASSERT_EQ(insert.params().size(), 1U);
  EXPECT_EQ(insert.params()[0].text.substr(0, 19), "1970-01-01 00:00:01");
  EXPECT_EQ(insert.params()[0].text.find_first_of("9", 19), std::string::npos) << "cut to what the column keeps";
}

TEST_F(RowMappingTest, SaysWhatIsInTheWay) {
  shape.required = {"GONE"};
  EXPECT_HAS(map().problem, "column GONE (timestamp) of table AUDIT takes no NULL and has no default, and nothing goes into it");
  shape.required.clear();
  wanted.columns = {{"TWICE", PK_ARCHIVE_FROM_COLUMN, "ID"}};
  EXPECT_HAS(map().problem, "computed by the database");
  wanted.columns = {{"OTHER", PK_ARCHIVE_FROM_RUN}};
  EXPECT_HAS(map().problem, "no column OTHER any more");
  wanted.columns = {{"GONE", PK_ARCHIVE_FROM_COLUMN, "OLD"}};
  EXPECT_HAS(map().problem, "TOKENS has no column OLD any more");
  wanted.columns = {{"STATE", PK_ARCHIVE_FROM_RUN}};
  EXPECT_HAS(map().problem, "too short");
  wanted.columns = {{"STATE", PK_ARCHIVE_FROM_VALUE, "", Value::string("twenty-one characters")}};
  EXPECT_HAS(map().problem, "has 21 characters");
  wanted.columns.clear();
  target.columns[2].type_name = "varchar(8)";
  EXPECT_HAS(map().problem, "column STATE (varchar(8)) of table AUDIT can't hold all that column State (varchar(9)) of table TOKENS may");
}

TEST_F(RowMappingTest, TwoNamesThatDifferInCaseOnlyAreNotGuessedAt) {
  source.columns[2].name = "STate";
  EXPECT_EQ(map().lost, (std::vector<std::string>{"State", "STate"}));
}

}  // namespace
}  // namespace purgekit::sdk
