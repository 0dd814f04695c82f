/** \file abi.h
 * The plugin line of purgekit: everything that crosses between the engine and a database backend, in plain C.
 *
 * A backend is a shared library `purgekit_backend_<name>.so` exporting one symbol, `purgekit_backend_init`. The
 * host calls it with its own ABI version and a zeroed table whose `struct_size` tells how much of the table the host
 * knows; the backend fills the slots and returns PK_OK. No C++ type and no exception crosses this line. Most authors
 * never use this header directly: purgekit/sdk.hpp turns a C++ class into such a table.
 *
 * Thread rule: one pk_connection belongs to one worker; calls on it are serial. `cancel` alone may be called from any
 * thread at any time between `open` and `close`, also while `connect` is under way.
 *
 * Ownership: memory passed *in* belongs to the caller and lives for the call, unless a slot says otherwise. Memory
 * handed *out* (strings, arrays) belongs to the connection and stays valid until the next call on that connection.
 *
 * Stability: ABI 0 is experimental. Its revision must match exactly. Structs are append-only from ABI 1 on; arrays of
 * nodes carry their stride so that later versions may append members.
 */
#ifndef PURGEKIT_ABI_H
#define PURGEKIT_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "purgekit/abi_error.h"
#include "purgekit/abi_predicate.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Major version in the high half, revision in the low half. While the major is 0 both must match. */
#define PURGEKIT_ABI_VERSION ((uint32_t)((0u << 16) | 7u))
#define PURGEKIT_ENTRY_SYMBOL "purgekit_backend_init"

#if defined(_WIN32)
#define PURGEKIT_EXPORT __declspec(dllexport)
#else
#define PURGEKIT_EXPORT __attribute__((visibility("default")))
#endif

/* ------------------------------------------------------------------------------------------------ tables */

typedef enum pk_column_kind {
  PK_COLUMN_OTHER = 0, /**< can't be compared (json, geometry, …) */
  PK_COLUMN_INT = 1,
  PK_COLUMN_UINT = 2,
  PK_COLUMN_DECIMAL = 3,
  PK_COLUMN_REAL = 4,
  PK_COLUMN_BOOL = 5,
  PK_COLUMN_TEXT = 6,
  PK_COLUMN_BYTES = 7,
  PK_COLUMN_DATE = 8,
  PK_COLUMN_TIMESTAMP = 9,        /**< wall clock without a zone */
  PK_COLUMN_TIMESTAMP_ZONED = 10, /**< an instant */
  PK_COLUMN_TIME = 11,
  PK_COLUMN_UUID = 12,
  PK_COLUMN_BIT = 13,
  PK_COLUMN_ANY = 14 /**< SQLite column without a declared type: each value has its own */
} pk_column_kind;

typedef struct pk_column {
  pk_text name;
  pk_text type_name; /**< as the database prints it */
  uint32_t kind;     /**< pk_column_kind */
  uint8_t nullable;
  uint8_t reserved[3];
} pk_column;

typedef struct pk_index {
  pk_text name;
  const uint32_t* columns; /**< positions in pk_table.columns; an expression is UINT32_MAX */
  size_t column_count;
  uint8_t unique;
  uint8_t partial; /**< has a WHERE of its own: never walked */
  uint8_t reserved[6];
} pk_index;

typedef enum pk_fk_action {
  PK_FK_RESTRICT = 1, /**< RESTRICT or NO ACTION: a referenced row can't go */
  PK_FK_CASCADE = 2,
  PK_FK_SET_NULL = 3,
  PK_FK_SET_DEFAULT = 4
} pk_fk_action;

/** A foreign key of another table (or of this one) that refers to this table. */
typedef struct pk_reference {
  pk_text name;
  pk_text child_schema;
  pk_text child_table;
  const pk_text* child_columns;
  const pk_text* parent_columns;
  size_t column_count;
  uint32_t action;       /**< pk_fk_action on delete */
  uint8_t child_indexed; /**< an index of the child leads with these columns */
  uint8_t enforced;      /**< false: declared but not checked by this database */
  uint8_t reserved[2];
} pk_reference;

typedef enum pk_table_kind { PK_TABLE_BASE = 1, PK_TABLE_VIEW = 2, PK_TABLE_FOREIGN = 3, PK_TABLE_SYSTEM = 4 } pk_table_kind;

/** What the catalogue says of a table. */
typedef struct pk_table {
  pk_text schema; /**< empty when the database has none */
  pk_text name;   /**< exact name */
  uint32_t kind;  /**< pk_table_kind */
  uint8_t transactional; /**< false: the storage engine can't roll back */
  uint8_t can_select;
  uint8_t can_delete;
  uint8_t rows_hidden; /**< a row security policy would hide rows from this user */
  pk_text storage;     /**< engine or access method, for people ("InnoDB", "heap", "rowid") */
  pk_text identity;    /**< differs when the table was dropped and made again (object id, …) */
  const pk_column* columns;
  size_t column_count;
  const uint32_t* key; /**< columns of the primary key, or of the unique NOT NULL key that serves; may be empty */
  size_t key_count;
  const pk_index* indexes;
  size_t index_count;
  const pk_reference* references;
  size_t reference_count;
  const pk_text* delete_triggers;
  size_t delete_trigger_count;
  uint64_t partition_count; /**< leaf partitions; 0 when not partitioned */
  int64_t rows_estimate;    /**< from statistics; -1 unknown */
  int64_t bytes;            /**< table without indexes; -1 unknown */
  int64_t index_bytes;      /**< -1 unknown */
  pk_text grant_hint;       /**< the GRANT that would give what is missing, or empty */
} pk_table;

/** A table as the operator wrote it. */
typedef struct pk_table_name {
  pk_text schema;       /**< empty: the connection's default */
  pk_text name;
  uint8_t schema_quoted; /**< written in double quotes: match exactly */
  uint8_t name_quoted;
  uint8_t reserved[6];
} pk_table_name;

/* -------------------------------------------------------------------------------------------------- verbs */

typedef struct pk_option {
  pk_text key;
  pk_text value;
} pk_option;

/** A parsed database URL. Empty text: not given. */
typedef struct pk_connect {
  pk_text scheme; /**< as in the URL, without "+driver" */
  pk_text user;
  pk_text password; /**< never to be printed or kept longer than needed to reconnect */
  pk_text host;
  uint32_t port; /**< 0: not given */
  uint32_t connect_timeout_ms;
  pk_text database; /**< name or file path */
  const pk_option* options;
  size_t option_count;
  uint32_t lock_wait_ms; /**< default budget of one wait for a lock */
  uint32_t statement_timeout_ms; /**< bound of any single statement; 0: none */
} pk_connect;

/** Facts about the server behind a connection. */
typedef struct pk_server {
  pk_text product;        /**< "PostgreSQL", "MariaDB", … */
  pk_text version;        /**< "15.6" */
  int64_t clock_utc_ns;   /**< the database's clock */
  uint8_t read_only;
  uint8_t tls;            /**< the line is encrypted, or local */
  uint8_t tls_verified;   /**< the server's certificate and name were checked, or the line is local */
  uint8_t loopback;       /**< file, socket or loopback address */
  uint8_t reserved[4];
  pk_text database; /**< how to name this database to people: no secret in it */
  pk_text identity; /**< the same for every connection to this database, differs between databases */
  const pk_text* warnings; /**< settings that hurt, one line each */
  size_t warning_count;
} pk_server;

/** A child table cleaned in the parent's chunk: rows whose `columns` equal a deleted parent's `parent_columns`. Without
 * `unless_referenced` they go before their parents, so that no foreign key is in the way or deletes them uncounted. */
typedef struct pk_dependent {
  pk_text schema;
  pk_text table;
  const pk_text* columns;
  const pk_text* parent_columns;
  size_t column_count;
  uint8_t unless_referenced; /**< keep the child while any row of the parent table still has these values */
  uint8_t reserved[3];
  uint32_t parent; /**< 0: the purge's own table; k: dependent k - 1, which stands before this one; neither is unless_referenced then */
} pk_dependent;

/** What goes into a column of a table that rows are moved into. */
typedef enum pk_archive_from {
  PK_ARCHIVE_FROM_COLUMN = 1,  /**< a column of the source */
  PK_ARCHIVE_FROM_VALUE = 2,   /**< the same value for every row; INSTANT or WALL for time types */
  PK_ARCHIVE_FROM_RUN = 3,     /**< pk_purge.run_id */
  PK_ARCHIVE_FROM_DEFAULT = 4  /**< nothing: its own default */
} pk_archive_from;

typedef struct pk_archive_column {
  pk_text target; /**< exact names */
  pk_text source; /**< FROM_COLUMN */
  pk_value value; /**< FROM_VALUE */
  uint32_t from;  /**< pk_archive_from */
  uint32_t reserved;
} pk_archive_column;

/** Table that keeps deleted rows. Not mapped, it is purgekit's own: the source's columns, then purgekit_run_id, purgekit_chunk and
 * purgekit_archived_utc. Mapped, it is somebody else's, which is never made or altered: `columns` tells what goes into some of its
 * columns, a source's column of the same name goes into each other one, and those that the database fills by itself are left to it. */
typedef struct pk_archive {
  pk_text schema; /**< exact names */
  pk_text table;
  const pk_archive_column* columns;
  size_t column_count;
  uint8_t is_mapped;
  uint8_t reserved[7];
} pk_archive;

struct ArrowSchema; /**< of the Arrow C data interface: https://arrow.apache.org/docs/format/CDataInterface.html */
struct ArrowArray;

/** Takes rows out of a chunk. Belongs to the host, which keeps it valid until the next `prepare` or `close`. */
typedef struct pk_sink {
  void* self;
  /** Rows of table number `table` (0: the purge's own, then the dependents), each as it was when deleted: a struct array with the table's
   * columns in the order of `describe`, all of them. A field's metadata holds the column's type as the database prints it ("purgekit.type").
   * Called on the thread of the verb, within its transaction, as often as need be. The callee releases schema and array, whatever it
   * returns, perhaps later and on another thread; anything but PK_OK fails the verb with that error. */
  int32_t (*take)(void* self, size_t table, struct ArrowSchema* schema, struct ArrowArray* rows, pk_error* error);
} pk_sink;

/** Everything a chunk needs, given once with `prepare` and again after each reconnect. */
typedef struct pk_purge {
  pk_text schema;
  pk_text table;
  const pk_predicate* predicate; /**< condition deleted by, with guards for references */
  /** Id of a walk that `propose` offered; or "keys", which is not offered: one range of all rows that satisfy the predicate, found through
   * the keys that it names. */
  pk_text walk;
  const pk_dependent* dependents;
  size_t dependent_count;
  /** None, or 1 + dependent_count: of the table, then of each dependent. What delete_range and delete_children delete is put
   * there in the same transaction, each row as it was when deleted; a verb that can't keep all of them fails. */
  const pk_archive* archives;
  size_t archive_count;
  pk_text run_id; /**< written into each archived row */
  /** Where the deleted rows go, or NULL; never together with archives. What delete_range and delete_children delete is given to it,
   * before the verb returns; a verb that can't give all of them fails. */
  const pk_sink* sink;
} pk_purge;

typedef enum pk_archive_state {
  PK_ARCHIVE_ABSENT = 0,
  PK_ARCHIVE_PRESENT = 1,
  PK_ARCHIVE_UNFIT = 2 /**< there is a table of that name, but the rows would not fit into it: see `problem` */
} pk_archive_state;

typedef struct pk_archive_info {
  uint32_t state;     /**< pk_archive_state */
  uint8_t can_create; /**< ABSENT: this user may create it */
  uint8_t can_write;  /**< PRESENT: this user may insert into it */
  uint8_t reserved[2];
  pk_text problem;    /**< UNFIT: one line for people, with the way out */
  pk_text ddl;        /**< what an administrator would run to make it */
  pk_text grant_hint; /**< and to let this user use it */
  const pk_text* lost; /**< PRESENT and mapped: columns of the source that go nowhere */
  size_t lost_count;
} pk_archive_info;

typedef struct pk_archive_infos {
  const pk_archive_info* items;
  size_t count;
} pk_archive_infos;

/** A way to go through the table. */
typedef struct pk_walk {
  pk_text id;       /**< given back in pk_purge.walk */
  pk_text strategy; /**< "rowid-range", "tid-range", "key-range", "index-range", "scan" */
  pk_text index;    /**< index walked, or empty */
  double cost;      /**< relative: 1 is one sequential read of the whole table */
  pk_text reason;   /**< for people */
} pk_walk;

typedef struct pk_walks {
  const pk_walk* walks;
  size_t count;
} pk_walks;

/** A way to purge a table in few strokes, each under an exclusive lock. Taken only when a policy asks for its strategy: others wait
 * meanwhile. What it leaves is exactly what the predicate leaves; the table is afterwards what it was before, but for the rows. */
typedef struct pk_move {
  pk_walk walk;         /**< strategy: "partition", "swap", "truncate"; `id` is for pk_purge.walk, delete_range makes a stroke */
  pk_text problem;      /**< why it can't be done here, with the way out; empty: it can */
  int64_t rows;         /**< rows that would go, estimated; -1 unknown */
  int64_t window_ms;    /**< longest time that others would wait, estimated; -1 unknown */
  int64_t needed_bytes; /**< room on the volume that it takes meanwhile */
} pk_move;

typedef struct pk_moves {
  const pk_move* items;
  size_t count;
} pk_moves;

/** What the ledger holds for one table and worker. Text members are UTF-8, at most 4000 bytes. */
typedef struct pk_slot {
  pk_text key; /**< table identity and worker number */
  int64_t epoch; /**< raised by each start; a chunk under an older epoch is fenced out */
  int64_t seq;   /**< raised by each committed chunk */
  pk_text run_id;
  pk_text policy_hash;
  int64_t cutoff_ns; /**< "now" of the walk in hand */
  pk_text cursor;    /**< the backend's own words; empty: start of the table */
  int64_t pass;
  int64_t rows_deleted; /**< of the run, over all tables */
  pk_text state;        /**< engine's own words */
  pk_text document;     /**< engine's own JSON */
} pk_slot;

/** What a transaction that shares a slot is told. */
typedef struct pk_shared_slot {
  int64_t epoch;        /**< -1: there is no such slot */
  int64_t clock_utc_ns; /**< the database's clock as of this call; -1: ask `inspect` */
} pk_shared_slot;

/** One purge of one table, for history. */
typedef struct pk_run {
  pk_text id;       /**< run id and policy number */
  pk_text document; /**< engine's own JSON */
} pk_run;

typedef struct pk_runs {
  const pk_run* runs;
  size_t count;
} pk_runs;

/** OLDER: of an earlier version; it can be read and written, and ledger_create brings it to the backend's own. */
typedef enum pk_ledger_state { PK_LEDGER_ABSENT = 0, PK_LEDGER_PRESENT = 1, PK_LEDGER_NEWER = 2, PK_LEDGER_FOREIGN = 3, PK_LEDGER_OLDER = 4 } pk_ledger_state;

typedef struct pk_ledger {
  uint32_t state;      /**< pk_ledger_state */
  uint8_t can_create;  /**< this user may create it */
  uint8_t can_write;   /**< this user may insert and update in it */
  uint8_t reserved[2];
  pk_text ddl;         /**< what an administrator would run to make it */
  pk_text grant_hint;  /**< and to let this user use it */
} pk_ledger;

typedef struct pk_range {
  pk_text cursor;        /**< where the last chunk ended; empty: start */
  int64_t max_rows;      /**< visit at most this many rows (more or less, where the walk goes by pages) */
  uint32_t lock_wait_ms; /**< longest wait for a locked row, or for a move's lock */
  uint32_t window_ms;    /**< a move that keeps others waiting for longer is undone: PK_STATEMENT_TIMEOUT; 0: no limit */
  int64_t chunk;         /**< number of this chunk, written into archived rows */
  pk_text until;         /**< one of the cuts that `split` gave: the pass ends there; empty: at the end of the table */
} pk_range;

typedef struct pk_deleted {
  int64_t rows_deleted;
  int64_t rows_visited; /**< best guess */
  pk_text cursor;       /**< end of this chunk: where the next one starts */
  uint8_t done;         /**< nothing lies behind this chunk */
  uint8_t reserved[7];
  double share_done;    /**< 0 to 1 of the table walked, -1 unknown */
} pk_deleted;

typedef struct pk_samples {
  const pk_value* values; /**< INT, REAL, DECIMAL as stored; INSTANT or WALL for time types and readable text */
  size_t count;           /**< the newest (largest) value first, then others from all over the table */
} pk_samples;

typedef struct pk_texts {
  const pk_text* items;
  size_t count;
} pk_texts;

/** Something that tells how hard pressed a database is. */
typedef struct pk_signal {
  pk_text name;  /**< with its unit: "redo_log_used_pct", "threads_running" */
  double value;
  double limit;  /**< a gentle purge waits while the value is above; 0: only shown */
  double shared_chunk_ms; /**< 0, or: others are at work, as this value tells, and a gentle purge keeps its chunks to this time */
  double shared_time;     /**< the share of all time, above 0 to 1, that its chunks may take then */
} pk_signal;

typedef struct pk_signals {
  const pk_signal* items;
  size_t count;
} pk_signals;

/** What a user's own query gave. */
typedef struct pk_measure {
  double elapsed_ms;   /**< from sending the query to its last row, without what is done before and after it */
  double value;        /**< the first column of the first row */
  uint8_t has_value;   /**< there is a row, and that column is a number */
  uint8_t reserved[7];
} pk_measure;

typedef enum pk_conflict {
  PK_CONFLICT_REFUSE = 0,  /**< PK_DATA with the constraint, and nothing of this chunk is restored */
  PK_CONFLICT_SKIP = 1,    /**< the archived row stays where it is, unmarked */
  PK_CONFLICT_REPLACE = 2  /**< the archived row takes the place of the one with its primary key */
} pk_conflict;

/** Rows to put back from an archive table. */
typedef struct pk_restore {
  pk_text schema; /**< of the table they came from; exact names */
  pk_text table;
  pk_archive archive;
  pk_text run_id;                /**< of the run that archived them */
  const pk_predicate* predicate; /**< over the table's columns, as the archive holds them; NULL: all */
  uint32_t conflict;             /**< pk_conflict */
  uint32_t lock_wait_ms;
} pk_restore;

/** Rows out of an archive file, for an archive table. */
typedef struct pk_load {
  pk_text schema; /**< of the table they came from; exact names */
  pk_text table;
  pk_archive archive;
  pk_text run_id;          /**< of the run that archived them */
  int64_t chunk;           /**< number of the chunk, above 0 */
  int64_t archived_utc_ns; /**< when they were archived */
  const pk_column* columns; /**< of each row, exact names; the table may have others by now */
  size_t column_count;
  const pk_value* values; /**< column_count for each row, one row after the other, in the form in which a sink took them (pk_sink) */
  size_t row_count;
} pk_load;

typedef struct pk_restored {
  int64_t chunk; /**< the archived chunk that was worked on */
  int64_t rows_restored;
  int64_t rows_skipped; /**< in conflict with rows that are there */
  uint8_t done;         /**< there was no such chunk: nothing is left behind it */
  uint8_t reserved[7];
} pk_restored;

/** What a table takes up. All figures in bytes, -1 unknown. */
typedef struct pk_space {
  int64_t bytes;          /**< in files: table, its out-of-line values and its indexes; the whole file where all tables share one */
  int64_t reusable_bytes; /**< of these, free for new rows of this table (or of this database, where files are shared) */
  int64_t dead_bytes;     /**< of these, taken by deleted rows that nothing has cleaned away yet */
  int64_t needed_bytes;   /**< room on the volume that PK_CARE_SPACE takes meanwhile, were no row gone; 0: none */
  int64_t free_bytes;     /**< room left on that volume */
  pk_text advice;         /**< what would give the rest back and at what cost, or empty */
} pk_space;

/** What to do for a table after a purge. */
typedef enum pk_care {
  PK_CARE_STATISTICS = 1, /**< bring the optimizer's statistics up to date */
  PK_CARE_SPACE = 2       /**< and give space back, in the way that hinders others least */
} pk_care;

typedef struct pk_connection pk_connection; /**< opaque: the backend's own */

/** The table of verbs. Slots marked (required) must be filled; the host fills the others with NOT_SUPPORTED.
 * Each returns a pk_code and, unless PK_OK, fills the error. No verb commits but those that say so. */
typedef struct pk_backend {
  size_t struct_size;  /**< set by the host before init: bytes of this struct it knows; lowered by an older backend */
  uint32_t abi;        /**< set by the backend: the PURGEKIT_ABI_VERSION it was built with */
  uint32_t reserved;
  const char* name;    /**< (required) "sqlite"; lower case, stays valid for ever */
  const char* version; /**< (required) of the backend and of the client library, for people */
  const char* schemes; /**< (required) URL schemes, separated by blanks */
  const char* maturity; /**< "experimental" or "stable" */
  void* self;          /**< handed to `open` */

  /** (required) Make a connection object; does not reach out to the database. */
  int32_t (*open)(void* self, pk_connection** out, pk_error* error);
  /** (required) Connect. May be called again after CONNECTION_LOST, on the same object. */
  int32_t (*connect)(pk_connection*, const pk_connect*, pk_error*);
  /** (required) Close and free. Rolls back what is open. Never fails. */
  void (*close)(pk_connection*);
  /** (required) Ask the call under way to end with PK_CANCELLED. Any thread. Never blocks for longer than a connect. */
  void (*cancel)(pk_connection*);

  /** (required) Version, clock, settings. */
  int32_t (*inspect)(pk_connection*, pk_server* out, pk_error*);
  /** (required) Find a table: exact name first, then without regard to case if that is unique. PK_NOT_FOUND if none. */
  int32_t (*describe)(pk_connection*, const pk_table_name*, pk_table* out, pk_error*);
  /** Names of tables one could have meant (those of the default or the named schema). */
  int32_t (*tables)(pk_connection*, const pk_table_name*, pk_texts* out, pk_error*);
  /** (required) Count the rows of `purge.table` that satisfy its predicate. Ends early by cancel. */
  int32_t (*count)(pk_connection*, const pk_purge*, int64_t* rows, pk_error*);
  /** Estimate the same in a few milliseconds from statistics or samples. */
  int32_t (*estimate)(pk_connection*, const pk_purge*, int64_t* rows, pk_error*);
  /** Key of one row that satisfies the predicate, as text for people, or empty. It is looked for through the index of `purge.walk`, where
   * that is a walk along one. */
  int32_t (*sample_key)(pk_connection*, const pk_purge*, pk_text* out, pk_error*);
  /** Values of a column, to see whether unit and zone are plausible. */
  int32_t (*sample_column)(pk_connection*, const pk_purge*, pk_text column, pk_samples* out, pk_error*);
  /** (required) Offer ways to walk, best first or not; `rows_matching` is -1 when unknown. */
  int32_t (*propose)(pk_connection*, const pk_purge*, int64_t rows_total, int64_t rows_matching, pk_walks* out, pk_error*);
  /** (required) Render the statements of a chunk and keep them. Out: their text, for the plan. */
  int32_t (*prepare)(pk_connection*, const pk_purge*, pk_texts* statements, pk_error*);

  /** Refuse quickly when another purge of this table runs: PK_LOCK_TIMEOUT if so. Held until unlock or disconnect. */
  int32_t (*lock_run)(pk_connection*, pk_text key, pk_error*);
  int32_t (*unlock_run)(pk_connection*, pk_text key, pk_error*);

  /** (required) Look for the ledger `name` ("schema.table" or "table"); remembered for the calls below. */
  int32_t (*ledger_find)(pk_connection*, const pk_table_name* name, pk_ledger* out, pk_error*);
  /** (required) Make it, or bring an older one to this version. Commits. */
  int32_t (*ledger_create)(pk_connection*, pk_error*);
  /** (required) Begin a transaction, lock the slot `key` (waiting at most `wait_ms`), making it when it is absent,
   * and read it. The transaction stays open for slot_write and commit, or rollback. */
  int32_t (*slot_lock)(pk_connection*, pk_text key, uint32_t wait_ms, pk_slot* out, pk_error*);
  /** (required) Write all members of a slot, in the open transaction. */
  int32_t (*slot_write)(pk_connection*, const pk_slot*, pk_error*);
  /** (required) Insert or replace a run's record, in a transaction of its own. Commits. */
  int32_t (*run_write)(pk_connection*, const pk_run*, pk_error*);
  /** (required) All run records. */
  int32_t (*run_list)(pk_connection*, pk_runs* out, pk_error*);

  /** (required) Begin a chunk's transaction. With a key: move the slot's seq from `seq` to `seq + 1` where epoch and seq are
   * as given, PK_FENCED when they are not. Empty key: no ledger. */
  int32_t (*begin)(pk_connection*, pk_text key, int64_t epoch, int64_t seq, pk_error*);
  /** (required) Delete the rows of the next range that satisfy the predicate, re-checked on their latest version. */
  int32_t (*delete_range)(pk_connection*, const pk_range*, pk_deleted* out, pk_error*);
  /** Delete the rows of dependent number `index` that belong to what delete_range deleted in this transaction. */
  int32_t (*delete_children)(pk_connection*, size_t index, int64_t* rows, pk_error*);
  /** (required) Write cursor, totals and document into the slot, in the chunk's transaction; seq is as after begin. */
  int32_t (*checkpoint)(pk_connection*, const pk_slot*, pk_error*);
  /** (required) The only verb that commits a chunk. PK_IN_DOUBT when no answer came. */
  int32_t (*commit)(pk_connection*, pk_error*);
  /** (required) Roll back; succeeds when nothing is open. */
  int32_t (*rollback)(pk_connection*, pk_error*);

  /** Largest replica lag in seconds; negative: there is no replica. */
  int32_t (*replica_lag)(pk_connection*, double* lag_s, pk_error*);

  /** Look at the tables of `purge.archives`; one answer for each. */
  int32_t (*archive_find)(pk_connection*, const pk_purge*, pk_archive_infos* out, pk_error*);
  /** Make those that are absent and not mapped, without unique or foreign key. Commits. */
  int32_t (*archive_create)(pk_connection*, const pk_purge*, pk_error*);

  /** In an open transaction that was begun with an empty key: move the slot's seq on as `begin` does with a key. Several workers
   * of one run share a slot in this way, each for the end of its chunk only. */
  int32_t (*fence)(pk_connection*, pk_text key, int64_t epoch, int64_t seq, pk_error*);
  /** After `prepare`: cursors that cut the walk into at most `parts` parts of about equal work, in its order. None: it can't be cut. */
  int32_t (*split)(pk_connection*, size_t parts, pk_texts* cuts, pk_error*);
  /** Read the signals of the moment. Outside of a transaction; takes a few milliseconds at most. */
  int32_t (*pressure)(pk_connection*, pk_signals* out, pk_error*);
  /** Look how much space `purge.table` takes up, from statistics. */
  int32_t (*space)(pk_connection*, const pk_purge*, pk_space* out, pk_error*);
  /** Do one bounded step of `care` (pk_care) for `purge.table`; `done` when nothing is left to do. Commits. */
  int32_t (*reclaim)(pk_connection*, const pk_purge*, uint32_t care, uint8_t* done, pk_error*);
  /** The moves that this table's make allows or forbids, by catalogue and statistics alone. The host takes none for a purge with archives or
   * dependents; prepare of one is PK_NOT_SUPPORTED. */
  int32_t (*moves)(pk_connection*, const pk_purge*, int64_t rows_total, int64_t rows_matching, pk_moves* out, pk_error*);
  /** Bytes that were written so far, for everybody, to the logs that a purge makes longer: write-ahead or redo log, and binary log. */
  int32_t (*log_bytes)(pk_connection*, int64_t* bytes, pk_error*);
  /** Run a user's query, one that reads: in a transaction that can't write and is rolled back, for `timeout_ms` at most. */
  int32_t (*measure)(pk_connection*, pk_text sql, uint32_t timeout_ms, pk_measure* out, pk_error*);
  /** Seconds that this server, a replica, is behind what it replicates. PK_NOT_SUPPORTED when it is none, or when that can't be told. */
  int32_t (*own_lag)(pk_connection*, double* lag_s, pk_error*);
  /** Small records of the engine's own in the ledger, by kind (at most 8 letters) and id (at most 200 bytes). Write (insert or replace) and
   * delete belong to the open transaction that `begin` or `slot_lock` made; a list is ordered by id. */
  int32_t (*note_write)(pk_connection*, pk_text kind, const pk_run*, pk_error*);
  int32_t (*note_delete)(pk_connection*, pk_text kind, pk_text id, pk_error*);
  int32_t (*note_list)(pk_connection*, pk_text kind, pk_runs* out, pk_error*);
  /** Values of all columns of at most `most` rows that satisfy the predicate, one row after the other, as TEXT or NULL. A text may be cut:
   * its i64 tells the whole value's length, in characters, of bytes in bytes. */
  int32_t (*sample_rows)(pk_connection*, const pk_purge*, size_t most, pk_samples* out, pk_error*);
  /** In an open transaction (`begin` with an empty key): put the archived rows of the first chunk above `after` back that are not marked as
   * restored, and mark them: their chunk number becomes negative. */
  int32_t (*restore_next)(pk_connection*, const pk_restore*, int64_t after, pk_restored* out, pk_error*);
  /** Insert a note as note_write does, without looking for an earlier one: an id that is there already is an error. */
  int32_t (*note_add)(pk_connection*, pk_text kind, const pk_run*, pk_error*);
  /** The first `most` notes of a kind whose id begins with `prefix` (ASCII) and stands behind `after`, ordered by id. */
  int32_t (*note_page)(pk_connection*, pk_text kind, pk_text prefix, pk_text after, size_t most, pk_runs* out, pk_error*);
  /** Make the archive table of a load, with the load's columns and no others but our three. Its rows are not looked at. Commits. */
  int32_t (*archive_make)(pk_connection*, const pk_load*, pk_error*);
  /** In an open transaction: put all of the rows into the archive table, or fail. */
  int32_t (*archive_load)(pk_connection*, const pk_load*, pk_error*);
  /** In an open transaction: keep the slot `key` from being locked or written until it ends, beside others that share it. */
  int32_t (*slot_share)(pk_connection*, pk_text key, pk_shared_slot* out, pk_error*);
} pk_backend;

/** The entry symbol's type. Return PK_NOT_SUPPORTED when `host_abi` can't be served. */
typedef int32_t (*pk_backend_init)(uint32_t host_abi, pk_backend* out, pk_error* error);

#ifdef __cplusplus
}
#endif

#endif /* PURGEKIT_ABI_H */
