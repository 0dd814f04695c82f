/// \file owned_predicate.hpp
/// A predicate that outlives the call that brought it. Copies share its texts; thread rule: as for any value.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "purgekit/sdk/render.hpp"

namespace purgekit::sdk {

/// A copy of the caller's predicate, because prepare outlives the call that brought it.
class OwnedPredicate {
 public:
  OwnedPredicate() = default;
  explicit OwnedPredicate(const pk_predicate& p);
  void add_to(Sql& out, std::string_view table) const;
  bool reads(std::string_view schema, std::string_view table) const;

 private:
  pk_text own(pk_text text) {
    texts_->push_back(std::make_unique<std::string>(to_string(text)));
    return to_text(*texts_->back());
  }
  pk_predicate view() const;

  std::shared_ptr<std::vector<std::unique_ptr<std::string>>> texts_;
  std::vector<pk_node> nodes_;
  std::vector<pk_value> values_;
  std::vector<pk_join> joins_;
  std::vector<pk_text> names_;
  std::vector<pk_zone_step> steps_;
  std::uint32_t root_ = 0;
};

inline OwnedPredicate::OwnedPredicate(const pk_predicate& p)
    : texts_(std::make_shared<std::vector<std::unique_ptr<std::string>>>()), root_(p.root) {
  for (std::uint32_t i = 0; i < p.node_count; ++i) {
    pk_node n = node_at(p, i);
    n.column = own(n.column);
    n.lifetime_column = own(n.lifetime_column);
    n.other_schema = own(n.other_schema);
    n.other_table = own(n.other_table);
    n.sql = own(n.sql);
    nodes_.push_back(n);
  }
  for (std::size_t i = 0; i < p.value_count; ++i) {
    pk_value v = p.values[i];
    v.text = own(v.text);
    values_.push_back(v);
  }
  for (std::size_t i = 0; i < p.join_count; ++i) {
    pk_join j = p.joins[i];
    j.other_column = own(j.other_column);
    j.this_column = own(j.this_column);
    joins_.push_back(j);
  }
  for (std::size_t i = 0; i < p.name_count; ++i) names_.push_back(own(p.names[i]));
  steps_.assign(p.zone_steps, p.zone_steps + p.zone_step_count);
}

inline pk_predicate OwnedPredicate::view() const {
  return pk_predicate{sizeof(pk_node), nodes_.data(),  nodes_.size(), root_,          0,
                      values_.data(),  values_.size(), joins_.data(), joins_.size(),  names_.data(),
                      names_.size(),   steps_.data(),  steps_.size()};
}

inline void OwnedPredicate::add_to(Sql& out, std::string_view table) const { render_predicate(out, view(), table); }

inline bool OwnedPredicate::reads(std::string_view schema, std::string_view table) const {
  return reads_table(view(), schema, table);
}

}  // namespace purgekit::sdk
