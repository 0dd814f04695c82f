#include "bounds.hpp"

#include "dialect.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::sqlite {
namespace {

using sdk::Value;

std::optional<Bound> bound_of(const pk_predicate& predicate, const pk_node& n, const sdk::Dialect& dialect) {
  Bound out;
  out.column = sdk::to_string(n.column);
  out.column_kind = n.column_kind;
  if (n.kind == PK_NODE_TIME && (n.flags & (PK_NEGATED | PK_PURGE_NULL)) == 0) {
    if (sdk::Dialect::is_epoch(n)) {
      out.low = Value::integer(0);
      out.high = SqliteDialect::epoch_bound(n);
      return out;
    }
    if (n.storage == PK_STORED_TEXT) {
      out.low = Value::string("");
      out.low_op = " >= ";
      out.high = SqliteDialect::text_bound(n);
      return out;
    }
  }
  if (n.kind == PK_NODE_COMPARE && (n.op == PK_LT || n.op == PK_LE) && n.first_value < predicate.value_count) {
    const Value value = Value::from_c(predicate.values[n.first_value]);
    if (value.kind == PK_VALUE_NULL) return std::nullopt;
    const bool is_time = value.kind == PK_VALUE_INSTANT || value.kind == PK_VALUE_WALL;
    out.high = is_time ? dialect.time_value(value.i64, n.storage) : value;
    out.high_op = sdk::op_text(n.op);
    return out;
  }
  return std::nullopt;
}

void collect(const pk_predicate& predicate, std::uint32_t index, const sdk::Dialect& dialect, std::vector<Bound>& out) {
  const pk_node& n = sdk::node_at(predicate, index);
  if (n.kind == PK_NODE_AND) {
    for (std::uint32_t i = 0; i < n.child_count; ++i) collect(predicate, n.first_child + i, dialect, out);
  } else if (auto bound = bound_of(predicate, n, dialect)) {
    out.push_back(std::move(*bound));
  }
}

}  // namespace

void Bound::add_to(sdk::Sql& out) const {
  const std::string name = out.dialect().quote(column);
  if (low) {
    out << name << low_op;
    out.bind(*low, column_kind);
  } else {
    out << name << " IS NOT NULL";
  }
  out << " AND " << name << high_op;
  out.bind(high, column_kind);
}

std::vector<Bound> upper_bounds(const pk_predicate& predicate, const sdk::Dialect& dialect) {
  std::vector<Bound> out;
  collect(predicate, predicate.root, dialect, out);
  return out;
}

}  // namespace purgekit::sqlite
