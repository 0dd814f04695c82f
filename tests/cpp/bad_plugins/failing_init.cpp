// Its client library can't be used here.
#include "whole_table.hpp"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend*, pk_error* error) {
  return purgekit::sdk::Error(PK_INTERNAL, "the client library is older than 7").to_c(error);
}
