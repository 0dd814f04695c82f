/// \file text_hash.hpp
/// A short stable fingerprint of a text, for names; not for security.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace purgekit::sqlite {

/// FNV-1a, 64 bits, as 16 hexadecimal digits. Equal in every build and on every machine.
inline std::string hash_hex(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  char buffer[17];
  std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(hash));
  return buffer;
}

}  // namespace purgekit::sqlite
