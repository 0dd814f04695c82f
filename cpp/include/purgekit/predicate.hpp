/// \file predicate.hpp
/// The condition on rows that a policy is made of: an immutable tree, comparable, printable, JSON both ways.
///
/// Thread rule: values of these types never change and may be shared freely.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "purgekit/sdk/value.hpp"

namespace purgekit {

using sdk::Value;

/// How a column counts time. `timestamp`: a date or time type, or ISO 8601 text.
enum class Unit { seconds, milliseconds, microseconds, nanoseconds, timestamp };

/// "s", "ms", "us", "ns", "timestamp". \throws EngineError (policy) naming the nearest right one.
Unit parse_unit(std::string_view text);
const char* unit_text(Unit unit);
/// Nanoseconds a unit; 0 for timestamp.
std::int64_t unit_ns(Unit unit);

class Predicate;

namespace rule {

struct Compare {
  std::string column;
  pk_op op = PK_EQ;
  Value value;
  bool operator==(const Compare&) const = default;
};

struct In {
  std::string column;
  std::vector<Value> values;
  bool operator==(const In&) const = default;
};

struct IsNull {
  std::string column;
  bool operator==(const IsNull&) const = default;
};

/// How one column is read as an instant, and what the rule adds to it.
struct Time {
  std::string column;
  Unit unit = Unit::timestamp;
  std::optional<std::int64_t> grace_ns;  ///< none: the policy's
  bool purge_null = false;
  std::string timezone = "UTC";
  bool stored_wall = false;  ///< a zoned type is read as the wall clock its server shows
  bool operator==(const Time&) const = default;
};

/// time + grace < now
struct Expired {
  Time time;
  bool operator==(const Expired&) const = default;
};

/// time + lifetime + grace < now; the lifetime is a literal or a column.
struct Created {
  Time time;
  std::optional<std::int64_t> lifetime_ns;
  std::string lifetime_column;
  Unit lifetime_unit = Unit::seconds;
  bool purge_never = false;  ///< a lifetime of NULL, zero or less counts as zero instead of never
  bool operator==(const Created&) const = default;
};

struct Join {
  std::string other_column;
  pk_op op = PK_EQ;
  std::string this_column;
  bool operator==(const Join&) const = default;
};

/// A row of `table` refers to this row. not_referenced_by is its negation.
struct ReferencedBy {
  std::string table;
  std::vector<Join> on;
  std::shared_ptr<const Predicate> where;  ///< on the other row; may be null
  bool operator==(const ReferencedBy& other) const;
};

struct KeepLatest {
  std::int64_t n = 1;
  std::vector<std::string> per;
  std::string order_by;
  bool operator==(const KeepLatest&) const = default;
};

struct RawSql {
  std::string text;
  std::vector<std::pair<std::string, Value>> parameters;  ///< sorted by name
  bool operator==(const RawSql&) const = default;
};

struct All;
struct Any;
struct Not;

}  // namespace rule

class Predicate {
 public:
  struct Node;

  /// Levels of all, any and referenced_by (which counts twice) within each other: what the smallest parser among the databases,
  /// SQLite's, takes.
  static constexpr int most_levels = 10;

  static Predicate compare(std::string column, pk_op op, Value value);
  static Predicate in(std::string column, std::vector<Value> values);
  static Predicate is_null(std::string column);
  static Predicate expired(rule::Expired rule);
  static Predicate created(rule::Created rule);
  static Predicate referenced_by(rule::ReferencedBy rule);
  static Predicate keep_latest(rule::KeepLatest rule);
  static Predicate sql(rule::RawSql rule);
  /// Nested ALLs become one; a single child is itself. \throws EngineError (policy) when empty.
  static Predicate all_of(const std::vector<Predicate>& children);
  static Predicate any_of(const std::vector<Predicate>& children);
  /// Twice is none.
  static Predicate negation(const Predicate& child);

  const Node& node() const { return *node_; }
  bool operator==(const Predicate& other) const;

  /// Canonical JSON: equal trees give equal text.
  std::string to_json() const;
  /// \throws EngineError (policy) naming what is wrong.
  static Predicate from_json(std::string_view text);
  /// For people: "STATE IN ('EXPIRED') AND EXPIRY_TIME (ns) expired".
  std::string to_text() const;

 private:
  explicit Predicate(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
};

namespace rule {

struct All {
  std::vector<Predicate> children;
  bool operator==(const All&) const = default;
};

struct Any {
  std::vector<Predicate> children;
  bool operator==(const Any&) const = default;
};

struct Not {
  std::vector<Predicate> child;  ///< exactly one
  bool operator==(const Not&) const = default;
};

}  // namespace rule

struct Predicate::Node {
  std::variant<rule::Compare, rule::In, rule::IsNull, rule::Expired, rule::Created, rule::ReferencedBy, rule::KeepLatest, rule::RawSql, rule::All,
               rule::Any, rule::Not>
      rule;
  int levels = 0;
};

/// "=", "<>", "<", "<=", ">", ">=" (also "!=", "=="). \throws EngineError (policy)
pk_op parse_op(std::string_view text);
const char* op_symbol(pk_op op);

/// Names of the time zones other than UTC that the rules use, each once.
void collect_zones(const Predicate& predicate, std::vector<std::string>& zones);

}  // namespace purgekit
