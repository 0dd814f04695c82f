/// \file compat.hpp
/// The differences between libpqxx 6.4 and 7, so that no other file has to know which one it is compiled with.
#pragma once

#include <libpq-fe.h>

#include <exception>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <utility>
#include <vector>

namespace purgekit::postgresql {

/// A text parameter, or NULL.
using Param = std::optional<std::string>;

/// What libpqxx threw, as far as it says.
struct Failure {
  std::string text;
  std::string sqlstate;
  bool broken = false;  ///< the connection is gone
};

/// Describe the exception being handled. Anything that did not come from libpqxx is thrown on.
inline Failure current_failure() {
  try {
    throw;
  } catch (const pqxx::broken_connection& e) {
    return {e.what(), "", true};
  } catch (const pqxx::sql_error& e) {
    return {e.what(), e.sqlstate(), false};
  } catch (const pqxx::failure& e) {
    // 6.4 has serialization failures and deadlocks outside of sql_error: their SQLSTATE is in the verbose text.
    return {e.what(), "", false};
  }
}

#if PQXX_VERSION_MAJOR < 7

/// How libpqxx connects, remembering the connection of libpq that it made.
class Connecting : public pqxx::connect_direct {
 public:
  explicit Connecting(const std::string& options) : connect_direct(options) {}
  handle do_startconnect(handle known) override { return latest() = connect_direct::do_startconnect(known); }

  /// Of this thread. For the statements that libpqxx can't send.
  static handle& latest() {
    thread_local handle one = nullptr;
    return one;
  }
};

using Connection = pqxx::basic_connection_base<Connecting>;

inline std::pair<std::unique_ptr<Connection>, PGconn*> connected(const std::string& options) {
  auto made = std::make_unique<Connection>(options);
  return {std::move(made), Connecting::latest()};
}

inline pqxx::result exec_with(pqxx::nontransaction& work, const std::string& text, const std::vector<Param>& params) {
  std::vector<const char*> pointers;
  pointers.reserve(params.size());
  for (const Param& param : params) pointers.push_back(param ? param->c_str() : nullptr);
  return work.exec_params(text, pqxx::prepare::make_dynamic_params(pointers));
}

inline void settle(Connection& connection) {
  // A silent reconnect would lose the transaction, its settings and the advisory lock without a word.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection.inhibit_reactivation(true);
#pragma GCC diagnostic pop
  connection.set_verbosity(pqxx::connection_base::verbose);
}

#else

using Connection = pqxx::connection;

inline std::pair<std::unique_ptr<Connection>, PGconn*> connected(const std::string& options) {
  pqxx::connection made(options);
  PGconn* raw = std::move(made).release_raw_connection();  // for the statements that libpqxx can't send
  return {std::make_unique<Connection>(Connection::seize_raw_connection(raw)), raw};
}

inline pqxx::result exec_with(pqxx::nontransaction& work, const std::string& text, const std::vector<Param>& params) {
  pqxx::params values;
  for (const Param& param : params) {
    if (param) {
      values.append(*param);
    } else {
      values.append();
    }
  }
#if PQXX_VERSION_MAJOR > 7 || PQXX_VERSION_MINOR >= 10
  return work.exec(text, values);
#else
  return work.exec_params(text, values);
#endif
}

inline void settle(Connection& connection) { connection.set_verbosity(pqxx::error_verbosity::verbose); }

#endif

}  // namespace purgekit::postgresql
