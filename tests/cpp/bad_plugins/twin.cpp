// A good backend that calls itself by the name of another one.
#include "whole_table.hpp"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend* out, pk_error*) {
  bad::fill(*out, "null");
  out->version = "twin";
  return PK_OK;
}
