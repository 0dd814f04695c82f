// The smallest complete backend: a template to copy. It connects to nothing and holds no table, but every required verb is
// here with its contract in one line. For a database that speaks SQL derive from sdk::SqlConnection instead, which has most
// verbs ready; see plugins/README.md.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "purgekit/sdk.hpp"

namespace {

using namespace purgekit::sdk;

class NullConnection final : public Connection {
 public:
  /// Reach the database, or throw PK_CONNECT_FAILED or PK_AUTHENTICATION. Called again after a connection was lost.
  void connect(const ConnectParams&) override {}

  /// From any thread: make the call under way throw PK_CANCELLED.
  void cancel() noexcept override {}

  /// The database's own clock decides what has expired; never this machine's, unless they are the same.
  Server inspect() override {
    Server server;
    server.product = "null";
    server.version = "0";
    server.clock_utc_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    server.loopback = true;
    server.database = "nowhere";
    server.identity = "null";
    return server;
  }

  /// Exact name first, then without regard to case when that is unique.
  Table describe(const TableName& name) override { throw Error(PK_NOT_FOUND, "no table " + name.name + ": the null backend holds none"); }

  /// Rows that satisfy the predicate now.
  std::int64_t count(const Purge&) override { return no_table<std::int64_t>(); }

  /// Ways to walk the table, with costs.
  std::vector<Walk> propose(const Purge&, std::int64_t, std::int64_t) override { return no_table<std::vector<Walk>>(); }

  /// Render and keep the statements of a chunk; the predicate is not there any more later.
  std::vector<std::string> prepare(const Purge&) override { return no_table<std::vector<std::string>>(); }

  /// The ledger: slots (fence and checkpoint) and run records. SqlLedger of the SDK keeps it in one SQL table.
  Ledger ledger_find(const TableName&) override { return Ledger{PK_LEDGER_ABSENT, false, false, "", "the null backend keeps no ledger; use --ledger none"}; }
  void ledger_create() override { no_table<int>(); }
  Slot slot_lock(const std::string&, std::uint32_t) override { return no_table<Slot>(); }
  void slot_write(const Slot&) override { no_table<int>(); }
  void run_write(const RunRecord&) override { no_table<int>(); }
  std::vector<RunRecord> run_list() override { return {}; }

  /// Begin a transaction; with a key, move the slot's seq on or throw PK_FENCED.
  void begin(const std::string&, std::int64_t, std::int64_t) override {}
  /// Delete the next range's rows that satisfy the predicate on their latest version.
  Deleted delete_range(const Range& range) override { return Deleted{0, 0, range.cursor, true, 1}; }
  void checkpoint(const Slot&) override {}
  /// PK_IN_DOUBT when no answer came.
  void commit() override {}
  void rollback() override {}

 private:
  template <class T>
  T no_table() {
    throw Error(PK_NOT_SUPPORTED, "the null backend holds no table");
  }
};

class NullBackend final : public Backend {
 public:
  static constexpr const char* name = "null";
  static constexpr const char* version = "0.1.0";
  static constexpr const char* schemes = "null";
  static constexpr const char* maturity = "experimental";
  std::unique_ptr<Connection> open() override { return std::make_unique<NullConnection>(); }
};

}  // namespace

PURGEKIT_DEFINE_BACKEND(NullBackend)
