/// \file raw_result.hpp
/// What libpq answers to the statements that libpqxx can't send.
#pragma once

#include <memory>
#include <string>

#include "compat.hpp"

namespace purgekit::postgresql {

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using RawResult = std::unique_ptr<PGresult, ClearResult>;

/// Throws what libpqxx would. `result` may be none.
[[noreturn]] inline void throw_failure(PGconn* connection, const RawResult& result, const std::string& statement) {
  if (PQstatus(connection) != CONNECTION_OK) throw pqxx::broken_connection(PQerrorMessage(connection));
  const char* state = result ? PQresultErrorField(result.get(), PG_DIAG_SQLSTATE) : nullptr;
  throw pqxx::sql_error(result ? PQresultErrorMessage(result.get()) : PQerrorMessage(connection), statement, state == nullptr ? "" : state);
}

}  // namespace purgekit::postgresql
