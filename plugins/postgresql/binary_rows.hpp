/// \file binary_rows.hpp
/// Rows in the server's binary form. libpqxx asks for text only, so this is libpq.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compat.hpp"
#include "purgekit/sdk/row_batch.hpp"

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
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };

  explicit BinaryRows(PGresult* result) : result_(result) {}

  std::unique_ptr<PGresult, Clear> result_;
};

}  // namespace purgekit::postgresql
