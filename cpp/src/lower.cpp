#include "purgekit/lower.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <memory>
#include <utility>

#include "json.hpp"
#include "purgekit/error.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/time_text.hpp"

namespace purgekit {
namespace {

using sdk::Column;
using sdk::Table;

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool is_number(pk_column_kind kind) {
  return kind == PK_COLUMN_INT || kind == PK_COLUMN_UINT || kind == PK_COLUMN_DECIMAL || kind == PK_COLUMN_REAL || kind == PK_COLUMN_BIT;
}

bool is_time(pk_column_kind kind) { return kind == PK_COLUMN_DATE || kind == PK_COLUMN_TIMESTAMP || kind == PK_COLUMN_TIMESTAMP_ZONED; }

const char* kind_text(pk_value_kind kind) {
  switch (kind) {
    case PK_VALUE_TEXT: return "text";
    case PK_VALUE_BYTES: return "bytes";
    case PK_VALUE_BOOL: return "true or false";
    case PK_VALUE_INSTANT:
    case PK_VALUE_WALL: return "a time";
    default: return "a number";
  }
}

pk_op negated_op(pk_op op) {
  switch (op) {
    case PK_EQ: return PK_NE;
    case PK_NE: return PK_EQ;
    case PK_LT: return PK_GE;
    case PK_LE: return PK_GT;
    case PK_GT: return PK_LE;
    case PK_GE: return PK_LT;
  }
  return op;
}

pk_storage storage_of(const rule::Time& time, const Column& column, const std::string& table) {
  const std::string name = table + "." + column.name;
  if (time.unit != Unit::timestamp) {
    if (column.kind == PK_COLUMN_INT || column.kind == PK_COLUMN_UINT || column.kind == PK_COLUMN_ANY) return PK_STORED_EPOCH_INT;
    if (column.kind == PK_COLUMN_DECIMAL || column.kind == PK_COLUMN_REAL) return PK_STORED_EPOCH_DECIMAL;
    bad_policy("unit \"" + std::string(unit_text(time.unit)) + "\" is for numbers, but " + name + " is " + column.type_name +
               (is_time(column.kind) ? ": write unit = \"timestamp\"" : ""));
  }
  if (column.kind == PK_COLUMN_TIMESTAMP_ZONED) return time.stored_wall ? PK_STORED_ZONED_WALL : PK_STORED_ZONED;
  if (time.stored_wall) bad_policy("stored = \"wall\" is for types that know their zone, but " + name + " is " + column.type_name);
  if (column.kind == PK_COLUMN_TIMESTAMP || column.kind == PK_COLUMN_DATE) return PK_STORED_UNZONED;
  if (column.kind == PK_COLUMN_TEXT || column.kind == PK_COLUMN_ANY) return PK_STORED_TEXT;
  if (is_number(column.kind)) bad_policy(name + " is " + column.type_name + ": give its unit since the epoch, s, ms, us or ns, instead of timestamp");
  bad_policy(name + " is " + column.type_name + " and can't be read as a time");
}

}  // namespace

bool takes_value(pk_column_kind column, pk_value_kind value) {
  if (column == PK_COLUMN_ANY) return true;
  switch (value) {
    case PK_VALUE_INT:
    case PK_VALUE_UINT: return is_number(column) || column == PK_COLUMN_BOOL;
    case PK_VALUE_REAL:
    case PK_VALUE_DECIMAL: return is_number(column);
    case PK_VALUE_BOOL: return column == PK_COLUMN_BOOL || column == PK_COLUMN_INT || column == PK_COLUMN_UINT || column == PK_COLUMN_BIT;
    case PK_VALUE_TEXT: return column == PK_COLUMN_TEXT || column == PK_COLUMN_UUID || is_time(column) || column == PK_COLUMN_TIME;
    case PK_VALUE_BYTES: return column == PK_COLUMN_BYTES || column == PK_COLUMN_BIT;
    case PK_VALUE_INSTANT:
    case PK_VALUE_WALL: return is_time(column) || column == PK_COLUMN_TEXT;
    case PK_VALUE_NULL: return false;
  }
  return false;
}

std::int64_t cutoff_before(std::int64_t instant_ns, std::int64_t span_ns, const std::string& column) {
  std::int64_t out = 0;
  if (__builtin_sub_overflow(instant_ns, span_ns, &out) || !sdk::is_in_calendar(out)) {
    bad_policy("the cutoff for " + printable(column) + " lies outside the years 1678 to 2261: the lifetime, the grace or now is absurd");
  }
  return out;
}

const Column& resolve_column(const Table& table, const std::string& name) {
  if (const Column* exact = table.find(name)) return *exact;
  const Column* found = nullptr;
  for (const Column& column : table.columns) {
    if (equal_without_case(column.name, name)) {
      if (found != nullptr) bad_policy("column " + printable(name) + " of " + table.name + " is ambiguous: " + found->name + " or " + column.name);
      found = &column;
    }
  }
  if (found != nullptr) return *found;
  std::vector<std::string> names;
  for (const Column& column : table.columns) names.push_back(column.name);
  bad_policy("no column " + printable(name) + " in table " + table.name + did_you_mean(name, names));
}

bool has_column(const Table& table, const std::string& name) {
  try {
    resolve_column(table, name);
    return true;
  } catch (const EngineError&) {
    return false;
  }
}

pk_predicate LoweredPredicate::view() const {
  return pk_predicate{sizeof(pk_node), nodes_.data(),  nodes_.size(), 0,            0,
                      value_views_.data(), value_views_.size(), joins_.data(), joins_.size(), names_.data(),
                      names_.size(),   steps_.data(),  steps_.size()};
}

/// Builds the tree in negation normal form, then lays it out with children side by side.
class Lowering {
 public:
  struct Tree {
    pk_node node{};
    std::vector<Tree> children;
  };

  explicit Lowering(LoweredPredicate& out) : out_(out) {}

  Tree build(const Predicate& predicate, const LowerInput& in, bool negated) {
    const auto& rule = predicate.node().rule;
    if (const auto* r = std::get_if<rule::Not>(&rule)) return build(r->child[0], in, !negated);
    if (const auto* r = std::get_if<rule::All>(&rule)) return list(r->children, in, negated, negated ? PK_NODE_OR : PK_NODE_AND);
    if (const auto* r = std::get_if<rule::Any>(&rule)) return list(r->children, in, negated, negated ? PK_NODE_AND : PK_NODE_OR);
    if (const auto* r = std::get_if<rule::Compare>(&rule)) return compare(*r, in, negated);
    if (const auto* r = std::get_if<rule::In>(&rule)) return is_in(*r, in, negated);
    if (const auto* r = std::get_if<rule::IsNull>(&rule)) {
      Tree t = leaf(PK_NODE_NULL, negated);
      set_column(t.node, resolve_column(in.table, r->column));
      return t;
    }
    if (const auto* r = std::get_if<rule::Expired>(&rule)) return time(r->time, nullptr, in, negated);
    if (const auto* r = std::get_if<rule::Created>(&rule)) return time(r->time, r, in, negated);
    if (const auto* r = std::get_if<rule::ReferencedBy>(&rule)) return referenced(*r, in, negated);
    if (const auto* r = std::get_if<rule::KeepLatest>(&rule)) return keep_latest(*r, in, negated);
    return raw(std::get<rule::RawSql>(rule), negated);
  }

  /// A foreign key's child refers to this row.
  Tree held(const sdk::Reference& reference, bool negated) {
    Tree t = leaf(PK_NODE_EXISTS, negated);
    t.node.other_schema = text(reference.child_schema);
    t.node.other_table = text(reference.child_table);
    t.node.first_join = static_cast<std::uint32_t>(out_.joins_.size());
    t.node.join_count = static_cast<std::uint32_t>(reference.child_columns.size());
    for (std::size_t i = 0; i < reference.child_columns.size(); ++i) {
      out_.joins_.push_back({text(reference.child_columns[i]), text(reference.parent_columns[i]), PK_EQ, 0});
    }
    return t;
  }

  static Tree leaf(pk_node_kind kind, bool negated) {
    Tree t;
    t.node.kind = kind;
    t.node.flags = negated ? std::uint32_t{PK_NEGATED} : 0u;
    return t;
  }

  static Tree both(Tree a, Tree b, pk_node_kind kind = PK_NODE_AND) {
    Tree t = leaf(kind, false);
    t.children.push_back(std::move(a));
    t.children.push_back(std::move(b));
    return t;
  }

  void set_column(pk_node& node, const Column& column) {
    node.column = text(column.name);
    node.column_kind = column.kind;
  }

  /// Root first, children of a node next to each other.
  void lay_out(Tree root) {
    std::vector<Tree> level;
    level.push_back(std::move(root));
    out_.nodes_.clear();
    out_.nodes_.push_back(level[0].node);
    std::vector<std::pair<std::size_t, Tree>> queue;
    queue.emplace_back(0, std::move(level[0]));
    for (std::size_t i = 0; i < queue.size(); ++i) {
      const std::size_t at = queue[i].first;
      std::vector<Tree> children = std::move(queue[i].second.children);
      out_.nodes_[at].first_child = static_cast<std::uint32_t>(out_.nodes_.size());
      out_.nodes_[at].child_count = static_cast<std::uint32_t>(children.size());
      for (Tree& child : children) {
        out_.nodes_.push_back(child.node);
        queue.emplace_back(out_.nodes_.size() - 1, std::move(child));
      }
    }
    for (const Value& v : out_.values_) out_.value_views_.push_back(v.to_c());
  }

 private:
  pk_text text(std::string_view value) { return sdk::to_text(out_.texts_.emplace_back(value)); }

  std::uint32_t add_value(Value value) {
    out_.values_.push_back(std::move(value));
    return static_cast<std::uint32_t>(out_.values_.size() - 1);
  }

  std::uint32_t add_name(std::string_view name) {
    out_.names_.push_back(text(name));
    return static_cast<std::uint32_t>(out_.names_.size() - 1);
  }

  Tree list(const std::vector<Predicate>& children, const LowerInput& in, bool negated, pk_node_kind kind) {
    Tree t = leaf(kind, false);
    for (const Predicate& child : children) t.children.push_back(build(child, in, negated));
    return t;
  }

  void check_takes_value(const Column& column, const Value& value, const LowerInput& in) const {
    if (!takes_value(column.kind, value.kind)) {
      bad_policy(in.table.name + "." + column.name + " is " + column.type_name + " and can't be compared with " + kind_text(value.kind));
    }
  }

  Tree compare(const rule::Compare& r, const LowerInput& in, bool negated) {
    const Column& column = resolve_column(in.table, r.column);
    check_takes_value(column, r.value, in);
    Tree t = leaf(PK_NODE_COMPARE, false);
    set_column(t.node, column);
    t.node.op = negated ? negated_op(r.op) : r.op;
    t.node.storage = column.kind == PK_COLUMN_TIMESTAMP_ZONED ? PK_STORED_ZONED : is_time(column.kind) ? PK_STORED_UNZONED : PK_STORED_TEXT;
    t.node.first_value = add_value(r.value);
    t.node.value_count = 1;
    return t;
  }

  Tree is_in(const rule::In& r, const LowerInput& in, bool negated) {
    const Column& column = resolve_column(in.table, r.column);
    Tree t = leaf(PK_NODE_IN, negated);
    set_column(t.node, column);
    t.node.first_value = static_cast<std::uint32_t>(out_.values_.size());
    t.node.value_count = static_cast<std::uint32_t>(r.values.size());
    for (const Value& value : r.values) {
      check_takes_value(column, value, in);
      add_value(value);
    }
    return t;
  }

  static const Zone* zone_of(const rule::Time& time, const LowerInput& in) {
    if (time.timezone == "UTC") return nullptr;
    const auto found = in.zones.find(time.timezone);
    if (found == in.zones.end() || found->second.empty()) bad_policy("unknown time zone " + printable(time.timezone));
    return &found->second;
  }

  Tree time(const rule::Time& r, const rule::Created* created, const LowerInput& in, bool negated) {
    const Column& column = resolve_column(in.table, r.column);
    Tree t = leaf(PK_NODE_TIME, negated);
    set_column(t.node, column);
    t.node.storage = storage_of(r, column, in.table.name);
    t.node.unit_ns = unit_ns(r.unit);
    if (r.purge_null) t.node.flags |= PK_PURGE_NULL;
    std::int64_t cutoff = cutoff_before(in.now_ns, r.grace_ns.value_or(in.grace_ns), column.name);
    if (created != nullptr && created->lifetime_ns) cutoff = cutoff_before(cutoff, *created->lifetime_ns, column.name);
    t.node.cutoff_ns = cutoff;
    t.node.wall_cutoff_ns = cutoff;
    const Zone* zone = zone_of(r, in);
    if (created != nullptr && !created->lifetime_column.empty()) {
      add_lifetime(t.node, *created, zone, in);
      return t;
    }
    if (zone == nullptr) return t;
    const WallCutoff wall = wall_cutoff(*zone, cutoff);
    t.node.wall_cutoff_ns = wall.before_ns;
    const bool bare_wall = t.node.storage == PK_STORED_UNZONED || t.node.storage == PK_STORED_ZONED_WALL;
    if (!wall.except || !bare_wall) return t;
    // Readings that a clock change skipped count as later instants: they do not lie before the cutoff.
    Tree before = wall_compare(t.node, PK_LT, wall.except->from_ns);
    Tree after = wall_compare(t.node, PK_GE, wall.except->to_ns);
    if (!negated) return both(std::move(t), both(std::move(before), std::move(after), PK_NODE_OR));
    before.node.op = PK_GE;
    after.node.op = PK_LT;
    return both(std::move(t), both(std::move(before), std::move(after)), PK_NODE_OR);
  }

  Tree wall_compare(const pk_node& like, pk_op op, std::int64_t wall_ns) {
    Tree t = leaf(PK_NODE_COMPARE, false);
    t.node.column = like.column;
    t.node.column_kind = like.column_kind;
    t.node.storage = like.storage;
    t.node.op = op;
    t.node.first_value = add_value(Value::wall(wall_ns));
    t.node.value_count = 1;
    return t;
  }

  void add_lifetime(pk_node& node, const rule::Created& created, const Zone* zone, const LowerInput& in) {
    const Column& lifetime = resolve_column(in.table, created.lifetime_column);
    if (!is_number(lifetime.kind) && lifetime.kind != PK_COLUMN_ANY) {
      bad_policy("the lifetime column " + in.table.name + "." + lifetime.name + " is " + lifetime.type_name + "; it must be a number");
    }
    node.lifetime_column = text(lifetime.name);
    node.lifetime_kind = lifetime.kind;
    node.lifetime_unit_ns = unit_ns(created.lifetime_unit);
    if (created.purge_never) node.flags |= PK_PURGE_NEVER;
    if (zone == nullptr) return;
    if (node.storage == PK_STORED_TEXT) {
      bad_policy(in.table.name + "." + created.time.column + ": times stored as text with a lifetime column are read in UTC only");
    }
    node.wall_cutoff_ns = latest_wall(*zone, node.cutoff_ns);
    const std::vector<pk_zone_step> steps = wall_steps(*zone, node.cutoff_ns);
    node.first_zone_step = static_cast<std::uint32_t>(out_.steps_.size());
    node.zone_step_count = static_cast<std::uint32_t>(steps.size());
    out_.steps_.insert(out_.steps_.end(), steps.begin(), steps.end());
  }

  Tree referenced(const rule::ReferencedBy& r, const LowerInput& in, bool negated) {
    const Table& other = in.other_table(r.table);
    Tree t = leaf(PK_NODE_EXISTS, negated);
    t.node.other_schema = text(other.schema);
    t.node.other_table = text(other.name);
    t.node.first_join = static_cast<std::uint32_t>(out_.joins_.size());
    t.node.join_count = static_cast<std::uint32_t>(r.on.size());
    for (const rule::Join& join : r.on) {
      const Column& theirs = resolve_column(other, join.other_column);
      const Column& ours = resolve_column(in.table, join.this_column);
      out_.joins_.push_back({text(theirs.name), text(ours.name), static_cast<std::uint32_t>(join.op), 0});
    }
    if (r.where) t.children.push_back(build(*r.where, LowerInput{other, in.now_ns, in.grace_ns, in.zones, in.other_table}, false));
    return t;
  }

  Tree keep_latest(const rule::KeepLatest& r, const LowerInput& in, bool negated) {
    Tree t = leaf(PK_NODE_KEEP_LATEST, negated);
    set_column(t.node, resolve_column(in.table, r.order_by));
    t.node.other_schema = text(in.table.schema);
    t.node.other_table = text(in.table.name);
    t.node.count = r.n;
    t.node.first_name = static_cast<std::uint32_t>(out_.names_.size());
    t.node.name_count = static_cast<std::uint32_t>(r.per.size());
    for (const std::string& column : r.per) add_name(resolve_column(in.table, column).name);
    t.node.first_tie = static_cast<std::uint32_t>(out_.names_.size());
    t.node.tie_count = static_cast<std::uint32_t>(in.table.key.size());
    for (const std::uint32_t position : in.table.key) add_name(in.table.columns.at(position).name);
    return t;
  }

  Tree raw(const rule::RawSql& r, bool negated) {
    Tree t = leaf(PK_NODE_SQL, negated);
    t.node.sql = text(r.text);
    t.node.first_name = static_cast<std::uint32_t>(out_.names_.size());
    t.node.first_value = static_cast<std::uint32_t>(out_.values_.size());
    t.node.name_count = t.node.value_count = static_cast<std::uint32_t>(r.parameters.size());
    for (const auto& [name, value] : r.parameters) {
      add_name(name);
      add_value(value);
    }
    return t;
  }

  LoweredPredicate& out_;
};

LoweredPredicate lower(const Predicate& predicate, const LowerInput& input) { return lower_guarded(predicate, input, {}); }

LoweredPredicate lower_guarded(const Predicate& predicate, const LowerInput& input, const std::vector<sdk::Reference>& guards) {
  LoweredPredicate out;
  Lowering lowering(out);
  Lowering::Tree root = lowering.build(predicate, input, false);
  if (!guards.empty()) {
    Lowering::Tree all = Lowering::leaf(PK_NODE_AND, false);
    all.children.push_back(std::move(root));
    for (const sdk::Reference& guard : guards) all.children.push_back(lowering.held(guard, true));
    root = std::move(all);
  }
  lowering.lay_out(std::move(root));
  return out;
}

LoweredPredicate lower_held(const Predicate& predicate, const LowerInput& input, const sdk::Reference& reference) {
  LoweredPredicate out;
  Lowering lowering(out);
  Lowering::Tree root = lowering.build(predicate, input, false);
  lowering.lay_out(Lowering::both(std::move(root), lowering.held(reference, false)));
  return out;
}

LoweredPredicate lower_all_rows() {
  LoweredPredicate out;
  Lowering(out).lay_out(Lowering::leaf(PK_NODE_TRUE, false));
  return out;
}

LoweredPredicate lower_no_rows() {
  LoweredPredicate out;
  Lowering(out).lay_out(Lowering::leaf(PK_NODE_FALSE, false));
  return out;
}

LoweredPredicate lower_unreadable(const Table& table, const std::string& column) {
  LoweredPredicate out;
  Lowering lowering(out);
  Lowering::Tree t = Lowering::leaf(PK_NODE_UNREADABLE, false);
  lowering.set_column(t.node, resolve_column(table, column));
  t.node.storage = PK_STORED_TEXT;
  lowering.lay_out(std::move(t));
  return out;
}

std::vector<TimeUse> time_uses(const Predicate& predicate, const LowerInput& input) {
  std::vector<TimeUse> out;
  const auto add = [&](const rule::Time& time, const rule::Created* created) {
    const Column& column = resolve_column(input.table, time.column);
    std::int64_t cutoff = cutoff_before(input.now_ns, time.grace_ns.value_or(input.grace_ns), column.name);
    if (created != nullptr && created->lifetime_ns) cutoff = cutoff_before(cutoff, *created->lifetime_ns, column.name);
    out.push_back({column.name, storage_of(time, column, input.table.name), unit_ns(time.unit), cutoff, created != nullptr,
                   created != nullptr && !created->lifetime_column.empty(), time.timezone});
  };
  const std::function<void(const Predicate&)> walk = [&](const Predicate& p) {
    const auto& node = p.node().rule;
    if (const auto* r = std::get_if<rule::Expired>(&node)) add(r->time, nullptr);
    if (const auto* r = std::get_if<rule::Created>(&node)) add(r->time, r);
    if (const auto* r = std::get_if<rule::All>(&node)) std::for_each(r->children.begin(), r->children.end(), walk);
    if (const auto* r = std::get_if<rule::Any>(&node)) std::for_each(r->children.begin(), r->children.end(), walk);
    if (const auto* r = std::get_if<rule::Not>(&node)) walk(r->child[0]);
  };
  walk(predicate);
  return out;
}

}  // namespace purgekit
