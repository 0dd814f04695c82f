#include "bounds.hpp"

#include "purgekit/sdk/render.hpp"

namespace purgekit::postgresql {
namespace {

void collect(const pk_predicate& predicate, std::uint32_t index, std::vector<const pk_node*>& out) {
  const pk_node& node = sdk::node_at(predicate, index);
  if (node.kind == PK_NODE_AND) {
    for (std::uint32_t i = 0; i < node.child_count; ++i) collect(predicate, node.first_child + i, out);
  } else if (node.kind == PK_NODE_TIME && (node.flags & (PK_NEGATED | PK_PURGE_NULL)) == 0) {
    out.push_back(&node);
  }
}

}  // namespace

std::vector<const pk_node*> required_times(const pk_predicate& predicate) {
  std::vector<const pk_node*> out;
  collect(predicate, predicate.root, out);
  return out;
}

}  // namespace purgekit::postgresql
