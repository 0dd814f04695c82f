// Lets an exception cross the plugin line.
#include <stdexcept>

#include "purgekit/abi.h"

extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t, pk_backend*, pk_error*) { throw std::runtime_error("nobody catches this"); }
