#include "stroke.hpp"

#include <algorithm>
#include <utility>

#include "purgekit/sdk/error.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Sql;

namespace {

// The checkpoint and COMMIT behind a stroke.
constexpr std::int64_t least_left_ms = 5'000;

}  // namespace

std::string MoveContext::source(const Leaf& leaf) const {
  return "ONLY " + sdk::qualified(dialect, leaf.schema, leaf.name) + " AS " + dialect.quote(table.name);
}

std::int64_t Window::left_ms() const {
  return std::int64_t{window_ms_} - std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - opened_).count();
}

void Window::open() { opened_ = std::chrono::steady_clock::now(); }

void Window::check() {
  if (window_ms_ > 0 && left_ms() <= 0) exceeded();
}

void Window::run(const std::function<void()>& step) {
  check();
  if (window_ms_ > 0) line_.bound_statements(static_cast<std::uint32_t>(std::max<std::int64_t>(left_ms(), 1)));
  try {
    step();
  } catch (const Error& e) {
    if (e.code() == PK_STATEMENT_TIMEOUT && window_ms_ > 0) exceeded();
    throw;
  }
  check();
}

void Window::leave() {
  if (window_ms_ > 0) line_.bound_statements(static_cast<std::uint32_t>(std::max(left_ms(), least_left_ms)));
}

void Window::exceeded() const {
  throw Error(PK_STATEMENT_TIMEOUT, what_ + " takes longer than the " + std::to_string(window_ms_) +
                                        " ms that others may be kept waiting for; it was undone: raise move_window, or leave out strategy to delete in chunks");
}

Sql census_sql(const MoveContext& context, const std::string& source) {
  Sql sql(context.dialect);
  sql << "SELECT count(*), count(*) FILTER (WHERE (";
  context.add_predicate(sql);
  sql << ") IS NOT TRUE) FROM " << source;
  return sql;
}

Census take_census(const MoveContext& context, const std::string& source) {
  const sdk::Rows rows = context.session.fetch(census_sql(context, source));
  return {rows.at(0).at(0).i64, rows[0].at(1).i64};
}

bool has_survivor(const MoveContext& context, const std::string& source) {
  Sql sql(context.dialect);
  sql << "SELECT 1 FROM " << source << " WHERE (";
  context.add_predicate(sql);
  sql << ") IS NOT TRUE" << context.dialect.limit(1);
  return !context.session.fetch(sql).empty();
}

}  // namespace purgekit::postgresql
