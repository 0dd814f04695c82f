#include "connection.hpp"

#include <sys/stat.h>
#if defined(__linux__)
#include <sys/vfs.h>
#endif

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <system_error>

namespace purgekit::sqlite {
namespace {

using sdk::ConnectParams;
using sdk::Error;
using sdk::Row;
using sdk::Value;

constexpr std::int64_t large_wal_bytes = 256LL * 1024 * 1024;

/// Absolute and free of links, so that SQLite can't take it for ":memory:" or for a "file:" URI with options of its own.
std::string database_path(const ConnectParams& params) {
  const std::string& given = params.database;
  if (!params.host.empty()) {
    throw Error(PK_INVALID_ARGUMENT, "a sqlite URL has no host; write sqlite:///relative.db or sqlite:////absolute.db");
  }
  if (given.empty() || given == ":memory:") throw Error(PK_INVALID_ARGUMENT, "a database in memory holds nothing to purge; give the path of a file");
  if (given.find('\0') != std::string::npos) throw Error(PK_INVALID_ARGUMENT, "the path of the database holds a NUL character");
  std::error_code problem;
  const std::filesystem::path path = std::filesystem::canonical(given, problem);
  if (problem) throw Error(PK_CONNECT_FAILED, "no database file at " + given + ": " + problem.message() + "; none was made");
  if (!std::filesystem::is_regular_file(path, problem)) throw Error(PK_CONNECT_FAILED, path.string() + " is not a file");
  return path.string();
}

void set_secure_delete(Database& db, const std::string& value) {
  if (value != "on" && value != "off" && value != "fast") {
    throw Error(PK_INVALID_ARGUMENT, "secure_delete=" + value + " is unknown; it is on, off or fast");
  }
  db.execute("PRAGMA secure_delete = " + value);
}

void check_options(const ConnectParams& params) {
  for (const sdk::Option& option : params.options) {
    if (option.key != "secure_delete") throw Error(PK_INVALID_ARGUMENT, "unknown option " + option.key + " in a sqlite URL; known is secure_delete");
  }
}

/// Name of a network file system, or nothing.
const char* network_file_system(const std::string& path) {
#if defined(__linux__)
  struct statfs facts {};
  if (::statfs(path.c_str(), &facts) != 0) return nullptr;
  switch (static_cast<std::uint32_t>(facts.f_type)) {
    case 0x6969u: return "NFS";
    case 0xFF534D42u: return "CIFS";
    case 0xFE534D42u: return "SMB2";
    case 0x517Bu: return "SMB";
    case 0x65735546u: return "FUSE";
    case 0x01021997u: return "9P";
    case 0x00C36400u: return "Ceph";
    default: return nullptr;
  }
#else
  (void)path;
  return nullptr;
#endif
}

void add_warnings(Database& db, std::vector<std::string>& out) {
  const std::string journal = db.query("PRAGMA main.journal_mode").at(0).at(0).text;
  if (const char* name = network_file_system(db.path())) {
    out.push_back(std::string("the file lies on a network file system (") + name + "), where SQLite's locks can't be relied on" +
                  (journal == "wal" ? "; its journal mode WAL does not work there when two machines use it" : ""));
  }
  struct stat wal {};
  if (::stat((db.path() + "-wal").c_str(), &wal) == 0 && wal.st_size > large_wal_bytes) {
    out.push_back("the write-ahead log has " + std::to_string(wal.st_size / 1'048'576) +
                  " MB: a long reader may keep it from being checkpointed; end it before a large purge");
  }
}

}  // namespace

void SqliteConnection::connect(const ConnectParams& params) {
  const Database::Activity activity(db_);
  if (sqlite3_libversion_number() < 3'035'000) {
    throw Error(PK_NOT_SUPPORTED, std::string("SQLite 3.35 or later is needed, the loaded library is ") + sqlite3_libversion());
  }
  check_options(params);
  const std::string path = database_path(params);
  run_locks_.release_all();
  forget_tables();
  described_.clear();
  in_stroke_ = false;
  stroke_.reset();
  db_.set_statement_timeout(0);
  db_.set_lock_wait(params.connect_timeout_ms);
  try {
    db_.open(path);
    db_.query("SELECT count(*) FROM main.sqlite_schema");  // the first read tells whether it is a database at all
    if (const std::string* value = params.option("secure_delete")) set_secure_delete(db_, *value);
  } catch (Error& e) {
    db_.close();
    if (e.message().find(path) == std::string::npos) e.context(path);
    throw;
  }
  const std::string* wiping = params.option("secure_delete");
  wiping_asked_ = wiping != nullptr && *wiping == "on";
  lock_wait_ms_ = params.lock_wait_ms;
  db_.set_lock_wait(lock_wait_ms_);
  statement_timeout_ms_ = params.statement_timeout_ms;
  db_.set_statement_timeout(statement_timeout_ms_);
}

sdk::Server SqliteConnection::inspect() {
  const Database::Activity activity(db_);
  sdk::Server out;
  out.product = "SQLite";
  out.version = sqlite3_libversion();
  const Row now = db_.query("SELECT CAST(strftime('%s', 'now') AS INTEGER), CAST(strftime('%f', 'now') AS REAL)").at(0);
  const double seconds = now.at(1).f64;
  out.clock_utc_ns = now.at(0).i64 * sdk::ns_per_s + std::llround((seconds - std::floor(seconds)) * 1e3) * 1'000'000;
  out.read_only = db_.read_only();
  out.tls = out.tls_verified = out.loopback = true;  // a file: nothing goes over a wire
  out.database = db_.path();
  out.identity = "sqlite:" + std::to_string(db_.id().first) + ":" + std::to_string(db_.id().second);
  add_warnings(db_, out.warnings);
  return out;
}

void SqliteConnection::lock_run(const std::string& key) {
  db_.handle();  // refuses when closed or forked
  run_locks_.acquire(db_.id().first, db_.id().second, key);
}

sdk::Table SqliteConnection::read_table(const sdk::TableName& name) {
  const Database::Activity activity(db_);
  Described found = read_catalogue(db_, name);
  sdk::Table table = found.table;
  described_[table.name] = std::move(found);
  return table;
}

const Described& SqliteConnection::described(const sdk::Purge& purge) {
  known(purge);
  return described_.at(purge.table);
}

sdk::Ledger SqliteConnection::ledger_find(const sdk::TableName& name) {
  const Database::Activity activity(db_);
  if (!name.schema.empty() && name.schema != "main") {
    throw Error(PK_INVALID_ARGUMENT, "no schema " + name.schema + " for the ledger: a SQLite file has one schema, main");
  }
  ledger_name_ = name;
  return SqlConnection::ledger_find(name);
}

void SqliteConnection::ledger_rights(const sdk::TableName& name, sdk::Ledger& out) {
  out.can_create = out.can_write = !db_.read_only();
  if (!out.can_write) out.grant_hint = "make " + db_.path() + " and its folder writable for this user";
  // A table of that name with other columns reads like one that is absent.
  if (out.state == PK_LEDGER_ABSENT &&
      !db_.query("SELECT 1 FROM main.sqlite_schema WHERE name = ? COLLATE NOCASE", {Value::string(name.name)}).empty()) {
    out.state = PK_LEDGER_FOREIGN;
  }
}

void SqliteConnection::ledger_create() {
  const Database::Activity activity(db_);
  db_.begin_immediate();
  try {
    SqlConnection::ledger_create();
    db_.commit();
  } catch (...) {
    db_.rollback();
    throw;
  }
}

// BEGIN IMMEDIATE is what waits here, so the budget must be set before it.
sdk::Slot SqliteConnection::slot_lock(const std::string& key, std::uint32_t wait_ms) {
  const Database::Activity activity(db_);
  db_.set_lock_wait(wait_ms);
  try {
    sdk::Slot slot = SqlConnection::slot_lock(key, wait_ms);
    db_.set_lock_wait(lock_wait_ms_);
    return slot;
  } catch (...) {
    db_.rollback();
    db_.set_lock_wait(lock_wait_ms_);
    throw;
  }
}

void SqliteConnection::run_write(const sdk::RunRecord& run) {
  const Database::Activity activity(db_);
  try {
    SqlConnection::run_write(run);
  } catch (...) {
    db_.rollback();
    throw;
  }
}

}  // namespace purgekit::sqlite
