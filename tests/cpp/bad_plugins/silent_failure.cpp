// Fails with a code that does not exist, and without a word.
#include "purgekit/abi.h"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend*, pk_error*) { return -42; }
