#include "archive_load.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "archive.hpp"
#include "chunk_rows.hpp"
#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/restore.hpp"
#include "row_values.hpp"

namespace purgekit {
namespace {

using sdk::Column;
using sdk::Table;

constexpr std::size_t batch_bytes = std::size_t{4} << 20;  // of lines that are read at a time

/// A pk_load with the views that it points to.
class LoadRequest {
 public:
  LoadRequest(const RestorePart& part, const std::string& run_id) {
    columns_.reserve(part.files->columns.size());
    for (const Column& c : part.files->columns) {
      columns_.push_back({sdk::to_text(c.name), sdk::to_text(c.type_name), static_cast<std::uint32_t>(c.kind), static_cast<std::uint8_t>(c.nullable), {}});
    }
    load_.schema = sdk::to_text(part.source.schema);
    load_.table = sdk::to_text(part.source.name);
    load_.archive = {sdk::to_text(part.archive.schema), sdk::to_text(part.archive.name), nullptr, 0, 0, {}};
    load_.run_id = sdk::to_text(run_id);
    load_.columns = columns_.data();
    load_.column_count = columns_.size();
  }

  pk_load& get() { return load_; }

 private:
  std::vector<pk_column> columns_;
  pk_load load_{};
};

// By its columns; what is done to it is another matter.
void check_columns(const Table& source, const std::optional<Table>& archive, const FileTable& files) {
  const std::string name = table_name_text(source.schema, source.name);
  for (const Column& column : files.columns) {
    const Column* now = source.find(column.name);
    if (now == nullptr) {
      refuse("schema_changed", "table " + name + " has no column " + printable(column.name) + " (" + printable(column.type_name) + ") any more, which the archive files hold; nothing was changed: add it to the table");
    }
    if (now->type_name != column.type_name) {
      refuse("schema_changed", "column " + printable(column.name) + " of table " + name + " is " + now->type_name + " now, in the archive files it is " + printable(column.type_name) +
                                   "; nothing was changed: give it that type again, or load what purgekit archive export writes");
    }
    if (!archive) continue;
    const Column* kept = archive->find(column.name);
    if (kept != nullptr && kept->type_name == column.type_name) continue;
    refuse("archive_unfit", "archive table " + table_name_text(archive->schema, archive->name) + ", into which the files' rows would be loaded, " + (kept == nullptr ? "lacks" : "has another type for") + " column " +
                                printable(column.name) + " (" + printable(column.type_name) + "); nothing was changed: change it, or rename it away");
  }
}

}  // namespace

sdk::ArchiveTable loading_place(const std::string& table) {
  const sdk::TableName name = parse_table_name(table);
  return default_archive(name.schema, name.name);
}

std::optional<Table> loading_table(Session& session, const Table& source, const FileTable& files) {
  const sdk::ArchiveTable place = default_archive(source.schema, source.name);
  std::optional<Table> archive;
  try {
    archive = session.describe({place.schema, place.table, true, true});
  } catch (const sdk::Error& e) {
    if (e.code() != PK_NOT_FOUND) throw;
  }
  if (archive) sdk::check_restorable(source, *archive);
  check_columns(source, archive, files);
  // Of a table that got columns since, an archive of before lacks them, and need not have them for this.
  const bool whole = !archive || std::all_of(source.columns.begin(), source.columns.end(), [&](const Column& c) { return archive->find(c.name) != nullptr; });
  const LoweredPredicate none = lower_no_rows();
  if (whole) check_archives(session, {place}, PurgeSpec(source, none.view(), "", {}, {place}, ""), true);
  return archive;
}

Table future_archive(const FileTable& files) {
  const sdk::ArchiveTable place = loading_place(files.table);
  Table out;
  out.schema = place.schema;
  out.name = place.table;
  out.columns = files.columns;
  out.columns.push_back({sdk::archive_run_column, "text", PK_COLUMN_TEXT, false});
  out.columns.push_back({sdk::archive_chunk_column, "bigint", PK_COLUMN_INT, false});
  out.columns.push_back({sdk::archive_instant_column, "timestamp", PK_COLUMN_TIMESTAMP_ZONED, false});
  return out;
}

void make_archive(Session& session, const RestorePart& part) {
  LoadRequest request(part, "");
  session.archive_make(request.get());
}

std::vector<LoadChunk> load_chunks(const FileTable& files) {
  std::map<std::int64_t, LoadChunk> by_number;
  for (const FileChunk& piece : files.chunks) {
    LoadChunk& chunk = by_number[piece.number];
    chunk.number = piece.number;
    chunk.rows += piece.rows;
    chunk.pieces.push_back(&piece);
  }
  std::vector<LoadChunk> out;
  out.reserve(by_number.size());
  for (auto& [number, chunk] : by_number) out.push_back(std::move(chunk));
  return out;
}

std::int64_t rows_there(Session& session, const RestorePart& part, const std::string& run_id, std::int64_t number) {
  const Predicate wanted = Predicate::all_of({Predicate::compare(sdk::archive_run_column, PK_EQ, Value::string(run_id)),
                                              Predicate::in(sdk::archive_chunk_column, {Value::integer(number), Value::integer(-number)})});
  const Zones zones;
  const LoweredPredicate lowered = lower(wanted, {part.archive, 0, 0, zones, [](const std::string& name) -> const Table& { throw sdk::Error(PK_NOT_FOUND, "no table " + name); }});
  return session.count(PurgeSpec(part.archive, lowered.view()));
}

void load_chunk(Session& session, const RestorePart& part, const std::string& run_id, const LoadChunk& chunk) {
  const LineReader reader(part.files->columns);
  LoadRequest request(part, run_id);
  RowValues rows;
  for (const FileChunk* piece : chunk.pieces) {
    read_chunk(*piece, batch_bytes, [&](std::string_view lines) {
      rows.clear();
      reader.read(lines, rows);
      pk_load& load = request.get();
      load.chunk = chunk.number;
      load.archived_utc_ns = piece->archived_ns;
      load.values = rows.values.data();
      load.row_count = rows.rows;
      session.archive_load(load);
    });
  }
}

}  // namespace purgekit
