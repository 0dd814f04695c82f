// The backend "filedb": plain SQL over a SQLite file, through the SDK's SqlConnection. What is here is about all that a SQL
// database needs: a dialect, a way to run statements, a description of tables.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "catalogue.hpp"
#include "database.hpp"

namespace {

using namespace purgekit::sdk;

class FileDialect final : public Dialect {
 public:
  // In double quotes SQLite takes an unknown column for a text.
  std::string quote(std::string_view identifier) const override { return quote_with(identifier, '`'); }
  std::string for_update() const override { return ""; }  // BEGIN IMMEDIATE holds the whole file
  bool has_returning() const override { return true; }
  bool has_row_ranges() const override { return true; }
  std::string null_safe_equal(const std::string& a, const std::string& b) const override { return a + " IS " + b; }
  std::pair<std::string, std::string> insert_or_ignore() const override { return {"INSERT OR IGNORE INTO ", ""}; }
  std::string typed(std::string placeholder, std::uint32_t, pk_value_kind kind) const override {
    return kind == PK_VALUE_DECIMAL ? "CAST(" + placeholder + " AS NUMERIC)" : placeholder;
  }
};

class FileConnection final : public SqlConnection {
 public:
  void connect(const ConnectParams& params) override {
    path_ = params.database;
    forget_tables();
    db_.open(path_, params.lock_wait_ms);
  }
  void cancel() noexcept override { db_.cancel(); }
  std::vector<std::string> tables(const TableName&) override { return filedb::table_names(db_); }

  Server inspect() override {
    Server server;
    server.product = "filedb";
    server.version = sqlite3_libversion();
    server.clock_utc_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    server.tls = server.tls_verified = server.loopback = true;
    server.database = server.identity = path_;
    return server;
  }

 protected:
  const Dialect& dialect() const override { return dialect_; }
  std::int64_t execute(const std::string& text, const std::vector<Value>& params) override { return db_.execute(text, params); }
  Rows query(const std::string& text, const std::vector<Value>& params) override { return db_.query(text, params); }
  void begin_transaction() override { db_.execute("BEGIN IMMEDIATE"); }
  void commit_transaction() override { db_.execute("COMMIT"); }
  void rollback_transaction() override {
    if (db_.in_transaction()) db_.execute("ROLLBACK");
  }
  void set_lock_wait(std::uint32_t wait_ms) override { db_.set_lock_wait(wait_ms); }
  Table read_table(const TableName& name) override { return filedb::read_table(db_, name); }

 private:
  FileDialect dialect_;
  filedb::Database db_;
  std::string path_;
};

class FileBackend final : public Backend {
 public:
  static constexpr const char* name = "filedb";
  static constexpr const char* version = "1.0";
  static constexpr const char* schemes = "filedb";
  static constexpr const char* maturity = "experimental";
  std::unique_ptr<Connection> open() override { return std::make_unique<FileConnection>(); }
};

}  // namespace

PURGEKIT_DEFINE_BACKEND(FileBackend)
