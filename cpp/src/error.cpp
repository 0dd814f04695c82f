#include "purgekit/error.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace purgekit {
namespace {

ErrorKind kind_of(pk_code code) {
  switch (code) {
    case PK_INVALID_ARGUMENT:
    case PK_NOT_FOUND: return ErrorKind::policy;
    case PK_CONNECT_FAILED:
    case PK_AUTHENTICATION:
    case PK_CONNECTION_LOST:
    case PK_SERVER_SHUTDOWN: return ErrorKind::connection;
    case PK_NOT_SUPPORTED:
    case PK_PRIVILEGE:
    case PK_READ_ONLY:
    case PK_SCHEMA_CHANGED:
    case PK_CORRUPT: return ErrorKind::refused;
    default: return ErrorKind::failed;
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Levenshtein distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

EngineError::EngineError(const sdk::Error& error)
    : kind_(kind_of(error.code())), code_(sdk::code_name(error.code())), message_(error.message()), retryable_(error.retryable()) {}

void bad_policy(const std::string& message) { throw EngineError(ErrorKind::policy, "policy", message); }

void refuse(std::string code, const std::string& message) { throw EngineError(ErrorKind::refused, std::move(code), message); }

std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& candidates) {
  const std::string wanted = lower(wrong);
  const std::string* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(2, wanted.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t d = distance(wanted, lower(candidate));
    if (d < best_distance) {
      best_distance = d;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : " (did you mean " + *best + "?)";
}

}  // namespace purgekit
