#include <pybind11/functional.h>

#include <memory>

#include "convert.hpp"
#include "purgekit/log.hpp"

namespace purgekit::bindings {

void bind_log(py::module_& module) {
  using namespace py::literals;
  module.def("set_log_level", &set_log_level, "level"_a);
  module.def("log_to_stderr", &log_to_stderr, "on"_a);
  module.def(
      "set_log_sink",
      [](const py::object& sink) {
        if (sink.is_none()) {
          // The old function dies here; the sink's own lock is never held while waiting for the GIL by a logging thread.
          const py::gil_scoped_release release;
          set_log_sink({});
          return;
        }
        // Dies under the GIL, whichever thread drops it.
        const std::shared_ptr<py::object> held(new py::object(sink), [](py::object* object) {
          if (Py_IsInitialized() == 0) return;
          const py::gil_scoped_acquire acquire;
          delete object;
        });
        auto function = [held](const std::string& level, const std::string& message) {
          if (Py_IsInitialized() == 0) return;
          const py::gil_scoped_acquire acquire;
          try {
            (*held)(level, message);
          } catch (py::error_already_set& e) {
            e.discard_as_unraisable("purgekit log sink");
          }
        };
        const py::gil_scoped_release release;
        set_log_sink(std::move(function));
      },
      "sink"_a);
}

}  // namespace purgekit::bindings
