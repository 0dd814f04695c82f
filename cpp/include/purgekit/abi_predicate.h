/** \file abi_predicate.h
 * Values and conditions as they cross the plugin line. Part of abi.h, which tells the rules; include that one.
 */
#ifndef PURGEKIT_ABI_PREDICATE_H
#define PURGEKIT_ABI_PREDICATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Text or bytes with a length; need not end in NUL. `data` may be NULL only when `size` is 0. */
typedef struct pk_text {
  const char* data;
  size_t size;
} pk_text;

/* ------------------------------------------------------------------------------------------------ values */

typedef enum pk_value_kind {
  PK_VALUE_NULL = 0,
  PK_VALUE_INT = 1,     /**< i64 */
  PK_VALUE_UINT = 2,    /**< i64 holds the bits of an unsigned 64-bit number */
  PK_VALUE_REAL = 3,    /**< f64 */
  PK_VALUE_DECIMAL = 4, /**< text: digits with optional sign and point, exact */
  PK_VALUE_TEXT = 5,    /**< text: UTF-8 */
  PK_VALUE_BYTES = 6,   /**< text: raw bytes */
  PK_VALUE_BOOL = 7,    /**< i64: 0 or 1 */
  PK_VALUE_INSTANT = 8, /**< i64: nanoseconds since 1970-01-01T00:00:00Z */
  PK_VALUE_WALL = 9     /**< i64: nanoseconds from 1970-01-01T00:00:00 to a wall-clock reading without a zone */
} pk_value_kind;

typedef struct pk_value {
  uint32_t kind; /**< pk_value_kind */
  uint32_t reserved;
  int64_t i64;
  double f64;
  pk_text text;
} pk_value;

/* ----------------------------------------------------------------------------------------------- predicate */

/** The predicate is a flat array of nodes. It is in negation normal form: there is no NOT node, leaves carry
 * PK_NEGATED instead, and a leaf holds when it is TRUE in SQL's three-valued logic (its negated form when it is
 * FALSE). A row for which a leaf is unknown matches neither form. */
typedef enum pk_node_kind {
  PK_NODE_TRUE = 1,        /**< every row */
  PK_NODE_FALSE = 2,       /**< no row */
  PK_NODE_AND = 3,         /**< all children */
  PK_NODE_OR = 4,          /**< any child */
  PK_NODE_COMPARE = 5,     /**< column op value; the column is bare, so an index on it serves */
  PK_NODE_IN = 6,          /**< column IN (values); PK_NEGATED: NOT IN */
  PK_NODE_NULL = 7,        /**< column IS NULL; PK_NEGATED: IS NOT NULL */
  PK_NODE_TIME = 8,        /**< stored time + lifetime column < cutoff; see pk_node.storage; negated: >= */
  PK_NODE_EXISTS = 9,      /**< a row of another table (or of this one) refers to this row */
  PK_NODE_KEEP_LATEST = 10, /**< at least `count` rows of the group are newer; negated: fewer are */
  PK_NODE_SQL = 11,        /**< raw condition with :name parameters; negated: NOT (condition) */
  PK_NODE_UNREADABLE = 12  /**< the text in `column` is not NULL and can't be read as a time; other storages: no row */
} pk_node_kind;

typedef enum pk_op { PK_EQ = 1, PK_NE = 2, PK_LT = 3, PK_LE = 4, PK_GT = 5, PK_GE = 6 } pk_op;

/** How a column holds an instant. */
typedef enum pk_storage {
  PK_STORED_EPOCH_INT = 1,     /**< whole number of `unit_ns` since the epoch; zero and negative count as NULL */
  PK_STORED_EPOCH_DECIMAL = 2, /**< number with a fraction; the same otherwise */
  PK_STORED_ZONED = 3,         /**< a type that knows its zone (timestamptz, MySQL TIMESTAMP) */
  PK_STORED_UNZONED = 4,       /**< a wall clock (timestamp, DATETIME, DATE) */
  PK_STORED_TEXT = 5,          /**< ISO 8601 text (SQLite): zoned text is an instant, other text a wall clock */
  PK_STORED_ZONED_WALL = 6     /**< a zoned type whose server-zone text is the wall clock that was meant */
} pk_storage;

enum {
  PK_NEGATED = 1u,       /**< the leaf's FALSE form is wanted */
  PK_PURGE_NULL = 2u,    /**< TIME: rows whose time counts as NULL match too (not with PK_NEGATED) */
  PK_PURGE_NEVER = 4u    /**< TIME: a lifetime that is NULL, zero or negative counts as zero instead of never */
};

/** One equality or inequality between the outer row and the other row of an EXISTS node. */
typedef struct pk_join {
  pk_text other_column;
  pk_text this_column;
  uint32_t op; /**< pk_op: other op this; PK_EQ and PK_NE are not NULL-safe */
  uint32_t reserved;
} pk_join;

/** Offset of a zone from UTC that holds for wall clocks from `from_wall_ns` on (ascending, first is INT64_MIN). */
typedef struct pk_zone_step {
  int64_t from_wall_ns;
  int64_t offset_ns;
} pk_zone_step;

/** One node. Which members are used depends on `kind`; the others are zero. */
typedef struct pk_node {
  uint32_t kind;        /**< pk_node_kind */
  uint32_t flags;       /**< PK_NEGATED and others */
  uint32_t first_child; /**< AND, OR: index of the first child; children are neighbours. EXISTS: the inner condition */
  uint32_t child_count; /**< EXISTS: 0 or 1; its columns are of the other table */
  pk_text column;       /**< exact name as described */
  uint32_t column_kind; /**< pk_column_kind of `column` */
  uint32_t op;          /**< COMPARE */
  uint32_t first_value; /**< COMPARE: one value; IN, SQL: value_count values */
  uint32_t value_count;
  /* TIME, UNREADABLE */
  uint32_t storage;         /**< pk_storage */
  uint32_t lifetime_kind;   /**< pk_column_kind of lifetime_column */
  int64_t unit_ns;          /**< EPOCH storages: nanoseconds a unit */
  int64_t cutoff_ns;        /**< instant that time (+ lifetime) must lie strictly before; grace is already off */
  int64_t wall_cutoff_ns;   /**< the same as a wall clock, for UNZONED, TEXT, ZONED_WALL without a lifetime column */
  pk_text lifetime_column;  /**< empty: none */
  int64_t lifetime_unit_ns;
  uint32_t first_zone_step; /**< wall storages with a lifetime column: steps in pk_predicate.zone_steps; none: UTC */
  uint32_t zone_step_count;
  /* EXISTS, KEEP_LATEST */
  pk_text other_schema; /**< EXISTS: resolved name of the other table */
  pk_text other_table;
  uint32_t first_join;
  uint32_t join_count;
  int64_t count;         /**< KEEP_LATEST: how many of the newest stay, at least 1 */
  uint32_t first_name;   /**< KEEP_LATEST: group columns; SQL: parameter names, one for each value */
  uint32_t name_count;
  uint32_t first_tie;    /**< KEEP_LATEST: key columns that break ties, in pk_predicate.names */
  uint32_t tie_count;
  pk_text sql;           /**< SQL: the condition */
} pk_node;

typedef struct pk_predicate {
  size_t node_size; /**< stride of `nodes` in bytes: sizeof(pk_node) of the caller */
  const pk_node* nodes;
  size_t node_count;
  uint32_t root; /**< index of the root node */
  uint32_t reserved;
  const pk_value* values;
  size_t value_count;
  const pk_join* joins;
  size_t join_count;
  const pk_text* names;
  size_t name_count;
  const pk_zone_step* zone_steps;
  size_t zone_step_count;
} pk_predicate;

#ifdef __cplusplus
}
#endif

#endif /* PURGEKIT_ABI_PREDICATE_H */
