// The entry point of the library.
#include <memory>

#include "connection.hpp"
#include "purgekit/sdk/adapter.hpp"

namespace purgekit::mysql {

class MysqlBackend final : public sdk::Backend {
 public:
  static constexpr const char* name = "mysql";
  static constexpr const char* version = "0.1.0, MySQL Connector/C++ " MYCPPCONN_DM_VERSION;
  static constexpr const char* schemes = "mysql mariadb";
  static constexpr const char* maturity = "experimental";

  std::unique_ptr<sdk::Connection> open() override { return std::make_unique<MysqlConnection>(); }
};

}  // namespace purgekit::mysql

PURGEKIT_DEFINE_BACKEND(purgekit::mysql::MysqlBackend)
