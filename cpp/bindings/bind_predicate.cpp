#include <pybind11/stl.h>

#include <functional>
#include <optional>
#include <tuple>

#include "convert.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/predicate.hpp"

namespace purgekit::bindings {
namespace {

rule::Time make_time(std::string column, const std::string& unit, std::optional<std::int64_t> grace_ns, bool purge_null, std::string timezone, const std::string& stored) {
  if (!stored.empty() && stored != "wall") bad_policy("stored can only be \"wall\"");
  return {std::move(column), parse_unit(unit), grace_ns, purge_null, std::move(timezone), stored == "wall"};
}

}  // namespace

void bind_predicate(py::module_& module) {
  using namespace py::literals;
  module.def("parse_duration", [](const std::string& text) { return parse_duration(text); }, "text"_a);
  module.def("format_duration", &format_duration, "duration_ns"_a);
  module.def("parse_instant", [](const std::string& text) { return parse_instant(text); }, "text"_a);
  module.def("format_instant", &format_instant, "instant_ns"_a);

  py::class_<Predicate>(module, "Predicate", py::is_final())
      .def_static("compare", [](std::string column, const std::string& op, const py::object& value) { return Predicate::compare(std::move(column), parse_op(op), to_value(value)); },
                  "column"_a, "op"_a, "value"_a)
      .def_static(
          "is_in",
          [](std::string column, const py::sequence& values) {
            std::vector<Value> list;
            for (const py::handle value : values) list.push_back(to_value(value));
            return Predicate::in(std::move(column), std::move(list));
          },
          "column"_a, "values"_a)
      .def_static("is_null", &Predicate::is_null, "column"_a)
      .def_static(
          "expired",
          [](std::string column, const std::string& unit, std::optional<std::int64_t> grace_ns, bool purge_null, std::string timezone, const std::string& stored) {
            return Predicate::expired({make_time(std::move(column), unit, grace_ns, purge_null, std::move(timezone), stored)});
          },
          "column"_a, "unit"_a, py::kw_only(), "grace_ns"_a = py::none(), "purge_null"_a = false, "timezone"_a = "UTC", "stored"_a = "")
      .def_static(
          "created",
          [](std::string column, const std::string& unit, std::optional<std::int64_t> lifetime_ns, std::string lifetime_column, const std::string& lifetime_unit, bool purge_never,
             std::optional<std::int64_t> grace_ns, bool purge_null, std::string timezone, const std::string& stored) {
            rule::Created r;
            r.time = make_time(std::move(column), unit, grace_ns, purge_null, std::move(timezone), stored);
            r.lifetime_ns = lifetime_ns;
            if (!lifetime_column.empty()) r.lifetime_unit = parse_unit(lifetime_unit);
            r.lifetime_column = std::move(lifetime_column);
            r.purge_never = purge_never;
            return Predicate::created(std::move(r));
          },
          "column"_a, "unit"_a, py::kw_only(), "lifetime_ns"_a = py::none(), "lifetime_column"_a = "", "lifetime_unit"_a = "", "purge_never"_a = false, "grace_ns"_a = py::none(),
          "purge_null"_a = false, "timezone"_a = "UTC", "stored"_a = "")
      .def_static(
          "referenced_by",
          [](std::string table, const std::vector<std::tuple<std::string, std::string, std::string>>& on, const std::optional<Predicate>& where) {
            rule::ReferencedBy r;
            r.table = std::move(table);
            for (const auto& [other, op, mine] : on) r.on.push_back({other, parse_op(op), mine});
            if (where) r.where = std::make_shared<const Predicate>(*where);
            return Predicate::referenced_by(std::move(r));
          },
          "table"_a, "on"_a, "where"_a = py::none())
      .def_static("keep_latest", [](std::int64_t n, std::vector<std::string> per, std::string order_by) { return Predicate::keep_latest({n, std::move(per), std::move(order_by)}); }, "n"_a,
                  "per"_a, "order_by"_a)
      .def_static(
          "sql",
          [](std::string text, const py::dict& parameters) {
            rule::RawSql r;
            r.text = std::move(text);
            for (const auto& [name, value] : parameters) r.parameters.emplace_back(name.cast<std::string>(), to_value(value));
            return Predicate::sql(std::move(r));
          },
          "text"_a, "parameters"_a)
      .def_static("all_of", &Predicate::all_of, "predicates"_a)
      .def_static("any_of", &Predicate::any_of, "predicates"_a)
      .def_static("from_json", [](const std::string& text) { return Predicate::from_json(text); }, "text"_a)
      .def("to_json", &Predicate::to_json)
      .def("__and__", [](const Predicate& a, const Predicate& b) { return Predicate::all_of({a, b}); }, py::is_operator())
      .def("__or__", [](const Predicate& a, const Predicate& b) { return Predicate::any_of({a, b}); }, py::is_operator())
      .def("__invert__", [](const Predicate& a) { return Predicate::negation(a); })
      .def("__eq__", [](const Predicate& a, const Predicate& b) { return a == b; }, py::is_operator())
      .def("__hash__", [](const Predicate& a) { return std::hash<std::string>()(a.to_json()); })
      // "a and b" would silently drop a; "&" is meant.
      .def("__bool__", [](const Predicate&) -> bool { throw py::type_error("a predicate is neither true nor false; combine predicates with &, | and ~"); })
      .def("__str__", [](const Predicate& a) { return shown(a.to_text()); })
      .def("__repr__", [](const Predicate& a) { return shown("<Predicate " + a.to_text() + ">"); })
      .def(py::pickle([](const Predicate& a) { return a.to_json(); }, [](const std::string& text) { return Predicate::from_json(text); }));
}

}  // namespace purgekit::bindings
