/// \file convert.hpp
/// Python values to engine values and back, and the ways a native call meets the interpreter. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "purgekit/control.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::bindings {

namespace py = pybind11;

/// bool, int, float, str, bytes, Decimal, datetime (aware: an instant; naive: a wall clock), date, None.
/// \throws EngineError (policy) for anything else.
sdk::Value to_value(py::handle object);

/// Parameters for a Python driver: int, float, str, bytes, bool, Decimal, None.
py::object from_value(const sdk::Value& value);

/// A repr: names in it may come from anywhere and are shown on terminals.
py::object shown(const std::string& text);

std::vector<std::string> to_strings(py::handle sequence);

/// Lets native work have something done on the thread that called from Python, where people expect their callbacks.
class Caller {
 public:
  /// From the worker: have `task` run by the calling thread under the GIL, and wait for it.
  void run(const std::function<void()>& task);

 private:
  friend void run_interruptible(const std::function<void(Caller&)>& work, const std::function<void()>& on_signal);
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* task_ = nullptr;
  bool done_ = false;
};

/// Run `work` on a thread of its own with the GIL released, so that Python's signal handlers run meanwhile. When a handler
/// raises (Ctrl-C), `on_signal` is called once and the exception is raised after the work has ended. Joins before returning.
void run_interruptible(const std::function<void(Caller&)>& work, const std::function<void()>& on_signal);

/// Raise EngineError and sdk::Error as the classes of purgekit.errors.
void register_errors(py::module_& module);

void bind_predicate(py::module_& module);
void bind_policy(py::module_& module);
void bind_connection(py::module_& module);
void bind_session(py::module_& module);
void bind_backends(py::module_& module);
void bind_log(py::module_& module);

/// A parsed URL's parts given as keyword arguments.
sdk::ConnectParams to_connect_params(const py::kwargs& arguments);

py::dict from_server(const sdk::Server& server);

}  // namespace purgekit::bindings
