#include "conninfo.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "purgekit/sdk/error.hpp"

namespace purgekit::postgresql {
namespace {

// Not "options" or "service", which could change settings that a purge relies on, and not "passwd" by another name.
constexpr std::string_view allowed[] = {
    "application_name", "channel_binding",  "connect_timeout",  "gssencmode",        "host",
    "hostaddr",         "keepalives",       "keepalives_count", "keepalives_idle",   "keepalives_interval",
    "krbsrvname",       "passfile",         "port",             "require_auth",      "ssl_max_protocol_version",
    "ssl_min_protocol_version", "sslcert",  "sslcrl",           "sslcrldir",         "sslkey",
    "sslmode",          "sslpassword",      "sslrootcert",      "sslsni",            "target_session_attrs",
    "tcp_user_timeout"};

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

[[noreturn]] void refuse(const std::string& key) {
  const auto nearest = *std::min_element(std::begin(allowed), std::end(allowed),
                                         [&](auto a, auto b) { return distance(key, a) < distance(key, b); });
  throw sdk::Error(PK_INVALID_ARGUMENT, "the PostgreSQL URL option \"" + key + "\" is not offered; the nearest one is \"" + std::string(nearest) + "\"");
}

class Builder {
 public:
  void add(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    if (value.find('\0') != std::string_view::npos) throw sdk::Error(PK_INVALID_ARGUMENT, "a part of the database URL holds a NUL character");
    text_ += (text_.empty() ? "" : " ") + std::string(key) + "='";
    for (const char c : value) {
      if (c == '\'' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += "'";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

std::string conninfo(const sdk::ConnectParams& params) {
  for (const sdk::Option& option : params.options) {
    if (std::find(std::begin(allowed), std::end(allowed), option.key) == std::end(allowed)) refuse(option.key);
  }
  if (const std::string* key = params.option("sslkey"); key != nullptr && key->find(':') != std::string::npos) {
    // libpq takes what stands before the colon for an OpenSSL engine: a library that it loads, by its path too.
    throw sdk::Error(PK_INVALID_ARGUMENT, "the PostgreSQL URL option sslkey names a file; one with a colon would name a library to load, which a URL never does");
  }
  Builder out;
  const auto with_default = [&](std::string_view key, std::string_view fallback) {
    if (params.option(key) == nullptr) out.add(key, fallback);
  };
  out.add("host", params.host);
  if (params.port != 0) out.add("port", std::to_string(params.port));
  out.add("dbname", params.database);
  out.add("user", params.user);
  out.add("password", params.password);
  out.add("client_encoding", "UTF8");
  with_default("application_name", "purgekit");
  with_default("connect_timeout", std::to_string(std::max(2u, (params.connect_timeout_ms + 999) / 1000)));
  // A server that vanished without a word is noticed after about a minute instead of two hours.
  with_default("keepalives_idle", "30");
  with_default("keepalives_interval", "10");
  with_default("keepalives_count", "3");
  with_default("tcp_user_timeout", "60000");
  for (const sdk::Option& option : params.options) {
    const bool in_url = (option.key == "host" && !params.host.empty()) || (option.key == "port" && params.port != 0);
    if (!in_url) out.add(option.key, option.value);
  }
  return out.text();
}

std::string effective_sslmode(const sdk::ConnectParams& params) {
  if (const std::string* mode = params.option("sslmode")) return *mode;
  const char* from_environment = std::getenv("PGSSLMODE");
  return from_environment == nullptr ? "prefer" : from_environment;
}

}  // namespace purgekit::postgresql
