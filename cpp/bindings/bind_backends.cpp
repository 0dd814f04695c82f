#include <pybind11/stl.h>

#include <mutex>
#include <set>
#include <string_view>

#include "convert.hpp"
#include "purgekit/registry.hpp"
#include "purgekit/sdk/trusted_path.hpp"
#include "python_backend.hpp"

namespace purgekit::bindings {

namespace {

constexpr std::string_view own_source = "purgekit";  // plugins.py calls the package's own folder so

}  // namespace

void bind_backends(py::module_& module) {
  using namespace py::literals;
  module.def("load_backend", [](const std::string& path) { return load_backend(path); }, "path"_a);
  module.def(
      "distrust", [](const std::string& path, bool is_code) { return sdk::distrust(path, is_code ? sdk::Trust::code : sdk::Trust::settings); }, "path"_a, py::kw_only(),
      "is_code"_a);
  module.def(
      "register_python_backend",
      [](const py::object& backend) {
        const std::string name = backend.attr("name").cast<std::string>();
        const std::string version = backend.attr("version").cast<std::string>();
        std::string schemes;
        for (const std::string& scheme : to_strings(backend.attr("schemes"))) schemes += (schemes.empty() ? "" : " ") + scheme;
        register_backend(make_python_backend(backend), name, version, schemes);
      },
      "backend"_a);
  module.def(
      "find_backends",
      [](const std::vector<std::pair<std::string, std::string>>& directories) {
        static std::mutex mutex;
        static std::set<std::string> searched;
        for (const auto& [source, directory] : directories) {
          {
            const std::scoped_lock lock(mutex);
            if (!searched.insert(directory).second) continue;
          }
          find_backends(directory, source == own_source ? Origin::own : Origin::operators);
        }
      },
      "directories"_a, py::call_guard<py::gil_scoped_release>());
  module.def("backends", [] {
    py::list out;
    for (const BackendInfo& b : backends()) {
      out.append(py::dict("name"_a = b.name, "version"_a = b.version, "abi"_a = b.abi, "source"_a = b.source, "schemes"_a = b.schemes, "status"_a = b.status));
    }
    return out;
  });
  module.def("backend_for", &backend_for_scheme, "scheme"_a);
}

}  // namespace purgekit::bindings
