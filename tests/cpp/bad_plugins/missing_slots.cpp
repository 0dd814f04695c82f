// Leaves required verbs and its schemes out; optional ones too, which is allowed.
#include "whole_table.hpp"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend* out, pk_error*) {
  bad::fill(*out, "missing_slots");
  out->schemes = "";
  out->commit = nullptr;
  out->delete_range = nullptr;
  out->estimate = nullptr;
  return PK_OK;
}
