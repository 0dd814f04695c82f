// What a backend hands out, wrong in every way but one: a pointer that is not NULL points to what its count says.
#include <deque>
#include <memory>

#include "fuzz.hpp"
#include "purgekit/sdk/marshal.hpp"

namespace purgekit::fuzz {
namespace {

/// Memory for one answer.
class Arena {
 public:
  explicit Arena(FuzzedDataProvider& in) : in_(in) {}

  pk_text text() {
    if (wrong()) return {nullptr, in_.ConsumeIntegralInRange<std::size_t>(0, 3)};
    if (wrong()) return {texts_.emplace_back("x").data(), in_.ConsumeBool() ? SIZE_MAX : SIZE_MAX / 2};
    return sdk::to_text(texts_.emplace_back(in_.ConsumeRandomLengthString(10)));
  }
  std::uint32_t kind(std::uint32_t most) { return wrong() ? in_.ConsumeIntegral<std::uint32_t>() : in_.ConsumeIntegralInRange<std::uint32_t>(0, most); }
  std::uint8_t flag() { return in_.ConsumeIntegral<std::uint8_t>(); }
  std::uint32_t position() { return wrong() ? in_.ConsumeIntegral<std::uint32_t>() : in_.ConsumeIntegralInRange<std::uint32_t>(0, 3); }

  /// An array of `make()`s; NULL with a count at times.
  template <class T, class Make>
  const T* list(std::size_t& count, const Make& make) {
    count = in_.ConsumeIntegralInRange<std::size_t>(0, 3);
    return array<T>(count, make);
  }
  template <class T, class Make>
  const T* array(std::size_t count, const Make& make) {
    if (wrong() || count == 0) return nullptr;
    auto made = std::make_shared<std::vector<T>>();
    for (std::size_t i = 0; i < count; ++i) made->push_back(make());
    made->shrink_to_fit();
    keep_.push_back(made);
    return made->data();
  }
  FuzzedDataProvider& in() { return in_; }

 private:
  bool wrong() { return in_.ConsumeIntegralInRange<int>(0, 15) == 15; }

  FuzzedDataProvider& in_;
  std::deque<std::string> texts_;
  std::vector<std::shared_ptr<void>> keep_;
};

pk_reference reference(Arena& a) {
  pk_reference r{};
  r.name = a.text();
  r.child_schema = a.text();
  r.child_table = a.text();
  r.column_count = a.in().ConsumeIntegralInRange<std::size_t>(0, 3);
  r.child_columns = a.array<pk_text>(r.column_count, [&] { return a.text(); });
  r.parent_columns = a.array<pk_text>(r.column_count, [&] { return a.text(); });
  r.action = a.kind(5);
  r.child_indexed = a.flag();
  r.enforced = a.flag();
  return r;
}

pk_table table(Arena& a) {
  pk_table t{};
  t.schema = a.text();
  t.name = a.text();
  t.kind = a.kind(5);
  t.transactional = a.flag();
  t.storage = a.text();
  t.identity = a.text();
  t.columns = a.list<pk_column>(t.column_count, [&] { return pk_column{a.text(), a.text(), a.kind(15), a.flag(), {}}; });
  t.key = a.list<std::uint32_t>(t.key_count, [&] { return a.position(); });
  t.indexes = a.list<pk_index>(t.index_count, [&] {
    pk_index x{};
    x.name = a.text();
    x.columns = a.list<std::uint32_t>(x.column_count, [&] { return a.position(); });
    x.unique = a.flag();
    return x;
  });
  t.references = a.list<pk_reference>(t.reference_count, [&] { return reference(a); });
  t.delete_triggers = a.list<pk_text>(t.delete_trigger_count, [&] { return a.text(); });
  t.rows_estimate = a.in().ConsumeIntegral<std::int64_t>();
  t.grant_hint = a.text();
  return t;
}

void read_table(Arena& a) {
  const auto read = accepted([&] { return sdk::from_c(table(a)); });
  if (!read) return;
  for (const std::uint32_t at : read->key) expect(at < read->columns.size(), "the key's columns are there");
  for (const sdk::Column& c : read->columns) expect(c.kind >= PK_COLUMN_OTHER && c.kind <= PK_COLUMN_ANY, "a column's kind is one we know");
  for (const sdk::Index& x : read->indexes) {
    for (const std::uint32_t at : x.columns) expect(at == sdk::Index::expression || at < read->columns.size(), "an index's columns are there");
  }
  for (const sdk::Reference& r : read->references) {
    expect(r.child_columns.size() == r.parent_columns.size(), "a reference pairs its columns");
    expect(r.action >= PK_FK_RESTRICT && r.action <= PK_FK_SET_DEFAULT, "a reference's action is one we know");
  }
  sdk::Outbox outbox;
  const sdk::Table again = sdk::from_c(outbox.put(*read));
  expect(again.name == read->name && again.columns.size() == read->columns.size() && again.key == read->key &&
             again.references.size() == read->references.size() && again.delete_triggers == read->delete_triggers,
         "a table crosses the line unchanged");
}

void read_others(Arena& a) {
  FuzzedDataProvider& in = a.in();
  accepted([&] {
    pk_server s{};
    s.product = a.text();
    s.database = a.text();
    s.warnings = a.list<pk_text>(s.warning_count, [&] { return a.text(); });
    return sdk::from_c(s);
  });
  accepted([&] {
    const pk_slot s{a.text(), 1, 2, a.text(), a.text(), 3, a.text(), 4, 5, a.text(), a.text()};
    return sdk::from_c(s);
  });
  accepted([&] { return sdk::from_c(pk_walk{a.text(), a.text(), a.text(), in.ConsumeFloatingPoint<double>(), a.text()}); });
  accepted([&] { return sdk::from_c(pk_deleted{in.ConsumeIntegral<std::int64_t>(), 0, a.text(), a.flag(), {}, in.ConsumeFloatingPoint<double>()}); });
  accepted([&] {
    const sdk::Ledger l = sdk::from_c(pk_ledger{a.kind(4), a.flag(), a.flag(), {}, a.text(), a.text()});
    expect(l.state >= PK_LEDGER_ABSENT && l.state <= PK_LEDGER_OLDER, "a ledger's state is one we know");
    return l;
  });
  accepted([&] {
    const sdk::Value v = sdk::Value::from_c(pk_value{a.kind(10), 0, in.ConsumeIntegral<std::int64_t>(), 0, a.text()});
    expect(v.kind >= PK_VALUE_NULL && v.kind <= PK_VALUE_WALL, "a value's kind is one we know");
    return v;
  });
}

void read_error(FuzzedDataProvider& in) {
  // On the heap, so that reading beyond a text without its NUL is seen.
  const auto error = std::make_unique<pk_error>();
  const auto fill = [&](char* to, std::size_t size) {
    const std::string text = in.ConsumeRandomLengthString(20);
    for (std::size_t i = 0; i < size; ++i) to[i] = text.empty() ? '\0' : text[i % text.size()];
  };
  fill(error->message, sizeof error->message);
  fill(error->sqlstate, sizeof error->sqlstate);
  fill(error->constraint, sizeof error->constraint);
  const sdk::Error read = sdk::Error::from_c(in.ConsumeIntegral<std::int32_t>(), *error);
  expect(read.code() > PK_OK && read.code() <= PK_ARCHIVE_REFUSED, "an error's code is one we know");
  expect(!read.message().empty() && read.message().size() <= sizeof error->message, "an error has a message");
  pk_error back{};
  read.to_c(&back);
  expect(back.message[sizeof back.message - 1] == '\0', "what we hand out ends in NUL");
}

void run(FuzzedDataProvider& in) {
  Arena arena(in);
  switch (in.ConsumeIntegralInRange<int>(0, 2)) {
    case 0: return read_table(arena);
    case 1: return read_others(arena);
    default: return read_error(in);
  }
}

}  // namespace
}  // namespace purgekit::fuzz

PURGEKIT_FUZZ_DATA(purgekit::fuzz::run)
