/// \file copy_in.hpp
/// Rows to the server by COPY FROM STDIN. libpqxx builds the statement of a COPY itself and tells no count, so this is libpq.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "compat.hpp"

namespace purgekit::postgresql {

/// One COPY under way; given up by the server when it is left without finish().
class CopyIn {
 public:
  /// \throws what libpqxx would, as do the others
  CopyIn(PGconn* connection, std::string text);
  CopyIn(const CopyIn&) = delete;
  CopyIn& operator=(const CopyIn&) = delete;
  ~CopyIn();

  void put(std::string_view rows);
  /// \returns how many rows the table took
  std::int64_t finish();

 private:
  PGconn* connection_;
  std::string text_;
  bool is_open_ = true;
};

}  // namespace purgekit::postgresql
