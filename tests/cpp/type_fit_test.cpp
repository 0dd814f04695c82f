#include "purgekit/sdk/type_fit.hpp"

#include <gtest/gtest.h>

namespace purgekit::sdk {
namespace {

struct Pair {
  const char* target;
  const char* source;
};

TEST(TypeFit, WhatHoldsEveryValue) {
  for (const auto& [target, source] : std::initializer_list<Pair>{{"bigint", "integer"},
                                                                  {"bigint(20)", "int(11)"},
                                                                  {"int(5)", "int(11)"},
                                                                  {"bigint(20)", "int(10) unsigned"},
                                                                  {"int(10) unsigned", "smallint(5) unsigned zerofill"},
                                                                  {"numeric", "bigint"},
                                                                  {"decimal(20,0)", "bigint(20)"},
                                                                  {"decimal(12,2)", "int(11)"},
                                                                  {"numeric(12,3)", "numeric(10,2)"},
                                                                  {"numeric", "numeric(10,2)"},
                                                                  {"character varying(300)", "character varying(255)"},
                                                                  {"character varying", "character varying(255)"},
                                                                  {"varchar(10)", "char(10)"},
                                                                  {"char(12)", "char(10)"},
                                                                  {"text", "varchar(255)"},
                                                                  {"mediumtext", "text"},
                                                                  {"varbinary(20)", "binary(16)"},
                                                                  {"blob", "varbinary(300)"},
                                                                  {"double precision", "real"},
                                                                  {"timestamp without time zone", "timestamp(3) without time zone"},
                                                                  {"timestamp(6)", "timestamp"},
                                                                  {"datetime(3)", "datetime"},
                                                                  {"enum('a','b')", "enum('a','b')"},
                                                                  {"jsonb", "jsonb"}}) {
    EXPECT_TRUE(type_fits(target, source)) << source << " into " << target;
  }
}

TEST(TypeFit, WhatMayNot) {
  for (const auto& [target, source] : std::initializer_list<Pair>{{"integer", "bigint"},
                                                                  {"int(10) unsigned", "int(11)"},
                                                                  {"int(11)", "int(10) unsigned"},
                                                                  {"decimal(10,2)", "int(11)"},
                                                                  {"decimal(20,0) unsigned", "bigint(20)"},
                                                                  {"numeric(10,2)", "numeric"},
                                                                  {"numeric(12,1)", "numeric(10,2)"},
                                                                  {"bigint", "numeric(3,0)"},
                                                                  {"character varying(254)", "character varying(255)"},
                                                                  {"varchar(255)", "text"},
                                                                  {"tinytext", "varchar(100)"},
                                                                  {"text", "mediumtext"},
                                                                  {"char(255)", "varchar(255)"},
                                                                  {"character varying(255)", "integer"},
                                                                  {"bigint", "character varying(2)"},
                                                                  {"binary(300)", "varbinary(300)"},
                                                                  {"varbinary(15)", "binary(16)"},
                                                                  {"varchar(300)", "varbinary(300)"},
                                                                  {"real", "double precision"},
                                                                  {"timestamp(3) without time zone", "timestamp without time zone"},
                                                                  {"timestamp with time zone", "timestamp without time zone"},
                                                                  {"datetime", "timestamp"},
                                                                  {"timestamp", "timestamp(3)"},
                                                                  {"date", "datetime"},
                                                                  {"enum('a')", "enum('a','b')"},
                                                                  {"text[]", "character varying(5)"},
                                                                  {"json", "jsonb"}}) {
    EXPECT_FALSE(type_fits(target, source)) << source << " into " << target;
  }
}

TEST(TypeFit, DigitsOfASecond) {
  EXPECT_EQ(time_digits_of("timestamp without time zone"), 6);
  EXPECT_EQ(time_digits_of("timestamp(3) with time zone"), 3);
  EXPECT_EQ(time_digits_of("datetime"), 0);
  EXPECT_EQ(time_digits_of("datetime(99999999999999999999)"), 9);
}

TEST(TypeFit, OddTextIsNoTrouble) {
  for (const char* type : {"", "(", ")", "varchar(", "varchar()", "varchar(-1)", "int unsigned unsigned", "numeric(,)", "time(("}) {
    EXPECT_TRUE(type_fits(type, type)) << type;
    EXPECT_FALSE(type_fits(type, "polygon")) << type;
    EXPECT_FALSE(type_fits("polygon", type)) << type;
  }
}

}  // namespace
}  // namespace purgekit::sdk
