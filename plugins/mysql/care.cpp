// After a purge: statistics, and a rebuild that gives the table's free space back while others go on writing.
#include <optional>
#include <string>

#include "catalogue.hpp"
#include "connection.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/render.hpp"
#include "volume.hpp"

namespace purgekit::mysql {

using sdk::Error;
using sdk::Value;

namespace {

constexpr std::int64_t worth_advice_bytes = 8LL * 1024 * 1024;

/// Of the table's own files, those of its partitions included; -1 where this server or this user has no word on them.
std::int64_t file_bytes(Line& line, const sdk::Table& table) {
  const std::optional<std::string> file = innodb_name(table.schema, table.name);
  if (!file) return -1;
  const char* view = line.is_mariadb() || line.version() < 80000 ? "INNODB_SYS_TABLESPACES" : "INNODB_TABLESPACES";
  try {
    const sdk::Rows rows = line.query(std::string("SELECT COUNT(*), CAST(SUM(FILE_SIZE) AS SIGNED) FROM information_schema.") + view +
                                          " WHERE NAME = ? OR LOCATE(?, NAME) = 1 OR LOCATE(?, NAME) = 1",
                                      {Value::string(*file), Value::string(*file + "#P#"), Value::string(*file + "#p#")});
    return rows.at(0).at(0).i64 == 0 ? -1 : rows[0].at(1).i64;
  } catch (const Error& e) {
    if (e.connection_lost() || e.code() == PK_CANCELLED) throw;
    return -1;
  }
}

/// What went wrong, as people read it of a table and not of a chunk.
Error told(const Error& e, const std::string& doing, const std::string& grant) {
  std::string why = e.message();
  if (e.code() == PK_PRIVILEGE) why = "this user may not; " + grant;
  if (e.code() == PK_LOCK_TIMEOUT) why = "a transaction that has used the table is still open, and this waits for it no longer than for a locked row; nothing was changed by it";
  if (e.code() == PK_STATEMENT_TIMEOUT) why = "it took longer than a statement may take here and was undone";
  if (e.code() == PK_CANCELLED) why = "it was cancelled and undone";
  return Error(e.code(), doing + ": " + why).sqlstate(e.sqlstate()).vendor_code(e.vendor_code());
}

}  // namespace

sdk::Space MysqlConnection::space(const sdk::Purge& purge) {
  const sdk::Table& table = known(purge);
  const sdk::Rows rows = query(
      "SELECT CAST(DATA_LENGTH AS SIGNED), CAST(INDEX_LENGTH AS SIGNED), CAST(DATA_FREE AS SIGNED) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
      {Value::string(table.schema), Value::string(table.name)});
  sdk::Space out;
  if (rows.empty() || rows[0].at(0).kind == PK_VALUE_NULL) return out;
  const std::int64_t used = rows[0].at(0).i64 + rows[0].at(1).i64;
  out.reusable_bytes = rows[0].at(2).i64;
  out.bytes = file_bytes(line_, table);
  if (out.bytes < 0) out.bytes = used + out.reusable_bytes;
  out.needed_bytes = used;
  out.free_bytes = free_bytes(line_);
  if (out.reusable_bytes >= worth_advice_bytes) {
    out.advice = "free space is used for new rows; --reclaim space gives it back by a rebuild (ALTER TABLE … FORCE) while others go on writing, which takes room for a "
                 "second copy, and replicas do the same";
  }
  return out;
}

bool MysqlConnection::reclaim(const sdk::Purge& purge, pk_care care) {
  known(purge);
  const std::pair<std::string, std::string> name(purge.schema, purge.table);
  if (care == PK_CARE_SPACE && rebuilt_ != name) {
    rebuild(purge);
    rebuilt_ = name;
    return false;
  }
  analyze(purge);
  rebuilt_.reset();
  return true;
}

// OPTIMIZE TABLE is the same where it can be done online, and says nothing where it locks writers out.
void MysqlConnection::rebuild(const sdk::Purge& purge) {
  const std::string name = sdk::qualified(dialect_, purge.schema, purge.table);
  const std::string statement = "ALTER TABLE " + name + " FORCE";
  try {
    line_.command(statement + ", ALGORITHM=INPLACE, LOCK=NONE");
  } catch (const Error& e) {
    if (e.connection_lost()) throw;
    if (e.code() == PK_NOT_SUPPORTED) {
      throw Error(e.code(), statement + ": the server can't do it while others write (" + e.message() + "); OPTIMIZE TABLE in a quiet hour locks writers out and does it");
    }
    throw told(e, statement, "GRANT ALTER, CREATE, INSERT ON " + name + " TO " + account());
  }
}

void MysqlConnection::analyze(const sdk::Purge& purge) {
  const std::string name = sdk::qualified(dialect_, purge.schema, purge.table);
  const std::string statement = "ANALYZE TABLE " + name;
  try {
    for (const sdk::Row& row : query(statement, {})) {
      if (row.at(2).text == "Error") throw Error(PK_NOT_SUPPORTED, "the server answered: " + row.at(3).text);
    }
  } catch (const Error& e) {
    if (e.connection_lost()) throw;
    throw told(e, statement, "GRANT SELECT, INSERT ON " + name + " TO " + account());
  }
}

}  // namespace purgekit::mysql
