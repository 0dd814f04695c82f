#include <algorithm>
#include <utility>

#include "purgekit/sdk/error.hpp"
#include "walk.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Value;

LeafWalk::LeafWalk(sdk::SqlSession& session, RangeRemover& remover, const PgDialect& dialect, std::int64_t table_oid)
    : session_(session), remover_(remover), dialect_(dialect), table_oid_(table_oid) {
  read_again();
}

void LeafWalk::read_again() { leaves_ = read_leaves(session_, table_oid_, dialect_.server_version()); }

const Leaf* LeafWalk::leaf_from(std::int64_t oid) const {
  const auto found = std::lower_bound(leaves_.begin(), leaves_.end(), oid, [](const Leaf& leaf, std::int64_t wanted) { return leaf.oid < wanted; });
  return found == leaves_.end() ? nullptr : &*found;
}

std::int64_t LeafWalk::pages_of(const Leaf& leaf) {
  const sdk::Rows rows = session_.query(
      "SELECT pg_catalog.pg_relation_size($1::oid) / pg_catalog.current_setting('block_size')::bigint", {Value::integer(leaf.oid)});
  return rows.at(0).at(0).kind == PK_VALUE_NULL ? -1 : rows[0][0].i64;
}

double LeafWalk::share(std::int64_t oid, std::int64_t page) const {
  std::int64_t all = 0;
  std::int64_t done = 0;
  for (const Leaf& leaf : leaves_) {
    all += leaf.pages;
    if (leaf.oid < oid) done += leaf.pages;
    if (leaf.oid == oid) done += std::min(page, leaf.pages);
  }
  return all == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all);
}

sdk::Deleted LeafWalk::end_of_pass(std::string cursor) {
  if (session_.query("SELECT 1 FROM pg_catalog.pg_class WHERE oid = $1::oid", {Value::integer(table_oid_)}).empty()) {
    throw Error(PK_SCHEMA_CHANGED, "the table was dropped meanwhile; what was committed is recorded, plan again");
  }
  return {0, 0, std::move(cursor), true, 1};
}

void LeafWalk::rethrow_vanished(const Leaf& leaf) {
  try {
    throw;
  } catch (const Error& e) {
    if (e.code() != PK_NOT_FOUND || leaf.oid == table_oid_) throw;
    const std::int64_t oid = leaf.oid;
    const std::string name = leaf.name;
    leaves_.erase(std::remove_if(leaves_.begin(), leaves_.end(), [&](const Leaf& l) { return l.oid == oid; }), leaves_.end());
    throw Error(PK_SERIALIZATION, "partition " + name + " was dropped meanwhile; the chunk was rolled back and the walk goes on behind it");
  }
}

}  // namespace purgekit::postgresql
