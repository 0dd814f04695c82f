// What an archive table looks like here, and whether it can be written.
#include <algorithm>
#include <cctype>

#include "connection.hpp"

namespace purgekit::sqlite {

using sdk::Value;

namespace {

// A declared type may be any text. As an identifier it means the same: only the words in it decide how values are kept.
std::string type_as_sql(const sdk::Dialect& dialect, const std::string& declared) {
  const bool plain = std::all_of(declared.begin(), declared.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
  return plain ? declared : dialect.quote(declared);
}

}  // namespace

sdk::SqlConnection::ArchiveShape SqliteConnection::archive_shape(const sdk::Table& source) {
  ArchiveShape shape;
  for (const sdk::Column& column : source.columns) shape.types.push_back(type_as_sql(dialect_, column.type_name));
  // ANY keeps every value as it is in a STRICT table only.
  const bool knows_strict = sqlite3_libversion_number() >= 3'037'000;
  if (knows_strict && !db_.query("SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ? AND strict = 1", {Value::string(source.name)}).empty()) {
    shape.suffix = " STRICT";
    shape.text_type = "TEXT";
    shape.number_type = "INTEGER";
  }
  return shape;
}

void SqliteConnection::archive_rights(const sdk::ArchiveTable&, sdk::ArchiveInfo& out) {
  out.can_create = out.can_write = !db_.read_only();
  if (!out.can_write) out.grant_hint = "make " + db_.path() + " and its folder writable for this user";
}

std::vector<sdk::ArchiveInfo> SqliteConnection::archive_find(const sdk::Purge& purge) {
  const Database::Activity activity(db_);
  return SqlConnection::archive_find(purge);
}

void SqliteConnection::archive_create(const sdk::Purge& purge) {
  const Database::Activity activity(db_);
  SqlConnection::archive_create(purge);
}

}  // namespace purgekit::sqlite
