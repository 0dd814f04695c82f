/// \file fuzz.hpp
/// What the fuzz targets share: assertions that say what was expected, and reading input that may be refused.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "purgekit/error.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit::fuzz {

/// Ends the run with a finding unless `holds`.
inline void expect(bool holds, const char* what, std::string_view shown = {}) {
  if (holds) return;
  std::fprintf(stderr, "FINDING: %s: %.*s\n", what, static_cast<int>(shown.size()), shown.data());
  std::abort();
}

/// One line that can't steer a terminal.
inline bool is_one_line(std::string_view text) {
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) return false;
  }
  return !text.empty();
}

/// What `read` gives, or nothing when it refuses; a refusal is an error of ours with one line for people.
template <class Read>
auto accepted(const Read& read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const EngineError& e) {
    expect(is_one_line(e.message()), "a refusal is one line", e.message());
  } catch (const sdk::Error& e) {
    expect(is_one_line(e.message()), "an error is one line", e.message());
  }
  return std::nullopt;
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace purgekit::fuzz

/// Defines libFuzzer's entry from a function of the input's text.
#define PURGEKIT_FUZZ_TEXT(run)                                                          \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {    \
    run(purgekit::fuzz::text_of(data, size));                                            \
    return 0;                                                                            \
  }

/// The same from a function that draws what it needs from the input.
#define PURGEKIT_FUZZ_DATA(run)                                                          \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {    \
    FuzzedDataProvider in(data, size);                                                   \
    run(in);                                                                             \
    return 0;                                                                            \
  }
