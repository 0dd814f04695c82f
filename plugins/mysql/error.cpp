#include "error.hpp"

#include <algorithm>

namespace purgekit::mysql {
namespace {

struct Entry {
  int number;
  pk_code code;
};

// Numbers from 1000 are the server's, from 2000 to 2999 the client library's.
constexpr Entry exact[] = {
    {1020, PK_SERIALIZATION},      // record has changed since last read
    {1021, PK_SERVER_RESOURCES},   // disk full
    {1033, PK_CORRUPT},            // incorrect information in .frm
    {1034, PK_CORRUPT},            // incorrect key file
    {1035, PK_CORRUPT},            // old key file
    {1036, PK_READ_ONLY},          // table is read-only
    {1037, PK_SERVER_RESOURCES},   // out of memory
    {1038, PK_SERVER_RESOURCES},   // out of sort memory
    {1040, PK_SERVER_RESOURCES},   // too many connections
    {1041, PK_SERVER_RESOURCES},   // out of resources
    {1042, PK_CONNECT_FAILED},     // bad host
    {1043, PK_CONNECT_FAILED},     // bad handshake
    {1044, PK_PRIVILEGE},          // access denied to database
    {1045, PK_AUTHENTICATION},     // access denied for user
    {1046, PK_INVALID_ARGUMENT},   // no database selected
    {1048, PK_TRIGGER},            // column can't be null: a DELETE meets it only through a trigger
    {1049, PK_CONNECT_FAILED},     // unknown database
    {1053, PK_SERVER_SHUTDOWN},    // shutdown in progress
    {1054, PK_NOT_FOUND},          // unknown column
    {1062, PK_TRIGGER},            // duplicate entry
    {1077, PK_SERVER_SHUTDOWN},    // normal shutdown
    {1079, PK_SERVER_SHUTDOWN},    // shutdown complete
    {1093, PK_NOT_SUPPORTED},      // target table used in a subquery
    {1094, PK_CANCELLED},          // unknown thread: the statement had ended
    {1099, PK_LOCK_TIMEOUT},       // table locked with a READ lock
    {1100, PK_LOCK_TIMEOUT},       // table not locked with LOCK TABLES
    {1114, PK_SERVER_RESOURCES},   // table is full
    {1129, PK_CONNECT_FAILED},     // host blocked
    {1130, PK_AUTHENTICATION},     // host not allowed
    {1131, PK_AUTHENTICATION},     // anonymous user
    {1142, PK_PRIVILEGE},          // command denied on table
    {1143, PK_PRIVILEGE},          // command denied on column
    {1146, PK_NOT_FOUND},          // no such table
    {1152, PK_CONNECTION_LOST},    // aborted connection
    {1153, PK_SERVER_RESOURCES},   // packet larger than max_allowed_packet
    {1158, PK_CONNECTION_LOST},    // error reading packets
    {1159, PK_CONNECTION_LOST},    // timeout reading packets
    {1160, PK_CONNECTION_LOST},    // error writing packets
    {1161, PK_CONNECTION_LOST},    // timeout writing packets
    {1180, PK_IN_DOUBT},          // error during COMMIT
    {1184, PK_CONNECTION_LOST},    // new aborted connection
    {1194, PK_CORRUPT},            // table marked as crashed
    {1195, PK_CORRUPT},            // … and last repair failed
    {1203, PK_SERVER_RESOURCES},   // max_user_connections
    {1205, PK_LOCK_TIMEOUT},       // lock wait timeout: the statement was rolled back, not the transaction
    {1206, PK_SERVER_RESOURCES},   // lock table full
    {1213, PK_DEADLOCK},           // deadlock: the transaction was rolled back
    {1216, PK_FOREIGN_KEY},        // no referenced row
    {1217, PK_FOREIGN_KEY},        // row is referenced
    {1223, PK_LOCK_TIMEOUT},       // conflicting global read lock
    {1226, PK_SERVER_RESOURCES},   // user limit reached
    {1227, PK_PRIVILEGE},          // specific access denied
    {1251, PK_AUTHENTICATION},     // client does not support the authentication protocol
    {1264, PK_DATA},               // out of range
    {1265, PK_DATA},               // truncated
    {1275, PK_AUTHENTICATION},     // old password format
    {1290, PK_READ_ONLY},          // running with --read-only (or another option that forbids it)
    {1292, PK_DATA},               // truncated incorrect value
    {1305, PK_NOT_FOUND},          // function or procedure does not exist
    {1317, PK_CANCELLED},          // query interrupted
    {1366, PK_DATA},               // incorrect value for column
    {1370, PK_PRIVILEGE},          // routine access denied
    {1396, PK_PRIVILEGE},          // operation on user failed
    {1412, PK_SERIALIZATION},      // table definition changed, retry the transaction
    {1422, PK_TRIGGER},            // implicit commit in a trigger
    {1442, PK_TRIGGER},            // trigger updates the table that fired it
    {1449, PK_TRIGGER},            // the trigger's definer does not exist
    {1451, PK_FOREIGN_KEY},        // row is referenced
    {1452, PK_FOREIGN_KEY},        // no referenced row
    {1461, PK_SERVER_RESOURCES},   // max_prepared_stmt_count
    {1568, PK_INTERNAL},           // isolation level can't be changed in a transaction
    {1614, PK_SERIALIZATION},      // XA deadlock
    {1615, PK_SERIALIZATION},      // prepared statement needs to be prepared again
    {1644, PK_TRIGGER},            // SIGNAL
    {1665, PK_NOT_SUPPORTED},      // binlog_format = STATEMENT with READ COMMITTED
    {1689, PK_LOCK_TIMEOUT},       // lock wait aborted by a pending exclusive lock
    {1694, PK_INTERNAL},           // sql_log_bin in a transaction
    {1727, PK_CONNECTION_LOST},    // prepared statement of another connection
    {1785, PK_NOT_SUPPORTED},      // GTID consistency
    {1792, PK_READ_ONLY},          // read-only transaction
    {1820, PK_AUTHENTICATION},     // password must be reset
    {1836, PK_READ_ONLY},          // running in read-only mode
    {1862, PK_AUTHENTICATION},     // password expired
    {1873, PK_AUTHENTICATION},     // access denied, change user
    {1874, PK_READ_ONLY},          // innodb_read_only
    {1877, PK_CORRUPT},            // operation can't continue: tablespace
    {1927, PK_CONNECTION_LOST},    // MariaDB: connection was killed
    {1928, PK_CONNECTION_LOST},    // MariaDB: connection was not killed in time
    {1932, PK_CORRUPT},            // MariaDB: table is not there in the engine
    {1969, PK_STATEMENT_TIMEOUT},  // MariaDB: max_statement_time
    {2001, PK_CONNECT_FAILED},     // can't create socket
    {2002, PK_CONNECT_FAILED},     // can't connect through socket, or refused
    {2003, PK_CONNECT_FAILED},     // can't connect
    {2004, PK_CONNECT_FAILED},     // can't create TCP socket
    {2005, PK_CONNECT_FAILED},     // unknown host
    {2006, PK_CONNECTION_LOST},    // server has gone away
    {2007, PK_CONNECT_FAILED},     // protocol mismatch
    {2008, PK_SERVER_RESOURCES},   // client out of memory
    {2012, PK_CONNECTION_LOST},    // error in handshake
    {2013, PK_CONNECTION_LOST},    // lost connection during query
    {2014, PK_INTERNAL},           // commands out of sync
    {2020, PK_DATA},               // packet larger than the client's max_allowed_packet
    {2026, PK_CONNECT_FAILED},     // TLS
    {2027, PK_CONNECTION_LOST},    // malformed packet
    {2048, PK_CONNECTION_LOST},    // invalid handle
    {2054, PK_AUTHENTICATION},     // authentication method unknown to the client
    {2055, PK_CONNECTION_LOST},    // lost connection at …
    {2056, PK_CONNECTION_LOST},    // statement closed because the connection is gone
    {2058, PK_AUTHENTICATION},     // authentication plugin can't be loaded
    {2059, PK_AUTHENTICATION},     // … either
    {2061, PK_AUTHENTICATION},     // authentication plugin reported an error
    {3024, PK_STATEMENT_TIMEOUT},  // MySQL: max_execution_time
    {3032, PK_SERVER_SHUTDOWN},    // offline mode
    {3100, PK_SERIALIZATION},      // group replication: error before COMMIT
    {3101, PK_SERIALIZATION},      // group replication: rolled back
    {3169, PK_CANCELLED},          // session was killed while in use
    {3572, PK_LOCK_TIMEOUT},       // NOWAIT
    {3819, PK_TRIGGER},            // CHECK constraint
    {3995, PK_INVALID_ARGUMENT},   // character set mismatch of a regular expression
    {4025, PK_TRIGGER},            // MariaDB: CHECK constraint
    {4031, PK_CONNECTION_LOST},    // MySQL: disconnected for inactivity
};

struct Class {
  std::string_view state;
  pk_code code;
};

constexpr Class classes[] = {
    {"08", PK_CONNECTION_LOST}, {"0A", PK_NOT_SUPPORTED},    {"21", PK_DATA},           {"22", PK_DATA},
    {"23", PK_TRIGGER},  // a DELETE violates these only through what a trigger writes
    {"25", PK_READ_ONLY},       {"28", PK_AUTHENTICATION},   {"40", PK_SERIALIZATION},  {"42", PK_INVALID_ARGUMENT},
    {"45", PK_TRIGGER},         {"70", PK_CANCELLED},        {"XA", PK_INTERNAL},
};

// Known to have rolled the transaction back, or to have refused before anything was written.
constexpr pk_code not_committed[] = {PK_DEADLOCK, PK_SERIALIZATION, PK_READ_ONLY, PK_PRIVILEGE, PK_FOREIGN_KEY, PK_TRIGGER, PK_NOT_SUPPORTED};

const char* advice(pk_code code) noexcept {
  switch (code) {
    case PK_PRIVILEGE: return "nothing was changed by this statement; ask for the GRANT that doctor prints";
    case PK_READ_ONLY: return "nothing was changed by this statement; connect to the primary";
    case PK_CONNECTION_LOST: return "the server rolls the open transaction back";
    case PK_IN_DOUBT: return "the ledger tells whether the chunk was committed";
    case PK_LOCK_TIMEOUT: return "another session holds what this chunk needs; the chunk is rolled back";
    case PK_DEADLOCK:
    case PK_SERIALIZATION: return "the chunk is rolled back and can be tried again";
    case PK_STATEMENT_TIMEOUT: return "the statement was rolled back; a smaller chunk may pass";
    case PK_FOREIGN_KEY: return "rows that are still referenced stay";
    case PK_SERVER_RESOURCES: return "the chunk is rolled back; the server needs room before it goes on";
    case PK_SERVER_SHUTDOWN: return "the open transaction is rolled back; connect again when the server is up";
    case PK_CORRUPT: return "stop, and look after the database first";
    default: return "";
  }
}

}  // namespace

pk_code code_for(int vendor_code, std::string_view sqlstate) noexcept {
  for (const Entry& entry : exact) {
    if (entry.number == vendor_code) return entry.code;
  }
  for (const Class& entry : classes) {
    if (entry.state == sqlstate.substr(0, 2)) return entry.code;
  }
  return PK_INTERNAL;
}

pk_code commit_code_for(int vendor_code, std::string_view sqlstate) noexcept {
  const pk_code code = code_for(vendor_code, sqlstate);
  const bool sure = std::find(std::begin(not_committed), std::end(not_committed), code) != std::end(not_committed);
  return sure ? code : PK_IN_DOUBT;
}

std::string constraint_in(std::string_view message) {
  constexpr std::string_view label = "CONSTRAINT `";
  const std::size_t at = message.find(label);
  if (at == std::string_view::npos) return "";
  std::string out;
  for (std::size_t i = at + label.size(); i < message.size(); ++i) {
    if (message[i] == '`') {
      if (i + 1 >= message.size() || message[i + 1] != '`') return out;
      ++i;  // a doubled quote is part of the name
    }
    out += message[i];
  }
  return "";
}

namespace {

// "Duplicate entry '…' for key 'NAME'": the entry may hold anything, so from the end.
std::string key_in(std::string_view message) {
  constexpr std::string_view label = " for key '";
  const std::size_t at = message.rfind(label);
  if (at == std::string_view::npos || message.back() != '\'') return "";
  return std::string(message.substr(at + label.size(), message.size() - at - label.size() - 1));
}

}  // namespace

sdk::Error make_error(pk_code code, int vendor_code, std::string_view sqlstate, std::string_view message) {
  std::string line(message);
  std::replace(line.begin(), line.end(), '\n', ' ');
  const std::string number = " (error " + std::to_string(vendor_code) + ")";
  // These quote stored values, or what a trigger chose to say of them: use words of our own.
  if (code == PK_DATA) line = "a stored value or a parameter does not fit the statement" + number;
  if (code == PK_TRIGGER) line = "a trigger or check of the schema refused the delete" + number;
  if (code == PK_INTERNAL) line = "the server answered" + number + ": " + line;
  const std::string next = advice(code);
  if (!next.empty()) line += "; " + next;
  sdk::Error error(code, line);
  error.sqlstate(sqlstate).vendor_code(vendor_code);
  constexpr int duplicate_entry = 1062;
  if (code == PK_FOREIGN_KEY) error.constraint(constraint_in(message));
  if (vendor_code == duplicate_entry) error.constraint(key_in(message));
  return error;
}

}  // namespace purgekit::mysql
