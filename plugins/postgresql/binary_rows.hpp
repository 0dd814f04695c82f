/// \file binary_rows.hpp
/// Rows in the server's binary form. libpqxx asks for text only, so this is libpq.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compat.hpp"
#include "purgekit/sdk/row_batch.hpp"
#include "raw_result.hpp"

namespace purgekit::postgresql {

/// The whole answer to one statement.
class BinaryRows {
 public:
  /// \throws what libpqxx would
  static BinaryRows of(PGconn* connection, const std::string& text, const std::vector<Param>& params);

  std::int64_t rows() const { return PQntuples(result_.get()); }
  /// All rows, their columns as PgDialect::for_sink selects them. \throws sdk::Error
  void give(sdk::RowBatch& batch, std::size_t columns) const;

 private:
  explicit BinaryRows(PGresult* result) : result_(result) {}

  RawResult result_;
};

}  // namespace purgekit::postgresql
