#include <string>

#include "json.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/predicate.hpp"

namespace purgekit {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;  // Clang before 17 does not deduce it by itself

Json to_json_value(const Predicate& predicate);

Json time_to_json(const rule::Time& time) {
  Json out = {{"column", time.column}, {"unit", unit_text(time.unit)}};
  if (time.grace_ns) out["grace"] = format_duration(*time.grace_ns);
  if (time.purge_null) out["null"] = "purge";
  if (time.timezone != "UTC") out["timezone"] = time.timezone;
  if (time.stored_wall) out["stored"] = "wall";
  return out;
}

Json list_to_json(const std::vector<Predicate>& children) {
  Json out = Json::array();
  for (const Predicate& child : children) out.push_back(to_json_value(child));
  return out;
}

Json to_json_value(const Predicate& predicate) {
  return std::visit(
      Overloaded{
          [](const rule::Compare& r) { return Json{{"column", r.column}, {"op", op_symbol(r.op)}, {"value", value_to_json(r.value)}}; },
          [](const rule::In& r) {
            Json values = Json::array();
            for (const Value& v : r.values) values.push_back(value_to_json(v));
            return Json{{"column", r.column}, {"in", values}};
          },
          [](const rule::IsNull& r) { return Json{{"column", r.column}, {"null", true}}; },
          [](const rule::Expired& r) { return Json{{"expired", time_to_json(r.time)}}; },
          [](const rule::Created& r) {
            Json body = time_to_json(r.time);
            if (r.lifetime_ns) {
              body["lifetime"] = format_duration(*r.lifetime_ns);
            } else {
              body["lifetime"] = {{"column", r.lifetime_column}, {"unit", unit_text(r.lifetime_unit)}};
              if (r.purge_never) body["lifetime"]["null"] = "purge";
            }
            return Json{{"created", body}};
          },
          [](const rule::ReferencedBy& r) {
            Json on = Json::array();
            for (const rule::Join& j : r.on) on.push_back(Json::array({j.other_column, op_symbol(j.op), j.this_column}));
            Json body = {{"table", r.table}, {"on", on}};
            if (r.where) body["where"] = to_json_value(*r.where);
            return Json{{"referenced_by", body}};
          },
          [](const rule::KeepLatest& r) { return Json{{"keep_latest", {{"n", r.n}, {"per", r.per}, {"order_by", r.order_by}}}}; },
          [](const rule::RawSql& r) {
            Json parameters = Json::object();
            for (const auto& [name, value] : r.parameters) parameters[name] = value_to_json(value);
            return Json{{"sql", {{"text", r.text}, {"parameters", parameters}}}};
          },
          [](const rule::All& r) { return Json{{"all", list_to_json(r.children)}}; },
          [](const rule::Any& r) { return Json{{"any", list_to_json(r.children)}}; },
          [](const rule::Not& r) { return Json{{"not", to_json_value(r.child[0])}}; },
      },
      predicate.node().rule);
}

const std::vector<std::string> time_keys = {"column", "unit", "grace", "null", "timezone", "stored"};

bool purges(const Json& body, const char* key, const std::string& where) {
  const std::string text = text_member(body, key, where, "keep");
  if (text != "keep" && text != "purge") bad_policy(std::string(key) + " in " + where + " must be \"keep\" or \"purge\"");
  return text == "purge";
}

rule::Time time_from_json(const Json& body, const std::string& where) {
  rule::Time time;
  time.column = text_member(body, "column", where);
  time.unit = parse_unit(text_member(body, "unit", where));
  if (body.contains("grace")) time.grace_ns = duration_of(body["grace"], "grace in " + where);
  time.purge_null = purges(body, "null", where);
  time.timezone = text_member(body, "timezone", where, "UTC");
  const std::string stored = text_member(body, "stored", where);
  if (!stored.empty() && stored != "wall") bad_policy("stored in " + where + " can only be \"wall\"");
  time.stored_wall = stored == "wall";
  return time;
}

Predicate from_json_value(const Json& json);

std::vector<Predicate> list_from_json(const Json& json, const char* key) {
  if (!json.is_array()) bad_policy(std::string(key) + " must be a list of rules");
  std::vector<Predicate> out;
  for (const Json& item : json) out.push_back(from_json_value(item));
  return out;
}

Predicate created_from_json(const Json& body) {
  std::vector<std::string> keys = time_keys;
  keys.emplace_back("lifetime");
  only_keys(body, keys, "created");
  rule::Created r;
  r.time = time_from_json(body, "created");
  const auto lifetime = body.find("lifetime");
  if (lifetime != body.end() && lifetime->is_object()) {
    only_keys(*lifetime, {"column", "unit", "null"}, "lifetime");
    r.lifetime_column = text_member(*lifetime, "column", "lifetime");
    r.lifetime_unit = parse_unit(text_member(*lifetime, "unit", "lifetime"));
    r.purge_never = purges(*lifetime, "null", "lifetime");
  } else if (lifetime != body.end()) {
    r.lifetime_ns = duration_of(*lifetime, "lifetime");
  }
  return Predicate::created(std::move(r));
}

Predicate referenced_from_json(const Json& body) {
  only_keys(body, {"table", "on", "where"}, "referenced_by");
  rule::ReferencedBy r;
  r.table = text_member(body, "table", "referenced_by");
  const auto on = body.find("on");
  if (on == body.end() || !on->is_array()) bad_policy("on in referenced_by must be a list");
  for (const Json& pair : *on) {
    const bool texts = pair.is_array() && pair.size() == 3 && pair[0].is_string() && pair[1].is_string() && pair[2].is_string();
    if (!texts) bad_policy("each item of on in referenced_by must be [other column, comparison, column]");
    r.on.push_back({pair[0].get<std::string>(), parse_op(pair[1].get<std::string>()), pair[2].get<std::string>()});
  }
  if (body.contains("where")) r.where = std::make_shared<const Predicate>(from_json_value(body["where"]));
  return Predicate::referenced_by(std::move(r));
}

Predicate keep_latest_from_json(const Json& body) {
  only_keys(body, {"n", "per", "order_by"}, "keep_latest");
  rule::KeepLatest r;
  r.n = int_member(body, "n", "keep_latest", 1);
  r.order_by = text_member(body, "order_by", "keep_latest");
  const Json per = body.value("per", Json::array());
  if (!per.is_array()) bad_policy("per in keep_latest must be a list of columns");
  for (const Json& column : per) {
    if (!column.is_string()) bad_policy("per in keep_latest must be a list of columns");
    r.per.push_back(column.get<std::string>());
  }
  return Predicate::keep_latest(std::move(r));
}

Predicate sql_from_json(const Json& body) {
  only_keys(body, {"text", "parameters"}, "sql");
  rule::RawSql r;
  r.text = text_member(body, "text", "sql");
  const Json parameters = body.value("parameters", Json::object());
  if (!parameters.is_object()) bad_policy("parameters in sql must be a table");
  for (const auto& [name, value] : parameters.items()) r.parameters.emplace_back(name, value_from_json(value, "sql"));
  return Predicate::sql(std::move(r));
}

Predicate condition_from_json(const Json& json) {
  only_keys(json, {"column", "op", "value", "in", "null"}, "a condition");
  const std::string column = text_member(json, "column", "a condition");
  if (json.contains("in")) {
    if (!json["in"].is_array()) bad_policy("in of " + printable(column) + " must be a list of values");
    std::vector<Value> values;
    for (const Json& value : json["in"]) values.push_back(value_from_json(value, "in of " + printable(column)));
    return Predicate::in(column, std::move(values));
  }
  if (json.contains("null")) {
    const Predicate rule = Predicate::is_null(column);
    return bool_member(json, "null", "the condition on " + printable(column), true) ? rule : Predicate::negation(rule);
  }
  if (!json.contains("op") || !json.contains("value")) bad_policy("the condition on " + printable(column) + " needs in, null, or op and value");
  return Predicate::compare(column, parse_op(text_member(json, "op", "a condition")), value_from_json(json["value"], printable(column)));
}

Predicate from_json_value(const Json& json) {
  if (!json.is_object() || json.empty()) bad_policy("a rule must be a table with one rule in it");
  if (json.contains("column")) return condition_from_json(json);
  only_keys(json, {"expired", "created", "referenced_by", "keep_latest", "sql", "all", "any", "not", "column"}, "a rule");
  if (json.size() != 1) bad_policy("a rule must hold exactly one of its kinds");
  const std::string& kind = json.begin().key();
  const Json& body = json.begin().value();
  if (kind == "all") return Predicate::all_of(list_from_json(body, "all"));
  if (kind == "any") return Predicate::any_of(list_from_json(body, "any"));
  if (kind == "not") return Predicate::negation(from_json_value(body));
  if (!body.is_object()) bad_policy(kind + " must be a table of keys");
  if (kind == "created") return created_from_json(body);
  if (kind == "referenced_by") return referenced_from_json(body);
  if (kind == "keep_latest") return keep_latest_from_json(body);
  if (kind == "sql") return sql_from_json(body);
  only_keys(body, time_keys, "expired");
  return Predicate::expired(rule::Expired{time_from_json(body, "expired")});
}

std::string value_text(const Value& v) {
  if (v.kind == PK_VALUE_TEXT) return "'" + printable(v.text) + "'";
  const Json json = value_to_json(v);
  return json.is_object() ? json.begin().value().get<std::string>() : json.dump();
}

std::string joined(const std::vector<Predicate>& children, const char* glue) {
  std::string out;
  for (const Predicate& child : children) {
    const auto& rule = child.node().rule;
    const bool list = std::holds_alternative<rule::All>(rule) || std::holds_alternative<rule::Any>(rule);
    out += (out.empty() ? "" : glue) + (list ? "(" + child.to_text() + ")" : child.to_text());
  }
  return out;
}

std::string time_text(const rule::Time& t, const std::string& lifetime) {
  std::string out = printable(t.column) + " (" + unit_text(t.unit) + (t.timezone != "UTC" ? ", " + printable(t.timezone) : "") + (t.stored_wall ? ", wall" : "") + ")" + lifetime;
  if (t.grace_ns) out += " + " + format_duration(*t.grace_ns);
  return out + " < now" + (t.purge_null ? " or NULL" : "");
}

}  // namespace

std::string Predicate::to_json() const { return to_json_value(*this).dump(-1, ' ', false, Json::error_handler_t::replace); }

Predicate Predicate::from_json(std::string_view text) { return from_json_value(parse_json(text, "the predicate")); }

std::string Predicate::to_text() const {
  return std::visit(
      Overloaded{
          [](const rule::Compare& r) { return printable(r.column) + " " + op_symbol(r.op) + " " + value_text(r.value); },
          [](const rule::In& r) {
            std::string list;
            for (const Value& v : r.values) list += (list.empty() ? "" : ", ") + value_text(v);
            return printable(r.column) + " IN (" + list + ")";
          },
          [](const rule::IsNull& r) { return printable(r.column) + " IS NULL"; },
          [](const rule::Expired& r) { return time_text(r.time, ""); },
          [](const rule::Created& r) {
            return time_text(r.time, " + " + (r.lifetime_ns ? format_duration(*r.lifetime_ns) : printable(r.lifetime_column) + " (" + unit_text(r.lifetime_unit) + ")"));
          },
          [](const rule::ReferencedBy& r) {
            std::string on;
            for (const rule::Join& j : r.on) on += (on.empty() ? "" : " AND ") + printable(r.table + "." + j.other_column) + " " + op_symbol(j.op) + " " + printable(j.this_column);
            return "referenced by " + printable(r.table) + " (" + on + (r.where ? " WHERE " + r.where->to_text() : "") + ")";
          },
          [](const rule::KeepLatest& r) {
            std::string per;
            for (const std::string& column : r.per) per += (per.empty() ? " per " : ", ") + printable(column);
            return "not among the newest " + std::to_string(r.n) + " by " + printable(r.order_by) + per;
          },
          [](const rule::RawSql& r) { return "sql (" + printable(r.text) + ")"; },
          [](const rule::All& r) { return joined(r.children, " AND "); },
          [](const rule::Any& r) { return joined(r.children, " OR "); },
          [](const rule::Not& r) { return "NOT (" + r.child[0].to_text() + ")"; },
      },
      node_->rule);
}

}  // namespace purgekit
