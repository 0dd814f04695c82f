#include "options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/trusted_path.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;

// A read that takes longer counts as a dead line when no statement timeout was given.
constexpr int longest_read_s = 4 * 3600;

// URL option to the connector's own name, handed over as text.
constexpr std::array<std::pair<std::string_view, const char*>, 5> tls_files = {{
    {"ssl_ca", "sslCA"},
    {"ssl_capath", "sslCAPath"},
    {"ssl_cert", "sslCert"},
    {"ssl_key", "sslKey"},
    {"ssl_cipher", "sslCipher"},
}};

constexpr std::array<std::string_view, 7> other_options = {"unix_socket", "ssl_mode",          "charset",           "read_default_file",
                                                           "read_default_group", "read_timeout_s", "sslmode"};

[[noreturn]] void refuse_value(const std::string& key, const std::string& value, const std::string& allowed) {
  throw Error(PK_INVALID_ARGUMENT, "URL option " + key + "=" + value + " is not known; use one of: " + allowed);
}

Tls parse_tls(const std::string& key, std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](char c) { return c == '_' ? '-' : (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c; });
  if (value == "disabled" || value == "disable") return Tls::disabled;
  if (value == "preferred" || value == "prefer") return Tls::preferred;
  if (value == "required" || value == "require") return Tls::required;
  if (value == "verify-ca") return Tls::verify_ca;
  if (value == "verify-identity" || value == "verify-full" || value == "verify") return Tls::verify_identity;
  refuse_value(key, value, "disabled, preferred, required, verify_ca, verify_identity");
}

void check_known(const sdk::ConnectParams& params) {
  for (const sdk::Option& option : params.options) {
    const auto same = [&](std::string_view name) { return name == option.key; };
    const bool known = std::any_of(other_options.begin(), other_options.end(), same) ||
                       std::any_of(tls_files.begin(), tls_files.end(), [&](const auto& file) { return same(file.first); });
    if (known) continue;
    std::string names;
    for (const auto& [name, unused] : tls_files) names += std::string(name) + ", ";
    throw Error(PK_INVALID_ARGUMENT, "URL option " + option.key + " is not known to the mysql backend; known are: " + names +
                                         "ssl_mode, unix_socket, charset, read_timeout_s, read_default_file, read_default_group");
  }
}

void add_tls(const sdk::ConnectParams& params, ClientOptions& out) {
  for (const char* key : {"ssl_mode", "sslmode"}) {
    if (const std::string* value = params.option(key)) out.tls = parse_tls(key, *value);
  }
  bool has_authority = false;
  for (const auto& [key, name] : tls_files) {
    const std::string* value = params.option(key);
    if (value == nullptr) continue;
    out.map[name] = sql::SQLString(*value);
    has_authority = has_authority || key == "ssl_ca" || key == "ssl_capath";
  }
  if (out.tls == Tls::disabled && has_authority) throw Error(PK_INVALID_ARGUMENT, "ssl_mode=disabled contradicts ssl_ca");
  if (out.tls == Tls::preferred && has_authority) out.tls = Tls::verify_identity;
#if PURGEKIT_MYSQL_HAS_SSL_MODE
  constexpr std::pair<Tls, int> modes[] = {{Tls::disabled, 1}, {Tls::preferred, 2}, {Tls::required, 3}, {Tls::verify_ca, 4}, {Tls::verify_identity, 5}};
  for (const auto& [tls, mode] : modes) {
    if (tls == out.tls) out.map["OPT_SSL_MODE"] = mode;
  }
  if (out.tls == Tls::verify_ca && !has_authority) throw Error(PK_INVALID_ARGUMENT, "ssl_mode=verify_ca needs ssl_ca");
#else
  if (out.tls == Tls::verify_ca) {
    throw Error(PK_NOT_SUPPORTED, "ssl_mode=verify_ca is not offered by this build of Connector/C++: it checks authority and name together; "
                                  "use ssl_mode=verify_identity");
  }
  if (out.tls == Tls::required) out.map["sslEnforce"] = true;
  if (out.tls == Tls::verify_identity) out.map["sslVerify"] = true;
#endif
}

int positive_seconds(const std::string& key, const std::string& text) {
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || value < 1) refuse_value(key, text, "a whole number of seconds from 1");
  return value;
}

int seconds_up(std::uint64_t ms) { return static_cast<int>((ms + 999) / 1000); }

void add_timeouts(const sdk::ConnectParams& params, ClientOptions& out) {
  out.map["OPT_CONNECT_TIMEOUT"] = std::max(1, seconds_up(params.connect_timeout_ms));
  // MariaDB's own limit comes first. MySQL has one for SELECT at most, so there this one ends what takes too long.
  out.read_timeout_s = params.statement_timeout_ms == 0
                           ? longest_read_s
                           : seconds_up(std::uint64_t{params.statement_timeout_ms} + params.lock_wait_ms) + 2;
  if (const std::string* text = params.option("read_timeout_s")) out.read_timeout_s = positive_seconds("read_timeout_s", *text);
  out.map["OPT_READ_TIMEOUT"] = out.read_timeout_s;
  out.map["OPT_WRITE_TIMEOUT"] = std::min(out.read_timeout_s, 60);
}

// A number: "127.example.org" is a name like any other.
bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || (host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos);
}

void add_place(const sdk::ConnectParams& params, ClientOptions& out) {
  const std::string* socket = params.option("unix_socket");
  out.local_socket = socket != nullptr || (params.port == 0 && (params.host.empty() || params.host == "localhost"));
  out.loopback = out.local_socket || params.host.empty() || is_loopback(params.host);
  if (out.local_socket) {
    out.map["hostName"] = sql::SQLString("localhost");
    if (socket != nullptr) out.map["socket"] = sql::SQLString(*socket);
    out.place = socket != nullptr ? *socket : "localhost";
    return;
  }
  const std::string host = params.host.empty() ? "127.0.0.1" : params.host;
  const int port = params.port == 0 ? 3306 : static_cast<int>(params.port);
  // Brackets keep the colons of an IPv6 address apart from the port.
  out.map["hostName"] = sql::SQLString("tcp://[" + host + "]");
  out.map["port"] = out.port = port;
  out.place = host + ":" + std::to_string(port);
}

void add_account(const sdk::ConnectParams& params, ClientOptions& out) {
  out.map["userName"] = sql::SQLString(params.user);
  out.map["password"] = sql::SQLString(params.password);
  const std::string* file = params.option("read_default_file");
  const std::string* group = params.option("read_default_group");
  if (file == nullptr && group == nullptr && !params.user.empty() && !params.password.empty()) return;
  std::string path = file != nullptr ? *file : "";
  if (path.empty()) {
    const char* home = std::getenv("HOME");
    if (home == nullptr) return;
    path = std::string(home) + "/.my.cnf";
  }
  // Such a file can name a library for the client to load (plugin-dir), so it is held to what code is held to.
  if (const std::string reason = sdk::distrust(path, sdk::Trust::code); !reason.empty()) {
    throw Error(PK_INVALID_ARGUMENT, "the option file " + path + " is not read: " + reason);
  }
  out.map["readDefaultFile"] = sql::SQLString(path);
  out.map["readDefaultGroup"] = sql::SQLString(group != nullptr ? *group : "client");
}

}  // namespace

ClientOptions client_options(const sdk::ConnectParams& params) {
  check_known(params);
  if (const std::string* charset = params.option("charset"); charset != nullptr && *charset != "utf8mb4" && *charset != "utf8") {
    refuse_value("charset", *charset, "utf8mb4");
  }
  ClientOptions out;
  add_account(params, out);
  add_place(params, out);
  add_tls(params, out);
  add_timeouts(params, out);
  if (!params.database.empty()) out.map["schema"] = sql::SQLString(params.database);
  out.map["OPT_CHARSET_NAME"] = sql::SQLString("utf8mb4");
  out.map["CLIENT_FOUND_ROWS"] = true;  // the ledger counts matched rows, also where an UPDATE changes nothing
  out.map["OPT_LOCAL_INFILE"] = 0;
  out.map["OPT_RECONNECT"] = false;  // a session made behind our back would have lost transaction and settings
  return out;
}

}  // namespace purgekit::mysql
