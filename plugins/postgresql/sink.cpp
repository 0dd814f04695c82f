// Deleted rows on their way to the host.
#include "connection.hpp"

namespace purgekit::postgresql {

// libpq has the answer to a statement as a whole, before its first row can be looked at: as much as a chunk.
void PgConnection::stream(const std::string& text, const std::vector<sdk::Value>& params, const std::function<void(sdk::Row)>& visit) {
  for_each_row(line_.run(text, params), visit);
}

// What was handed over can't be taken back, so a range that proves too long is undone before.
RangeRemover::Removed PgConnection::remove_to_sink(const sdk::SinkWriter& writer, const sdk::Sql& statement, std::int64_t max_rows) {
  const sdk::Sql reading = writer.reading(statement, collect_);
  const auto undone = [&](std::int64_t rows) {
    if (rows > max_rows) line_.undo_range();
    return rows > max_rows;
  };
  collected_.clear();
  if (collect_.empty()) {
    const BinaryRows answer = line_.run_binary(reading.text(), reading.params());
    if (undone(answer.rows())) return {answer.rows(), true};
    sdk::RowBatch batch = writer.batch();
    answer.give(batch, writer.width());
    batch.flush();
    return {answer.rows(), false};
  }
  const pqxx::result result = line_.run(reading.text(), reading.params());
  const auto rows = static_cast<std::int64_t>(result.size());
  if (undone(rows)) return {rows, true};
  sdk::SinkWriter::Hand hand(writer);
  for_each_row(result, [&](sdk::Row row) { hand.add(std::move(row)); });
  collected_ = hand.finish().second;
  return {rows, false};
}

}  // namespace purgekit::postgresql
