#include "convert.hpp"
#include "purgekit/sdk/marshal.hpp"

PYBIND11_MODULE(_core, module) {
  using namespace purgekit::bindings;
  module.attr("__version__") = PURGEKIT_VERSION;
  module.attr("abi_version") = purgekit::sdk::abi_text(PURGEKIT_ABI_VERSION);
  register_errors(module);
  bind_log(module);
  bind_predicate(module);
  bind_policy(module);
  bind_backends(module);
  bind_connection(module);
  bind_session(module);
}
