// A shared library that is no backend.
#include "purgekit/abi.h"

extern "C" PURGEKIT_EXPORT int purgekit_backend_start(void);
extern "C" PURGEKIT_EXPORT int purgekit_backend_start(void) { return 0; }
