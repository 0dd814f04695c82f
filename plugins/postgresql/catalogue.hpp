/// \file catalogue.hpp
/// What PostgreSQL's catalogue says of tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "leaf.hpp"
#include "purgekit/sdk/sql_session.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::postgresql {

class Catalogue {
 public:
  Catalogue(sdk::SqlSession& session, int server_version) : session_(session), server_version_(server_version) {}

  /// Exact name first, then without regard to case if unique; in the search path unless a schema is given.
  sdk::Table describe(const sdk::TableName& name);
  std::vector<std::string> tables(const sdk::TableName& name);
  /// Schema and exact name of an existing relation, or empty names.
  sdk::TableName resolve(const sdk::TableName& name);
  /// Planner's row estimate of a SELECT.
  std::int64_t planned_rows(const std::string& select, const std::vector<sdk::Value>& params);

 private:
  struct Found {
    std::int64_t oid = 0;
    std::string schema;
    std::string name;
    char relkind = 'r';
  };

  Found find(const sdk::TableName& name);
  Found find_or_explain(const sdk::TableName& name);
  void explain_unusable_schema(const sdk::TableName& name);
  void read_columns(const Found& found, sdk::Table& table);
  void read_indexes(const Found& found, sdk::Table& table);
  void read_references(const std::string& oids, sdk::Table& table);
  void read_triggers(const std::string& oids, sdk::Table& table);
  void read_rights(const Found& found, const std::vector<Leaf>& leaves, sdk::Table& table);
  void read_storage(const Found& found, const std::vector<Leaf>& leaves, sdk::Table& table);

  sdk::SqlSession& session_;
  int server_version_;
  std::vector<std::int16_t> numbers_;  // attribute number of each column of the table being read
};

}  // namespace purgekit::postgresql
