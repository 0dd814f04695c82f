#include "error.hpp"

#include <sqlite3.h>

#include <string>

namespace purgekit::sqlite {
namespace {

bool starts_with(std::string_view text, std::string_view head) { return text.substr(0, head.size()) == head; }

// ON DELETE RESTRICT is a trigger inside SQLite, and only its message tells it from one of the user's.
bool is_foreign_key_message(std::string_view message) { return starts_with(message, "FOREIGN KEY constraint failed"); }

// SQLITE_ERROR stands for everything that goes wrong while a statement is compiled.
pk_code classify_generic(std::string_view message) noexcept {
  if (starts_with(message, "no such table") || starts_with(message, "no such column")) return PK_NOT_FOUND;
  if (starts_with(message, "no such index")) return PK_SCHEMA_CHANGED;
  if (starts_with(message, "foreign key mismatch") || starts_with(message, "no query solution") ||
      starts_with(message, "no such function") || starts_with(message, "no such collation") || starts_with(message, "no such module")) {
    return PK_NOT_SUPPORTED;
  }
  if (starts_with(message, "integer overflow") || starts_with(message, "malformed JSON")) return PK_DATA;
  return PK_INVALID_ARGUMENT;
}

pk_code classify_io(int extended_code) noexcept {
  switch (extended_code) {
    case SQLITE_IOERR_NOMEM:
    case SQLITE_IOERR_SHMSIZE: return PK_SERVER_RESOURCES;
    case SQLITE_IOERR_BLOCKED: return PK_LOCK_TIMEOUT;
    case SQLITE_IOERR_CORRUPTFS: return PK_CORRUPT;
    default: return PK_CONNECTION_LOST;
  }
}

const char* explanation(pk_code code) {
  switch (code) {
    case PK_LOCK_TIMEOUT: return "another connection holds the database file locked; nothing of this step was kept, it can be tried again; if it persists, "
                                 "end the other writer or long reader, or allow a longer lock wait";
    case PK_SERVER_RESOURCES: return "the disk is full or memory ran out; the open transaction was rolled back, what was committed before is safe; make room and run "
                                     "again";
    case PK_READ_ONLY: return "the database file or its folder can't be written; nothing was changed; check permissions of both, and that the file system is not "
                              "mounted read-only";
    case PK_CONNECT_FAILED: return "the database file can't be opened; check the path and the permissions of file and folder (in WAL mode "
                                   "the folder must be writable even for reading)";
    case PK_CORRUPT: return "the file is damaged, encrypted or no SQLite database; check it with PRAGMA integrity_check and restore it from a backup if need be";
    case PK_FOREIGN_KEY: return "a row of another table still refers to a row of this chunk; the chunk is rolled back";
    case PK_TRIGGER: return "a trigger or constraint of the schema refused the delete; the chunk is rolled back";
    case PK_CANCELLED: return "cancelled; the open transaction is rolled back";
    case PK_CONNECTION_LOST: return "the database file could not be read or written; the open transaction is rolled back; check the disk or the network file system";
    case PK_SCHEMA_CHANGED: return "the schema was changed meanwhile; plan again";
    case PK_PRIVILEGE: return "access is denied; check who owns the file";
    case PK_SERIALIZATION: return "SQLite rolled the transaction back; it can be tried again";
    case PK_NOT_SUPPORTED: return "the schema needs something this connection does not have, or breaks a rule of SQLite";
    case PK_NOT_FOUND: return "the statement names a table or column that does not exist";
    case PK_DATA: return "a stored value could not be handled";
    default: return "SQLite refused the statement";
  }
}

}  // namespace

pk_code classify(int extended_code, std::string_view message) noexcept {
  switch (extended_code) {
    case SQLITE_CONSTRAINT_FOREIGNKEY: return PK_FOREIGN_KEY;
    case SQLITE_CONSTRAINT_TRIGGER: return is_foreign_key_message(message) ? PK_FOREIGN_KEY : PK_TRIGGER;
    case SQLITE_READONLY_DBMOVED: return PK_CONNECTION_LOST;
    case SQLITE_ABORT_ROLLBACK: return PK_SERIALIZATION;
    default: break;
  }
  switch (extended_code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return PK_OK;
    case SQLITE_ERROR: return classify_generic(message);
    case SQLITE_PERM:
    case SQLITE_AUTH: return PK_PRIVILEGE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: return PK_LOCK_TIMEOUT;
    case SQLITE_NOMEM:
    case SQLITE_FULL:
    case SQLITE_NOLFS: return PK_SERVER_RESOURCES;
    case SQLITE_READONLY: return PK_READ_ONLY;
    case SQLITE_INTERRUPT: return PK_CANCELLED;
    case SQLITE_IOERR: return classify_io(extended_code);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT: return PK_CORRUPT;
    case SQLITE_CANTOPEN: return PK_CONNECT_FAILED;
    case SQLITE_SCHEMA: return PK_SCHEMA_CHANGED;
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH: return PK_DATA;
    case SQLITE_CONSTRAINT: return PK_TRIGGER;
    default: return PK_INTERNAL;
  }
}

sdk::Error make_error(int extended_code, std::string_view detail) {
  const pk_code code = classify(extended_code, detail);
  std::string message = explanation(code);
  if (!detail.empty()) message += " (SQLite: " + std::string(detail.substr(0, 300)) + ")";
  sdk::Error error(code, message);
  error.vendor_code(extended_code);
  constexpr std::string_view label = " constraint failed: ";
  if (const std::size_t at = detail.find(label); code == PK_TRIGGER && at != std::string_view::npos) error.constraint(std::string(detail.substr(at + label.size(), 200)));
  return error;
}

}  // namespace purgekit::sqlite
