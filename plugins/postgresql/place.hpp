/// \file place.hpp
/// Where a walk stands, as cursor text in the ledger and back. What is read may have been changed by anybody who can write there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace purgekit::postgresql {

/// A row address: in SQL it is written '(page,line)'.
struct Address {
  std::int64_t page = 0;
  std::int64_t line = 0;
  std::string text() const { return "(" + std::to_string(page) + "," + std::to_string(line) + ")"; }
};

/// Of the walk in physical order.
struct TidPlace {
  std::int64_t leaf = 0;
  Address at;
  std::int64_t end_page = 0;  ///< of this leaf, as it was when the walk entered it

  std::string text() const;
  /// Nothing when it is the cursor of another walk, or none that this walk can have written.
  static std::optional<TidPlace> parse(std::string_view text);
};

/// Of a move by partitions: the last one that was looked at.
struct PartPlace {
  std::int64_t leaf = 0;

  std::string text() const;
  /// Nothing when it is the cursor of another walk, or none that this move can have written.
  static std::optional<PartPlace> parse(std::string_view text);
};

/// An entry of an index; equal column values are told apart by the row's address.
struct IndexEntry {
  std::string column;
  std::string ctid;
};

/// Of the walk along an index.
struct IndexPlace {
  std::int64_t leaf = 0;
  std::string last;            ///< largest column value of this leaf to go to, as it was when the walk entered it
  std::optional<IndexEntry> after;  ///< last entry visited

  std::string text() const;
  /// Nothing when it is the cursor of another walk. \throws sdk::Error PK_CORRUPT when it is a damaged one of this.
  static std::optional<IndexPlace> parse(std::string_view text);
};

}  // namespace purgekit::postgresql
