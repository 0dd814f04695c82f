/// \file table.hpp
/// The structs of abi.h as C++ values: what a backend returns and what it is asked.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

struct Column {
  std::string name;
  std::string type_name;  ///< as the database prints it
  pk_column_kind kind = PK_COLUMN_OTHER;
  bool nullable = true;
};

struct Index {
  static constexpr std::uint32_t expression = std::numeric_limits<std::uint32_t>::max();
  std::string name;
  std::vector<std::uint32_t> columns;  ///< positions in Table::columns, or `expression`
  bool unique = false;
  bool partial = false;
};

/// A foreign key that points at the described table.
struct Reference {
  std::string name;
  std::string child_schema;
  std::string child_table;
  std::vector<std::string> child_columns;
  std::vector<std::string> parent_columns;
  pk_fk_action action = PK_FK_RESTRICT;
  bool child_indexed = false;
  bool enforced = true;
};

struct Table {
  std::string schema;
  std::string name;
  pk_table_kind kind = PK_TABLE_BASE;
  bool transactional = true;
  bool can_select = true;
  bool can_delete = true;
  bool rows_hidden = false;
  std::string storage;
  std::string identity;
  std::vector<Column> columns;
  std::vector<std::uint32_t> key;
  std::vector<Index> indexes;
  std::vector<Reference> references;
  std::vector<std::string> delete_triggers;
  std::uint64_t partition_count = 0;
  std::int64_t rows_estimate = -1;
  std::int64_t bytes = -1;
  std::int64_t index_bytes = -1;
  std::string grant_hint;

  const Column* find(std::string_view column) const {
    for (const Column& c : columns) {
      if (c.name == column) return &c;
    }
    return nullptr;
  }
};

struct TableName {
  std::string schema;
  std::string name;
  bool schema_quoted = false;
  bool name_quoted = false;
};

struct Option {
  std::string key;
  std::string value;
};

/// A parsed URL. The password is in here: never print this struct.
struct ConnectParams {
  std::string scheme;
  std::string user;
  std::string password;
  std::string host;
  std::uint32_t port = 0;
  std::uint32_t connect_timeout_ms = 10'000;
  std::string database;
  std::vector<Option> options;
  std::uint32_t lock_wait_ms = 1'000;
  std::uint32_t statement_timeout_ms = 0;

  /// Value of an option, or nullptr.
  const std::string* option(std::string_view key) const {
    for (const Option& o : options) {
      if (o.key == key) return &o.value;
    }
    return nullptr;
  }
};

struct Server {
  std::string product;
  std::string version;
  std::int64_t clock_utc_ns = 0;
  bool read_only = false;
  bool tls = false;
  bool tls_verified = false;
  bool loopback = false;
  std::string database;
  std::string identity;
  std::vector<std::string> warnings;
};

struct Dependent {
  std::string schema;
  std::string table;
  std::vector<std::string> columns;
  std::vector<std::string> parent_columns;
  bool unless_referenced = false;
  std::uint32_t parent = 0;  ///< 0: the purge's own table; k: dependent k - 1
};

/// See pk_archive_column.
struct ArchiveColumn {
  std::string target;
  pk_archive_from from = PK_ARCHIVE_FROM_COLUMN;
  std::string source{};
  Value value{};
  bool operator==(const ArchiveColumn&) const = default;
};

/// Table that keeps deleted rows. See pk_archive.
struct ArchiveTable {
  std::string schema;
  std::string table;
  bool is_mapped = false;
  std::vector<ArchiveColumn> columns{};  ///< mapped: what is not by name
  bool operator==(const ArchiveTable&) const = default;
};

/// See pk_restore. The predicate lives for the call only.
struct Restore {
  std::string schema;
  std::string table;
  ArchiveTable archive;
  std::string run_id;
  const pk_predicate* predicate = nullptr;  ///< nullptr: all
  pk_conflict conflict = PK_CONFLICT_REFUSE;
  std::uint32_t lock_wait_ms = 1'000;
};

struct Restored {
  std::int64_t chunk = 0;
  std::int64_t rows_restored = 0;
  std::int64_t rows_skipped = 0;
  bool done = false;
};

/// See pk_load. The values live for the call only.
struct Load {
  std::string schema;
  std::string table;
  ArchiveTable archive;
  std::string run_id;
  std::int64_t chunk = 0;
  std::int64_t archived_ns = 0;
  std::vector<Column> columns;
  const pk_value* values = nullptr;
  std::size_t rows = 0;
};

/// What there is in the place of an archive table.
struct ArchiveInfo {
  pk_archive_state state = PK_ARCHIVE_ABSENT;
  bool can_create = true;
  bool can_write = true;
  std::string problem;
  std::string ddl;
  std::string grant_hint;
  std::vector<std::string> lost{};
};

/// The predicate is the caller's and lives for the call only; render it at once.
struct Purge {
  std::string schema;
  std::string table;
  const pk_predicate* predicate = nullptr;
  std::string walk;
  std::vector<Dependent> dependents;
  std::vector<ArchiveTable> archives;  ///< none, or of the table and then of each dependent
  std::string run_id;                  ///< written into archived rows
  const pk_sink* sink = nullptr;       ///< the host's, valid until the next prepare; nullptr: deleted rows go nowhere
};

struct Walk {
  std::string id;
  std::string strategy;
  std::string index;
  double cost = 1;
  std::string reason;
};

/// See pk_move.
struct Move {
  Walk walk;
  std::string problem;  ///< why it can't be done here; empty: it can
  std::int64_t rows = -1;
  std::int64_t window_ms = -1;
  std::int64_t needed_bytes = 0;
};

struct Slot {
  std::string key;
  std::int64_t epoch = 0;
  std::int64_t seq = 0;
  std::string run_id;
  std::string policy_hash;
  std::int64_t cutoff_ns = 0;
  std::string cursor;
  std::int64_t pass = 0;
  std::int64_t rows_deleted = 0;
  std::string state;
  std::string document;
};

/// What a database says of its load.
struct Signal {
  std::string name;  ///< with its unit
  double value = 0;
  double limit = 0;  ///< a gentle purge waits above; 0: only shown
  double shared_chunk_ms = 0;  ///< 0, or the longest chunk while others are at work, as this signal tells
  double shared_time = 1;      ///< the share of all time that chunks may take then
};

/// What a user's own query gave.
struct Measure {
  double elapsed_ms = 0;
  std::optional<double> value;  ///< first column of the first row, when it is a number
};

/// What a table takes up, in bytes; -1 unknown.
struct Space {
  std::int64_t bytes = -1;
  std::int64_t reusable_bytes = -1;
  std::int64_t dead_bytes = -1;
  std::int64_t needed_bytes = 0;  ///< room that giving space back takes meanwhile
  std::int64_t free_bytes = -1;   ///< room left where the table lies
  std::string advice;
};

/// pk_shared_slot.
struct SharedSlot {
  std::int64_t epoch = -1;
  std::int64_t clock_utc_ns = -1;
};

/// The walk by keys that the predicate names: see pk_purge.walk.
inline constexpr const char* keys_walk = "keys";

struct RunRecord {
  std::string id;
  std::string document;
};

struct Ledger {
  pk_ledger_state state = PK_LEDGER_ABSENT;
  bool can_create = true;
  bool can_write = true;
  std::string ddl;
  std::string grant_hint;
};

struct Range {
  std::string cursor;
  std::int64_t max_rows = 1'000;
  std::uint32_t lock_wait_ms = 1'000;
  std::int64_t chunk = 1;  ///< written into archived rows
  std::string until;       ///< a cut of split(): the pass ends there; empty: at the end of the table
  std::uint32_t window_ms = 0;  ///< a move that keeps others waiting for longer is undone; 0: no limit
};

struct Deleted {
  std::int64_t rows_deleted = 0;
  std::int64_t rows_visited = 0;
  std::string cursor;
  bool done = false;
  double share_done = -1;
};

}  // namespace purgekit::sdk
