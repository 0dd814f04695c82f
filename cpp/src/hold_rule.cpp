#include "hold_rule.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/lower.hpp"

namespace purgekit {
namespace {

template <class Change>
std::vector<Predicate> each(const std::vector<Predicate>& children, Change change) {
  std::vector<Predicate> out;
  out.reserve(children.size());
  for (const Predicate& child : children) out.push_back(change(child));
  return out;
}

Predicate with_where(const rule::ReferencedBy& r, Predicate (*change)(const Predicate&)) {
  rule::ReferencedBy out{r.table, r.on, nullptr};
  if (r.where) out.where = std::make_shared<const Predicate>(change(*r.where));
  return Predicate::referenced_by(std::move(out));
}

// Hold rules count their own time: the grace of whatever policy they meet is no part of them.
Predicate without_grace(const Predicate& leaf) {
  const auto& node = leaf.node().rule;
  if (const auto* r = std::get_if<rule::Expired>(&node); r != nullptr && !r->time.grace_ns) {
    rule::Expired out = *r;
    out.time.grace_ns = 0;
    return Predicate::expired(std::move(out));
  }
  if (const auto* r = std::get_if<rule::Created>(&node); r != nullptr && !r->time.grace_ns) {
    rule::Created out = *r;
    out.time.grace_ns = 0;
    return Predicate::created(std::move(out));
  }
  return leaf;
}

// For rules that are true or false only where their column holds something.
const std::string* judged_column(const Predicate& leaf) {
  const auto& node = leaf.node().rule;
  if (const auto* r = std::get_if<rule::Compare>(&node)) return &r->column;
  if (const auto* r = std::get_if<rule::In>(&node)) return &r->column;
  return nullptr;
}

[[noreturn]] void refuse_leaf() {
  bad_policy("expired, created and keep_latest can't be judged for rows of another table; say by columns or by a table of keys what is held");
}

Predicate or_unknown(const Predicate& rule, const std::string& column) { return Predicate::any_of({rule, Predicate::is_null(column)}); }

// CASE, since not every database knows IS NOT FALSE. The line break ends a comment at the text's end.
Predicate unless_true(const rule::RawSql& r, const char* negation) {
  return Predicate::sql({std::string("CASE WHEN ") + negation + "(" + r.text + "\n) THEN 0 ELSE 1 END = 1", r.parameters});
}

/// True where the rule certainly is.
Predicate certainly(const Predicate& p) {
  const auto& node = p.node().rule;
  if (const auto* r = std::get_if<rule::All>(&node)) return Predicate::all_of(each(r->children, certainly));
  if (const auto* r = std::get_if<rule::Any>(&node)) return Predicate::any_of(each(r->children, certainly));
  if (const auto* r = std::get_if<rule::Not>(&node)) return not_held(r->child[0]);
  if (const auto* r = std::get_if<rule::ReferencedBy>(&node)) return with_where(*r, certainly);
  return without_grace(p);
}

/// True where the rule is false or can't be told.
Predicate perhaps_not(const Predicate& p) {
  const auto& node = p.node().rule;
  if (const auto* r = std::get_if<rule::All>(&node)) return Predicate::any_of(each(r->children, perhaps_not));
  if (const auto* r = std::get_if<rule::Any>(&node)) return Predicate::all_of(each(r->children, perhaps_not));
  if (const auto* r = std::get_if<rule::Not>(&node)) return perhaps_held(r->child[0]);
  if (const auto* r = std::get_if<rule::ReferencedBy>(&node)) return Predicate::negation(with_where(*r, certainly));
  if (const auto* r = std::get_if<rule::RawSql>(&node)) return unless_true(*r, "");
  if (std::holds_alternative<rule::IsNull>(node)) return Predicate::negation(p);
  if (const std::string* column = judged_column(p)) return or_unknown(Predicate::negation(p), *column);
  refuse_leaf();
}

// Without the value: it may be somebody's name.
[[noreturn]] Value misread(const sdk::Column& column, const char* what) { bad_policy("the value given for column " + column.name + " (" + column.type_name + ") is no " + what); }

template <class Number>
bool read_whole(const std::string& text, Number& out) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && problem == std::errc() && end == text.data() + text.size();
}

Value bytes_of_hex(const std::string& text, const sdk::Column& column) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned byte = 0;
    const auto [end, problem] = std::from_chars(text.data() + i, text.data() + std::min(i + 2, text.size()), byte, 16);
    if (problem != std::errc() || end != text.data() + i + 2) return misread(column, "hexadecimal text of whole bytes");
    out += static_cast<char>(byte);
  }
  return Value::bytes(out);
}

}  // namespace

Predicate not_held(const Predicate& held) {
  const auto& node = held.node().rule;
  if (const auto* r = std::get_if<rule::All>(&node)) return Predicate::any_of(each(r->children, not_held));
  if (const auto* r = std::get_if<rule::Any>(&node)) return Predicate::all_of(each(r->children, not_held));
  if (const auto* r = std::get_if<rule::Not>(&node)) return certainly(r->child[0]);
  const auto* reference = std::get_if<rule::ReferencedBy>(&node);
  if (reference == nullptr) return Predicate::negation(without_grace(held));
  // A key that is NULL can't be looked up, so nobody knows whether it is among those held.
  std::vector<Predicate> all{Predicate::negation(with_where(*reference, perhaps_held))};
  for (const rule::Join& join : reference->on) all.push_back(Predicate::negation(Predicate::is_null(join.this_column)));
  return Predicate::all_of(all);
}

Predicate perhaps_held(const Predicate& held) {
  const auto& node = held.node().rule;
  if (const auto* r = std::get_if<rule::All>(&node)) return Predicate::all_of(each(r->children, perhaps_held));
  if (const auto* r = std::get_if<rule::Any>(&node)) return Predicate::any_of(each(r->children, perhaps_held));
  if (const auto* r = std::get_if<rule::Not>(&node)) return perhaps_not(r->child[0]);
  if (const auto* r = std::get_if<rule::ReferencedBy>(&node)) {
    std::vector<Predicate> any{with_where(*r, perhaps_held)};
    for (const rule::Join& join : r->on) any.push_back(Predicate::is_null(join.this_column));
    return Predicate::any_of(any);
  }
  if (const auto* r = std::get_if<rule::RawSql>(&node)) return unless_true(*r, "NOT ");
  if (std::holds_alternative<rule::IsNull>(node)) return held;
  if (const std::string* column = judged_column(held)) return or_unknown(held, *column);
  refuse_leaf();
}

Value value_of_text(const std::string& text, const sdk::Column& column) {
  switch (column.kind) {
    case PK_COLUMN_INT:
    case PK_COLUMN_BIT: {
      std::int64_t number = 0;
      return read_whole(text, number) ? Value::integer(number) : misread(column, "whole number");
    }
    case PK_COLUMN_UINT: {
      std::uint64_t number = 0;
      return read_whole(text, number) ? Value::unsigned_integer(number) : misread(column, "whole number");
    }
    case PK_COLUMN_REAL: {
      double number = 0;
      return read_whole(text, number) ? Value::real(number) : misread(column, "number");
    }
    case PK_COLUMN_DECIMAL: {
      double number = 0;
      return read_whole(text, number) ? Value::decimal(text) : misread(column, "number");
    }
    case PK_COLUMN_BOOL:
      if (text == "true" || text == "1") return Value::boolean(true);
      return text == "false" || text == "0" ? Value::boolean(false) : misread(column, "true or false");
    case PK_COLUMN_BYTES: return bytes_of_hex(text, column);
    default: return Value::string(text);
  }
}

Predicate with_column_types(const Predicate& rule, const sdk::Table& table) {
  const auto& node = rule.node().rule;
  const auto typed = [&](const Predicate& child) { return with_column_types(child, table); };
  const auto value = [&](const Value& v, const std::string& column) { return v.kind == PK_VALUE_TEXT ? value_of_text(v.text, resolve_column(table, column)) : v; };
  if (const auto* r = std::get_if<rule::All>(&node)) return Predicate::all_of(each(r->children, typed));
  if (const auto* r = std::get_if<rule::Any>(&node)) return Predicate::any_of(each(r->children, typed));
  if (const auto* r = std::get_if<rule::Not>(&node)) return Predicate::negation(typed(r->child[0]));
  if (const auto* r = std::get_if<rule::Compare>(&node)) return Predicate::compare(r->column, r->op, value(r->value, r->column));
  if (const auto* r = std::get_if<rule::In>(&node)) {
    std::vector<Value> values;
    for (const Value& v : r->values) values.push_back(value(v, r->column));
    return Predicate::in(r->column, std::move(values));
  }
  return rule;
}

bool has_raw_sql(const Predicate& rule) { return rule.to_json().find("{\"sql\":") != std::string::npos; }

}  // namespace purgekit
