// The entry point of purgekit_backend_postgresql.so.
#include <memory>

#include "connection.hpp"

namespace purgekit::postgresql {

class PgBackend final : public sdk::Backend {
 public:
  static constexpr const char* name = "postgresql";
  static constexpr const char* version = "0.1.0 (libpqxx " PQXX_VERSION ")";
  static constexpr const char* schemes = "postgresql postgres";
  static constexpr const char* maturity = "stable";
  std::unique_ptr<sdk::Connection> open() override { return std::make_unique<PgConnection>(); }
};

}  // namespace purgekit::postgresql

PURGEKIT_DEFINE_BACKEND(purgekit::postgresql::PgBackend)
