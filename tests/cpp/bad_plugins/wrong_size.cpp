// Says the right version, but its table is of another size.
#include "whole_table.hpp"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend* out, pk_error*) {
  bad::fill(*out, "wrong_size");
  out->struct_size -= sizeof(void*);
  return PK_OK;
}
