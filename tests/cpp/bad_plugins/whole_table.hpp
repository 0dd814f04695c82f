/// \file whole_table.hpp
/// A complete table of verbs from the SDK, for plugins that are to be bad in one way only.
#pragma once

#include <memory>

#include "purgekit/sdk.hpp"

namespace bad {

class Backend final : public purgekit::sdk::Backend {
 public:
  std::unique_ptr<purgekit::sdk::Connection> open() override { throw purgekit::sdk::Error(PK_NOT_SUPPORTED, "opens nothing"); }
};

/// As a good plugin would, under `name`.
inline void fill(pk_backend& out, const char* name) {
  static Backend backend;
  purgekit::sdk::fill_verbs(out, backend);
  out.struct_size = sizeof(pk_backend);
  out.abi = PURGEKIT_ABI_VERSION;
  out.name = name;
  out.version = "1";
  out.schemes = name;
}

}  // namespace bad
