/// \file declared.hpp
/// Reading of what people wrote in CREATE statements.
#pragma once

#include <string>

namespace purgekit::sqlite {

/// ASCII only, as SQLite folds names.
inline std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

inline std::string quote_name(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace purgekit::sqlite
