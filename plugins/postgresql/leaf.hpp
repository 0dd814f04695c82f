/// \file leaf.hpp
/// A table as it is stored: one heap, or one for each leaf partition or inheritance child.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "purgekit/sdk/sql_session.hpp"

namespace purgekit::postgresql {

struct Leaf {
  std::int64_t oid = 0;
  std::string schema;
  std::string name;
  char relkind = 'r';
  std::string access_method;  ///< "heap"; empty where nothing is stored
  std::int64_t pages = 0;     ///< now
  bool may_select = true;
  bool may_delete = true;
  bool may_update = true;
  bool has_delete_triggers = false;

  bool is_heap() const { return relkind == 'r' && access_method == "heap"; }
};

/// The leaves of a table in ascending order of their object ids, the table itself when it has rows of its own.
std::vector<Leaf> read_leaves(sdk::SqlSession& session, std::int64_t table_oid, int server_version);

}  // namespace purgekit::postgresql
