/// \file connection.hpp
/// The two classes a backend author derives from when nothing is to be taken ready-made. See sql_connection.hpp for
/// the usual way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

/// For prepare(): the engine offers no move for such a purge, so that moves() need not look.
/// \throws Error PK_NOT_SUPPORTED when rows are to be kept, or others to go with them
inline void require_movable(const Purge& purge) {
  if (purge.archives.empty() && purge.dependents.empty() && purge.sink == nullptr) return;
  throw Error(PK_NOT_SUPPORTED, "a move of table " + purge.table + " keeps no rows and takes no dependents along");
}

/// One worker's line to the database. Each member is the verb of the same name in abi.h, which tells what it must do.
///
/// Thread rule: calls are serial, except cancel(), which may come from any thread. Throw Error when a verb fails; the
/// destructor closes and rolls back.
class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  virtual void connect(const ConnectParams& params) = 0;
  virtual void cancel() noexcept = 0;
  virtual Server inspect() = 0;
  virtual Table describe(const TableName& name) = 0;
  virtual std::vector<std::string> tables(const TableName&) { return unsupported<std::vector<std::string>>("tables"); }
  virtual std::int64_t count(const Purge& purge) = 0;
  virtual std::int64_t estimate(const Purge&) { return unsupported<std::int64_t>("estimate"); }
  virtual std::string sample_key(const Purge&) { return unsupported<std::string>("sample_key"); }
  virtual std::vector<Value> sample_column(const Purge&, const std::string&) { return unsupported<std::vector<Value>>("sample_column"); }
  virtual std::vector<Walk> propose(const Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) = 0;
  virtual std::vector<std::string> prepare(const Purge& purge) = 0;
  virtual void lock_run(const std::string&) { unsupported<int>("lock_run"); }
  virtual void unlock_run(const std::string&) { unsupported<int>("unlock_run"); }
  virtual Ledger ledger_find(const TableName& name) = 0;
  virtual void ledger_create() = 0;
  virtual Slot slot_lock(const std::string& key, std::uint32_t wait_ms) = 0;
  virtual void slot_write(const Slot& slot) = 0;
  virtual void run_write(const RunRecord& run) = 0;
  virtual std::vector<RunRecord> run_list() = 0;
  virtual void begin(const std::string& key, std::int64_t epoch, std::int64_t seq) = 0;
  virtual Deleted delete_range(const Range& range) = 0;
  virtual std::int64_t delete_children(std::size_t) { return unsupported<std::int64_t>("delete_children"); }
  virtual void checkpoint(const Slot& slot) = 0;
  virtual void commit() = 0;
  virtual void rollback() = 0;
  virtual double replica_lag() { return unsupported<double>("replica_lag"); }
  virtual std::vector<ArchiveInfo> archive_find(const Purge&) { return unsupported<std::vector<ArchiveInfo>>("an archive table"); }
  virtual void archive_create(const Purge&) { unsupported<int>("an archive table"); }
  virtual void fence(const std::string&, std::int64_t, std::int64_t) { unsupported<int>("several workers"); }
  /// No cuts: one worker walks the whole table.
  virtual std::vector<std::string> split(std::size_t) { return {}; }
  virtual std::vector<Signal> pressure() { return unsupported<std::vector<Signal>>("pressure"); }
  virtual Space space(const Purge&) { return unsupported<Space>("space"); }
  /// True when nothing is left to do.
  virtual bool reclaim(const Purge&, pk_care) { return unsupported<bool>("reclaim"); }
  virtual std::int64_t log_bytes() { return unsupported<std::int64_t>("the length of its logs"); }
  /// None: every row goes by a walk.
  virtual std::vector<Move> moves(const Purge&, std::int64_t, std::int64_t) { return {}; }
  virtual Measure measure(const std::string& /*sql*/, std::uint32_t /*timeout_ms*/) { return unsupported<Measure>("a query of one's own"); }
  virtual double own_lag() { return unsupported<double>("the lag of a replica"); }
  virtual void note_write(const std::string& /*kind*/, const RunRecord&) { unsupported<int>("notes in the ledger"); }
  virtual void note_delete(const std::string& /*kind*/, const std::string& /*id*/) { unsupported<int>("notes in the ledger"); }
  virtual std::vector<RunRecord> note_list(const std::string& /*kind*/) { return unsupported<std::vector<RunRecord>>("notes in the ledger"); }
  virtual void note_add(const std::string& /*kind*/, const RunRecord&) { unsupported<int>("notes in the ledger"); }
  virtual std::vector<RunRecord> note_page(const std::string& /*kind*/, const std::string& /*prefix*/, const std::string& /*after*/, std::size_t /*most*/) {
    return unsupported<std::vector<RunRecord>>("notes in the ledger");
  }
  virtual std::vector<Value> sample_rows(const Purge&, std::size_t) { return unsupported<std::vector<Value>>("samples of rows"); }
  virtual Restored restore_next(const Restore&, std::int64_t /*after*/) { return unsupported<Restored>("restore"); }
  virtual void archive_make(const Load&) { unsupported<int>("an archive table"); }
  virtual void archive_load(const Load&) { unsupported<int>("loading archive files"); }
  virtual SharedSlot slot_share(const std::string& /*key*/) { return unsupported<SharedSlot>("a shared place in the ledger"); }

 protected:
  template <class T>
  static T unsupported(const char* verb) {
    throw Error(PK_NOT_SUPPORTED, std::string("this backend does not offer ") + verb);
  }
};

/// Makes connections. One object for the whole life of the process; open() may be called from any thread.
/// A derived class also has `static constexpr const char* name, * version, * schemes, * maturity` (see abi.h).
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;
  virtual std::unique_ptr<Connection> open() = 0;
};

}  // namespace purgekit::sdk
