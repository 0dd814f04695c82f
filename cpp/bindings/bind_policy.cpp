#include <pybind11/stl.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "convert.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/policy.hpp"

namespace purgekit::bindings {
namespace {

/// As Policy.archive in Python.
using Archive = std::variant<std::string, ArchiveMapping>;

/// A duration as text, or nanoseconds.
std::int64_t to_duration_ns(const std::variant<std::string, std::int64_t>& duration) {
  return std::holds_alternative<std::string>(duration) ? parse_duration(std::get<std::string>(duration)) : std::get<std::int64_t>(duration);
}

}  // namespace

void bind_policy(py::module_& module) {
  using namespace py::literals;
  module.def("parse_percent", [](const std::string& text) { return parse_percent(text); }, "text"_a);

  py::class_<ArchivePart>(module, "ArchivePart", py::is_final())
      .def_static("column", [](std::string source) { return ArchivePart{"", ArchivePart::From::column, std::move(source)}; }, "name"_a)
      .def_static(
          "now",
          [](const std::string& unit, std::string timezone) {
            ArchivePart part{"", ArchivePart::From::now};
            part.unit = parse_unit(unit);
            part.timezone = std::move(timezone);
            return part;
          },
          py::kw_only(), "unit"_a = "timestamp", "timezone"_a = "UTC")
      .def_static("run_id", [] { return ArchivePart{"", ArchivePart::From::run_id}; })
      .def_static("default", [] { return ArchivePart{"", ArchivePart::From::own_default}; })
      .def_static("value", [](const py::object& value) { return ArchivePart{"", ArchivePart::From::value, "", to_value(value)}; }, "value"_a);

  py::class_<ArchiveMapping>(module, "ArchiveMapping", py::is_final())
      .def(py::init([](std::string table, const std::map<std::string, ArchivePart>& columns) {
             ArchiveMapping m{std::move(table)};
             for (const auto& [target, part] : columns) {
               m.parts.push_back(part);
               m.parts.back().target = target;
             }
             m.check();
             return m;
           }),
           "table"_a, "columns"_a = std::map<std::string, ArchivePart>())
      .def_readonly("table", &ArchiveMapping::table)
      .def("to_json", &ArchiveMapping::to_json)
      .def("__eq__", [](const ArchiveMapping& a, const ArchiveMapping& b) { return a == b; }, py::is_operator())
      .def("__hash__", [](const ArchiveMapping& m) { return std::hash<std::string>()(m.to_json()); })
      .def("__repr__", [](const ArchiveMapping& m) { return shown("<ArchiveMapping " + m.table + ">"); });

  py::class_<DependentRule>(module, "Dependent", py::is_final())
      .def(py::init([](std::string table, const py::dict& on, bool unless_referenced, bool optional, std::optional<ArchiveMapping> archive, std::string of) {
             DependentRule d;
             d.table = std::move(table);
             for (const auto& [child, parent] : on) d.on.emplace_back(child.cast<std::string>(), parent.cast<std::string>());
             std::sort(d.on.begin(), d.on.end());
             d.unless_referenced = unless_referenced;
             d.optional = optional;
             d.moved_to = std::move(archive);
             d.of = std::move(of);
             parse_table_name(d.table);
             if (d.on.empty()) bad_policy("a dependent needs on = { CHILD_COLUMN = \"COLUMN\" }");
             return d;
           }),
           "table"_a, "on"_a, py::kw_only(), "unless_referenced"_a = true, "optional"_a = false, "archive"_a = py::none(), "of"_a = "")
      .def_readonly("table", &DependentRule::table)
      .def_property_readonly("on",
                             [](const DependentRule& d) {
                               py::dict on;
                               for (const auto& [child, parent] : d.on) on[py::str(child)] = parent;
                               return on;
                             })
      .def_readonly("unless_referenced", &DependentRule::unless_referenced)
      .def_readonly("optional", &DependentRule::optional)
      .def_readonly("archive", &DependentRule::moved_to)
      .def_readonly("of", &DependentRule::of)
      .def("__eq__", [](const DependentRule& a, const DependentRule& b) { return a == b; }, py::is_operator())
      .def("__hash__", [](const DependentRule& d) { return std::hash<std::string>()(d.table); })
      .def("__repr__", [](const DependentRule& d) { return shown("<Dependent " + d.table + ">"); });

  py::class_<Policy>(module, "Policy", py::is_final())
      .def(py::init([](std::string name, std::string table, const Predicate& where, const std::variant<std::string, std::int64_t>& grace, std::vector<DependentRule> dependents,
                       std::optional<double> max_fraction, bool optional, std::optional<Predicate> held_while, const std::optional<Archive>& archive, std::string strategy,
                       const std::variant<std::string, std::int64_t>& move_window, std::optional<Predicate> hold, const std::optional<std::string>& approval, const std::optional<std::string>& within,
                       const std::optional<std::variant<std::string, std::int64_t>>& min_retention, const std::optional<std::variant<std::string, std::int64_t>>& evidence_retention) {
             Policy p{std::move(name), std::move(table), where, 0, std::move(dependents), max_fraction, optional, std::move(held_while), ""};
             if (archive && std::holds_alternative<std::string>(*archive)) p.archive = std::get<std::string>(*archive);
             else if (archive) p.moved_to = std::get<ArchiveMapping>(*archive);
             p.grace_ns = to_duration_ns(grace);
             p.strategy = std::move(strategy);
             p.move_window_ns = to_duration_ns(move_window);
             p.hold = std::move(hold);
             if (approval) p.fuses.approval_required = parse_approval(*approval);
             if (within) p.fuses.within_pct = parse_percent(*within);
             if (min_retention) p.fuses.min_retention_ns = to_duration_ns(*min_retention);
             if (evidence_retention) p.evidence_retention_ns = to_duration_ns(*evidence_retention);
             p.check();
             return p;
           }),
           "name"_a, py::kw_only(), "table"_a, "where"_a, "grace"_a = "2h", "dependents"_a = std::vector<DependentRule>(), "max_fraction"_a = py::none(), "optional"_a = false, "held_while"_a = py::none(), "archive"_a = py::none(),
          "strategy"_a = "auto", "move_window"_a = Policy::default_move_window_ns, "hold"_a = py::none(), "approval"_a = py::none(), "within"_a = py::none(), "min_retention"_a = py::none(), "evidence_retention"_a = py::none())
      .def_readonly("name", &Policy::name)
      .def_readonly("table", &Policy::table)
      .def_readonly("where", &Policy::where)
      .def_readonly("grace_ns", &Policy::grace_ns)
      .def_readonly("dependents", &Policy::dependents)
      .def_readonly("max_fraction", &Policy::max_fraction)
      .def_readonly("optional", &Policy::optional)
      .def_readonly("held_while", &Policy::held_while)
      .def_property_readonly("archive", [](const Policy& p) -> std::optional<Archive> {
        if (p.moved_to) return *p.moved_to;
        return p.archive.empty() ? std::nullopt : std::optional<Archive>(p.archive);
      })
      .def_readonly("strategy", &Policy::strategy)
      .def_readonly("move_window_ns", &Policy::move_window_ns)
      .def_readonly("hold", &Policy::hold)
      .def_readonly("evidence_retention_ns", &Policy::evidence_retention_ns)
      .def_property_readonly("approval", [](const Policy& p) { return p.fuses.approval_required ? std::optional<std::string>("required") : std::nullopt; })
      .def_property_readonly("within_pct", [](const Policy& p) { return p.fuses.within_pct; })
      .def_property_readonly("min_retention_ns", [](const Policy& p) { return p.fuses.min_retention_ns; })
      .def_property_readonly("zones",
                             [](const Policy& p) {
                               std::vector<std::string> zones;
                               collect_zones(p.deletable(), zones);
                               if (p.moved_to) collect_zones(*p.moved_to, zones);
                               for (const DependentRule& d : p.dependents) {
                                 if (d.moved_to) collect_zones(*d.moved_to, zones);
                               }
                               return zones;
                             })
      .def_static("from_json", [](const std::string& text) { return Policy::from_json(text); }, "text"_a)
      .def("to_json", &Policy::to_json)
      .def("__eq__", [](const Policy& a, const Policy& b) { return a == b; }, py::is_operator())
      .def("__hash__", [](const Policy& p) { return std::hash<std::string>()(p.to_json()); })
      .def("__repr__", [](const Policy& p) { return shown("<Policy " + p.name + ": " + p.table + " where " + p.where.to_text() + ">"); })
      .def(py::pickle([](const Policy& p) { return p.to_json(); }, [](const std::string& text) { return Policy::from_json(text); }));
}

}  // namespace purgekit::bindings
