#include "convert.hpp"

#include <pybind11/stl.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>

#include "purgekit/error.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit::bindings {
namespace {

using sdk::Value;

bool is_instance(py::handle object, const char* module, const char* name) {
  return py::isinstance(object, py::module_::import(module).attr(name));
}

Value from_int(py::handle object) {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  if (overflow == 0) return Value::integer(number);
  if (overflow > 0) {
    const unsigned long long large = PyLong_AsUnsignedLongLong(object.ptr());
    if (PyErr_Occurred() == nullptr) return Value::unsigned_integer(large);
    PyErr_Clear();
  }
  // Python refuses to write out a number of thousands of digits.
  if (object.attr("bit_length")().cast<std::size_t>() > 256) bad_policy("a whole number of more than 256 bits can't be compared with a column");
  return Value::decimal(py::str(object));
}

Value from_decimal(py::handle object) {
  // Written out only where that is short: 1E+999999 would be a million digits.
  const bool is_short = object.attr("is_finite")().cast<bool>() && std::abs(object.attr("adjusted")().cast<long long>()) < 100;
  if (!is_short) bad_policy("the decimal " + std::string(py::str(object)) + " can't be compared with a column: a number of at most 80 digits can");
  return Value::decimal(py::module_::import("builtins").attr("format")(object, "f").cast<std::string>());
}

[[noreturn]] void bad_year(py::handle time) { bad_policy("the time " + std::string(py::str(time)) + " lies outside the years 1678 to 2261"); }

// Days that any time of day can be added to.
std::int64_t days_of(py::handle date) {
  const std::int64_t days = sdk::days_from_civil(date.attr("year").cast<int>(), date.attr("month").cast<unsigned>(), date.attr("day").cast<unsigned>());
  if (days <= sdk::first_calendar_ns / sdk::ns_per_day || days >= sdk::last_calendar_ns / sdk::ns_per_day) bad_year(date);
  return days;
}

Value from_datetime(py::handle object) {
  const bool aware = !object.attr("utcoffset")().is_none();
  py::object moment = py::reinterpret_borrow<py::object>(object);
  if (aware) {
    try {
      moment = object.attr("astimezone")(py::module_::import("datetime").attr("timezone").attr("utc"));
    } catch (const py::error_already_set& e) {
      if (!e.matches(PyExc_OverflowError)) throw;
      bad_year(object);
    }
  }
  const std::int64_t seconds = days_of(moment) * 86'400 + moment.attr("hour").cast<std::int64_t>() * 3'600 + moment.attr("minute").cast<std::int64_t>() * 60 + moment.attr("second").cast<std::int64_t>();
  const std::int64_t ns = seconds * sdk::ns_per_s + moment.attr("microsecond").cast<std::int64_t>() * 1'000;
  return aware ? Value::instant(ns) : Value::wall(ns);
}

}  // namespace

Value to_value(py::handle object) {
  if (object.is_none()) return Value::null();
  if (PyBool_Check(object.ptr())) return Value::boolean(object.cast<bool>());
  if (PyLong_Check(object.ptr())) return from_int(object);
  if (PyFloat_Check(object.ptr())) return Value::real(object.cast<double>());
  if (PyUnicode_Check(object.ptr())) return Value::string(object.cast<std::string>());
  if (PyBytes_Check(object.ptr()) || PyByteArray_Check(object.ptr()) || PyMemoryView_Check(object.ptr())) {
    return Value::bytes(std::string(py::bytes(py::reinterpret_borrow<py::object>(object))));
  }
  if (is_instance(object, "decimal", "Decimal")) return from_decimal(object);
  if (is_instance(object, "datetime", "datetime")) return from_datetime(object);
  if (is_instance(object, "datetime", "date")) return Value::wall(days_of(object) * sdk::ns_per_day);
  bad_policy("a value of type " + std::string(py::str(py::type::of(object).attr("__name__"))) + " can't be compared with a column: give a number, text, bytes, Decimal, datetime or date");
}

py::object from_value(const Value& v) {
  switch (v.kind) {
    case PK_VALUE_NULL: return py::none();
    case PK_VALUE_INT: return py::int_(v.i64);
    case PK_VALUE_UINT: return py::int_(static_cast<std::uint64_t>(v.i64));
    case PK_VALUE_REAL: return py::float_(v.f64);
    case PK_VALUE_BOOL: return py::bool_(v.i64 != 0);
    case PK_VALUE_TEXT: return py::str(v.text);
    case PK_VALUE_BYTES: return py::bytes(v.text);
    case PK_VALUE_DECIMAL: return py::module_::import("decimal").attr("Decimal")(v.text);
    case PK_VALUE_INSTANT: return py::str(sdk::format_time(v.i64, 9) + "+00:00");
    case PK_VALUE_WALL: return py::str(sdk::format_time(v.i64, 9));
  }
  return py::none();
}

py::object shown(const std::string& text) { return py::module_::import("purgekit.text").attr("printable")(py::str(text)); }

std::vector<std::string> to_strings(py::handle sequence) {
  std::vector<std::string> out;
  for (const py::handle item : sequence) out.push_back(item.cast<std::string>());
  return out;
}

void Caller::run(const std::function<void()>& task) {
  std::unique_lock lock(mutex_);
  task_ = &task;
  changed_.notify_all();
  changed_.wait(lock, [this] { return task_ == nullptr; });
}

void run_interruptible(const std::function<void(Caller&)>& work, const std::function<void()>& on_signal) {
  Caller caller;
  std::exception_ptr problem;
  std::thread worker([&] {
    try {
      work(caller);
    } catch (...) {
      problem = std::current_exception();
    }
    const std::scoped_lock lock(caller.mutex_);
    caller.done_ = true;
    caller.changed_.notify_all();
  });
  std::optional<py::error_already_set> interrupt;
  for (bool finished = false; !finished;) {
    const std::function<void()>* task = nullptr;
    {
      const py::gil_scoped_release release;
      std::unique_lock lock(caller.mutex_);
      caller.changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return caller.done_ || caller.task_ != nullptr; });
      finished = caller.done_;
      task = caller.task_;
    }
    if (task != nullptr) {
      (*task)();
      const std::scoped_lock lock(caller.mutex_);
      caller.task_ = nullptr;
      caller.changed_.notify_all();
    }
    if (PyErr_CheckSignals() != 0) {
      const bool first = !interrupt;
      interrupt.emplace();
      if (first) on_signal();
    }
  }
  {
    const py::gil_scoped_release release;
    worker.join();
  }
  if (interrupt) throw py::error_already_set(*interrupt);
  if (problem) std::rethrow_exception(problem);
}

namespace {

void raise_in_python(const EngineError& e) {
  const char* name = "PurgeFailed";
  switch (e.kind()) {
    case ErrorKind::policy: name = "PolicyError"; break;
    case ErrorKind::connection: name = "ConnectionFailed"; break;
    case ErrorKind::refused: name = "PurgeRefused"; break;
    case ErrorKind::failed: name = "PurgeFailed"; break;
  }
  using namespace py::literals;
  const auto text_or_none = [](const std::string& text) { return text.empty() ? py::object(py::none()) : py::object(py::str(text)); };
  const py::object type = py::module_::import("purgekit.errors").attr(name);
  // A message may hold bytes of another encoding from a server; it must not hide the error behind one of its own.
  const py::object message = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(e.message().data(), static_cast<Py_ssize_t>(e.message().size()), "replace"));
  const py::object error = type(message, "code"_a = e.code(), "retryable"_a = e.retryable(), "table"_a = text_or_none(e.table()), "policy"_a = text_or_none(e.policy()));
  PyErr_SetObject(type.ptr(), error.ptr());
}

}  // namespace

void register_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const EngineError& e) {
      raise_in_python(e);
    } catch (const sdk::Error& e) {
      raise_in_python(EngineError(e));
    }
  });
}

sdk::ConnectParams to_connect_params(const py::kwargs& arguments) {
  sdk::ConnectParams out;
  for (const auto& [key, value] : arguments) {
    const std::string name = key.cast<std::string>();
    if (name == "scheme") out.scheme = value.cast<std::string>();
    else if (name == "user") out.user = value.cast<std::string>();
    else if (name == "password") out.password = value.cast<std::string>();
    else if (name == "host") out.host = value.cast<std::string>();
    else if (name == "port") out.port = value.cast<std::uint32_t>();
    else if (name == "database") out.database = value.cast<std::string>();
    else if (name == "connect_timeout_ms") out.connect_timeout_ms = value.cast<std::uint32_t>();
    else if (name == "lock_wait_ms") out.lock_wait_ms = value.cast<std::uint32_t>();
    else if (name == "statement_timeout_ms") out.statement_timeout_ms = value.cast<std::uint32_t>();
    else if (name == "options") {
      for (const auto& [option, setting] : value.cast<std::vector<std::pair<std::string, std::string>>>()) out.options.push_back({option, setting});
    } else {
      throw py::type_error("unexpected keyword argument " + name);
    }
  }
  return out;
}

py::dict from_server(const sdk::Server& s) {
  using namespace py::literals;
  return py::dict("product"_a = s.product, "version"_a = s.version, "clock_utc_ns"_a = s.clock_utc_ns, "read_only"_a = s.read_only, "tls"_a = s.tls,
                  "tls_verified"_a = s.tls_verified, "loopback"_a = s.loopback, "database"_a = s.database, "identity"_a = s.identity, "warnings"_a = s.warnings);
}

}  // namespace purgekit::bindings
