/// \file registry.hpp
/// Finds, checks and keeps backends. A library once loaded is never unloaded.
///
/// Thread rule: all functions may be called from any thread; a loaded backend's table never changes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/connection.hpp"

namespace purgekit {

/// One backend as found, or why it was refused.
struct BackendInfo {
  std::string name;
  std::string version;
  std::string abi;
  std::string source;  ///< where it came from: a path, or "python"
  std::vector<std::string> schemes;
  std::string status;  ///< "ok", or the reason it was refused
};

/// Who says that a plugin may be loaded. What was installed together with the engine is trusted as the engine is.
enum class Origin { own, operators };

/// Load a library and register its backend; the name. Loading the same file again does nothing.
/// \throws sdk::Error with the reason: not a shared library, no entry symbol, other ABI, failed init, missing verbs, or a
/// file that strangers could have written (trusted_path.hpp).
std::string load_backend(const std::string& path, Origin origin = Origin::operators);

/// Load every purgekit_backend_*.so in a folder. One that is refused is remembered with its reason. A name that is already
/// registered is left alone: what was found first wins. A folder that strangers may write to is not searched.
void find_backends(const std::string& directory, Origin origin = Origin::operators);

/// Register a backend that lives in this process (a Python class); the registry keeps it for ever.
void register_backend(std::unique_ptr<sdk::Backend> backend, const std::string& name, const std::string& version, const std::string& schemes);

/// Everything found so far, refused ones included.
std::vector<BackendInfo> backends();

/// Remember a folder or file that was looked at in vain, for error messages and `backends()`.
void note_refused(const std::string& source, const std::string& reason);

/// The table of a registered backend. \throws EngineError (policy) naming what was tried and the nearest name.
const pk_backend& backend_named(const std::string& name);

/// Name of the backend that serves a URL scheme. \throws EngineError (policy) likewise.
std::string backend_for_scheme(const std::string& scheme);

}  // namespace purgekit
