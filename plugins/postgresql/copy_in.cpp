#include "copy_in.hpp"

#include <charconv>
#include <utility>

#include "raw_result.hpp"

namespace purgekit::postgresql {

CopyIn::CopyIn(PGconn* connection, std::string text) : connection_(connection), text_(std::move(text)) {
  const RawResult result(PQexec(connection_, text_.c_str()));
  if (PQresultStatus(result.get()) != PGRES_COPY_IN) throw_failure(connection_, result, text_);
}

CopyIn::~CopyIn() {
  if (!is_open_) return;
  PQputCopyEnd(connection_, "not all rows could be given");
  while (RawResult(PQgetResult(connection_))) {}
}

void CopyIn::put(std::string_view rows) {
  if (PQputCopyData(connection_, rows.data(), static_cast<int>(rows.size())) != 1) throw_failure(connection_, nullptr, text_);
}

std::int64_t CopyIn::finish() {
  if (PQputCopyEnd(connection_, nullptr) != 1) throw_failure(connection_, nullptr, text_);
  is_open_ = false;
  const RawResult result(PQgetResult(connection_));
  while (RawResult(PQgetResult(connection_))) {}
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) throw_failure(connection_, result, text_);
  const std::string_view count = PQcmdTuples(result.get());
  std::int64_t rows = 0;
  std::from_chars(count.data(), count.data() + count.size(), rows);
  return rows;
}

}  // namespace purgekit::postgresql
