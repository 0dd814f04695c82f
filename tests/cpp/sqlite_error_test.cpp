// SQLite result codes to the engine's codes: a pure table, no database needed.
#include "../../plugins/sqlite/error.hpp"

#include <sqlite3.h>

#include "gtest/gtest.h"

namespace {

using purgekit::sqlite::classify;
using purgekit::sqlite::make_error;

struct Case {
  int code;
  const char* message;
  pk_code expected;
};

TEST(SqliteError, Classifies) {
  const Case cases[] = {
      {SQLITE_OK, "", PK_OK},
      {SQLITE_BUSY, "database is locked", PK_LOCK_TIMEOUT},
      {SQLITE_BUSY_SNAPSHOT, "database is locked", PK_LOCK_TIMEOUT},
      {SQLITE_BUSY_RECOVERY, "database is locked", PK_LOCK_TIMEOUT},
      {SQLITE_LOCKED, "database table is locked", PK_LOCK_TIMEOUT},
      {SQLITE_PROTOCOL, "locking protocol", PK_LOCK_TIMEOUT},
      {SQLITE_FULL, "database or disk is full", PK_SERVER_RESOURCES},
      {SQLITE_NOMEM, "out of memory", PK_SERVER_RESOURCES},
      {SQLITE_IOERR_NOMEM, "disk I/O error", PK_SERVER_RESOURCES},
      {SQLITE_IOERR_WRITE, "disk I/O error", PK_CONNECTION_LOST},
      {SQLITE_IOERR_FSYNC, "disk I/O error", PK_CONNECTION_LOST},
      {SQLITE_IOERR_BLOCKED, "disk I/O error", PK_LOCK_TIMEOUT},
      {SQLITE_READONLY, "attempt to write a readonly database", PK_READ_ONLY},
      {SQLITE_READONLY_DIRECTORY, "attempt to write a readonly database", PK_READ_ONLY},
      {SQLITE_READONLY_DBMOVED, "attempt to write a readonly database", PK_CONNECTION_LOST},
      {SQLITE_CORRUPT, "database disk image is malformed", PK_CORRUPT},
      {SQLITE_CORRUPT_INDEX, "database disk image is malformed", PK_CORRUPT},
      {SQLITE_NOTADB, "file is not a database", PK_CORRUPT},
      {SQLITE_CANTOPEN, "unable to open database file", PK_CONNECT_FAILED},
      {SQLITE_INTERRUPT, "interrupted", PK_CANCELLED},
      {SQLITE_ABORT_ROLLBACK, "abort due to ROLLBACK", PK_SERIALIZATION},
      {SQLITE_SCHEMA, "database schema has changed", PK_SCHEMA_CHANGED},
      {SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed", PK_FOREIGN_KEY},
      {SQLITE_CONSTRAINT_TRIGGER, "FOREIGN KEY constraint failed", PK_FOREIGN_KEY},  // ON DELETE RESTRICT
      {SQLITE_CONSTRAINT_TRIGGER, "on legal hold", PK_TRIGGER},
      {SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed: c", PK_TRIGGER},
      {SQLITE_AUTH, "not authorized", PK_PRIVILEGE},
      {SQLITE_MISMATCH, "datatype mismatch", PK_DATA},
      {SQLITE_MISUSE, "bad parameter or other API misuse", PK_INTERNAL},
      {SQLITE_ERROR, "no such table: T", PK_NOT_FOUND},
      {SQLITE_ERROR, "no such column: C", PK_NOT_FOUND},
      {SQLITE_ERROR, "no such index: I", PK_SCHEMA_CHANGED},
      {SQLITE_ERROR, "no query solution", PK_NOT_SUPPORTED},
      {SQLITE_ERROR, "foreign key mismatch - \"a\" referencing \"b\"", PK_NOT_SUPPORTED},
      {SQLITE_ERROR, "no such function: app_hash", PK_NOT_SUPPORTED},
      {SQLITE_ERROR, "near \"FROM\": syntax error", PK_INVALID_ARGUMENT},
      {SQLITE_ERROR, "integer overflow", PK_DATA},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(classify(c.code, c.message), c.expected) << c.code << " " << c.message;
  }
}

TEST(SqliteError, TellsWhatToDoAndKeepsTheVendorsCode) {
  const purgekit::sdk::Error error = make_error(SQLITE_BUSY_SNAPSHOT, "database is locked");
  EXPECT_EQ(error.vendor_code(), SQLITE_BUSY_SNAPSHOT);
  EXPECT_TRUE(error.retryable());
  EXPECT_FALSE(error.in_doubt());
  EXPECT_NE(error.message().find("tried again"), std::string::npos);
  EXPECT_NE(error.message().find("database is locked"), std::string::npos);
}

TEST(SqliteError, AFailingDiskNeedsANewConnection) {
  EXPECT_TRUE(make_error(SQLITE_IOERR_READ, "disk I/O error").connection_lost());
  EXPECT_FALSE(make_error(SQLITE_FULL, "database or disk is full").connection_lost());
}

}  // namespace
