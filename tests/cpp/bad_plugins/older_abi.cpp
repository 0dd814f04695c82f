// Built with the headers of an older revision, and does not look at the host's.
#include "whole_table.hpp"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend* out, pk_error*) {
  bad::fill(*out, "older_abi");
  out->abi = PURGEKIT_ABI_VERSION - 1;
  return PK_OK;
}
