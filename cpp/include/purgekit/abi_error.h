/** \file abi_error.h
 * What a verb of the plugin line may say went wrong. Part of abi.h, which includes it.
 */
#ifndef PURGEKIT_ABI_ERROR_H
#define PURGEKIT_ABI_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What went wrong, in terms the engine acts on. The comment tells who can mend it. */
typedef enum pk_code {
  PK_OK = 0,
  PK_INVALID_ARGUMENT = 1,    /**< caller: a malformed request (programming error or bad policy) */
  PK_NOT_FOUND = 2,           /**< caller: table, column or ledger does not exist */
  PK_NOT_SUPPORTED = 3,       /**< backend: the optional verb or form is not offered */
  PK_CONNECT_FAILED = 4,      /**< operator: server not reached, TLS refused, database unknown */
  PK_AUTHENTICATION = 5,      /**< operator: wrong user, password or certificate */
  PK_PRIVILEGE = 6,           /**< operator: a GRANT is missing */
  PK_READ_ONLY = 7,           /**< operator: database, file or transaction is read-only */
  PK_CONNECTION_LOST = 8,     /**< server or network: the session is gone; the open transaction is rolled back */
  PK_IN_DOUBT = 9,            /**< COMMIT was sent and no answer came: ask the ledger */
  PK_LOCK_TIMEOUT = 10,       /**< another session holds a row or the database; retryable */
  PK_DEADLOCK = 11,           /**< chosen as deadlock victim; retryable */
  PK_SERIALIZATION = 12,      /**< serialization failure or stale snapshot; retryable */
  PK_STATEMENT_TIMEOUT = 13,  /**< the statement ran longer than allowed; retryable with a smaller chunk */
  PK_CANCELLED = 14,          /**< cancel() was called */
  PK_FOREIGN_KEY = 15,        /**< a reference forbids the delete; `constraint` names it */
  PK_TRIGGER = 16,            /**< a trigger or check of the schema refused the delete */
  PK_SERVER_RESOURCES = 17,   /**< out of disk, memory, connections or lock table; retryable after a pause */
  PK_SERVER_SHUTDOWN = 18,    /**< server is going down or starting; reconnect after a pause */
  PK_FENCED = 19,             /**< another run has taken this table over: leave */
  PK_SCHEMA_CHANGED = 20,     /**< the table is no longer the one that was planned for */
  PK_DATA = 21,               /**< a stored value could not be handled by the statement */
  PK_CORRUPT = 22,            /**< the database or the ledger is damaged or of a newer version */
  PK_INTERNAL = 23,           /**< defect in the backend or the engine */
  PK_ARCHIVE_REFUSED = 24     /**< the table that a row was to be moved into refused it; `constraint` names by what */
} pk_code;

/** Filled by the callee when a verb returns anything but PK_OK. Fixed buffers: nothing to free. NUL-terminated. */
typedef struct pk_error {
  int32_t code;           /**< pk_code */
  int32_t vendor_code;    /**< the database's own number, 0 if none */
  char sqlstate[8];       /**< five characters, or empty */
  char message[1008];     /**< one line for people; never holds a row's value or a secret */
  char constraint[256];   /**< constraint or trigger concerned, or empty */
  uint8_t retryable;      /**< the same chunk may be tried again on this connection after a rollback */
  uint8_t connection_lost; /**< a new connection is needed */
  uint8_t in_doubt;       /**< whether the transaction committed is not known */
  uint8_t reserved[5];
} pk_error;

#ifdef __cplusplus
}
#endif

#endif /* PURGEKIT_ABI_ERROR_H */
