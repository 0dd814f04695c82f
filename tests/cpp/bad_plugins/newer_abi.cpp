// Built for a major version to come, which this host can't serve; it says so itself.
#include "whole_table.hpp"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t host_abi, pk_backend* out, pk_error* error) {
  constexpr uint32_t built_with = (7u << 16) | 3u;
  out->abi = built_with;
  if (host_abi != built_with) {
    return purgekit::sdk::Error(PK_NOT_SUPPORTED, "newer_abi was built for plugin ABI " + purgekit::sdk::abi_text(built_with)).to_c(error);
  }
  bad::fill(*out, "newer_abi");
  return PK_OK;
}
