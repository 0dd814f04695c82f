// purgekit_backend_sqlite.so
#include <sqlite3.h>

#include <memory>

#include "connection.hpp"
#include "purgekit/sdk.hpp"

namespace purgekit::sqlite {
namespace {

class SqliteBackend final : public sdk::Backend {
 public:
  static constexpr const char* name = "sqlite";
  static constexpr const char* version = "0.1.0 (SQLite " SQLITE_VERSION ")";
  static constexpr const char* schemes = "sqlite";
  static constexpr const char* maturity = "experimental";

  std::unique_ptr<sdk::Connection> open() override { return std::make_unique<SqliteConnection>(); }
};

}  // namespace
}  // namespace purgekit::sqlite

PURGEKIT_DEFINE_BACKEND(purgekit::sqlite::SqliteBackend)
