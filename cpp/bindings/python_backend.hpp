/// \file python_backend.hpp
/// Drives a Python object as a backend: the same SDK verbs, with the statements run by Python. See purgekit.Backend for
/// the protocol on the Python side.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "purgekit/sdk/connection.hpp"

namespace purgekit::bindings {

/// Call with the GIL held. The object is kept for ever.
std::unique_ptr<sdk::Backend> make_python_backend(pybind11::object backend);

}  // namespace purgekit::bindings
