/// \file connection.hpp
/// One worker's connection to PostgreSQL.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "line.hpp"
#include "pressure.hpp"
#include "purgekit/sdk.hpp"
#include "stroke.hpp"
#include "walk.hpp"

namespace purgekit::postgresql {

class PgConnection final : public sdk::SqlConnection, private RangeRemover {
 public:
  ~PgConnection() override = default;

  void connect(const sdk::ConnectParams& params) override;
  void cancel() noexcept override { line_.cancel(); }
  sdk::Server inspect() override;
  std::vector<std::string> tables(const sdk::TableName& name) override;
  std::int64_t count(const sdk::Purge& purge) override;  // count.cpp
  std::int64_t estimate(const sdk::Purge& purge) override;
  std::vector<sdk::Value> sample_column(const sdk::Purge& purge, const std::string& column) override;
  std::vector<sdk::Walk> propose(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) override;
  std::vector<std::string> prepare(const sdk::Purge& purge) override;
  void lock_run(const std::string& key) override;
  void unlock_run(const std::string& key) override;
  sdk::Ledger ledger_find(const sdk::TableName& name) override;
  void ledger_create() override;
  sdk::Deleted delete_range(const sdk::Range& range) override;
  void commit() override;
  std::vector<std::string> split(std::size_t parts) override { return walk_ ? walk_->split(parts) : std::vector<std::string>{}; }
  double replica_lag() override;
  double own_lag() override;
  // care.cpp
  sdk::Space space(const sdk::Purge& purge) override;
  bool reclaim(const sdk::Purge& purge, pk_care care) override;
  std::vector<sdk::Signal> pressure() override;
  std::int64_t log_bytes() override;
  // moves.cpp
  std::vector<sdk::Move> moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) override;

 private:
  // SqlSession
  const sdk::Dialect& dialect() const override { return dialect_; }
  std::int64_t execute(const std::string& text, const std::vector<sdk::Value>& params) override;
  sdk::Rows query(const std::string& text, const std::vector<sdk::Value>& params) override;
  void stream(const std::string& text, const std::vector<sdk::Value>& params, const std::function<void(sdk::Row)>& visit) override;
  void begin_transaction() override { line_.begin(); }
  void commit_transaction() override { line_.commit(); }
  void rollback_transaction() override { line_.rollback(); }
  void set_lock_wait(std::uint32_t wait_ms) override { line_.set_lock_wait(wait_ms); }

  // SqlConnection
  void begin_looking(std::uint32_t timeout_ms) override;
  sdk::Table read_table(const sdk::TableName& name) override;
  void ledger_rights(const sdk::TableName& name, sdk::Ledger& out) override;
  void archive_rights(const sdk::ArchiveTable& target, sdk::ArchiveInfo& out) override;
  ArchiveShape archive_shape(const sdk::Table& source) override;
  sdk::InsertShape insert_shape(const sdk::Table& table) override;
  // load.cpp
  void insert_rows(const sdk::Load& load) override;
  std::int64_t copy_rows(const sdk::Load& load);
  std::int64_t insert_arrays(const sdk::Load& load);

  std::pair<std::string, std::string> along_index(const sdk::Purge& purge) override;  // propose.cpp

  // RangeRemover
  Removed remove(const Leaf& leaf, const WriteRange& range, std::int64_t max_rows) override;
  bool gives_rows() const override { return sink(0) != nullptr && !children_first_; }
  void end_piece() override { line_.mark_range(); }
  std::string target(const Leaf& leaf) const override;
  std::string remove_text(const Leaf& leaf, const WriteRange& range) const override;

  bool can_copy_first(const Leaf& leaf) const;
  sdk::Sql removal(const Leaf& leaf, const WriteRange& range) const;
  Removed remove_to_sink(const sdk::SinkWriter& writer, const sdk::Sql& statement, std::int64_t max_rows);
  std::int64_t remove_with_children(const Leaf& leaf, const sdk::Rows& locked);
  sdk::Sql removal_by_address(const Leaf& leaf) const;
  sdk::Rows read_child_rows(std::size_t index, const sdk::Rows& parents, const std::vector<std::string>& columns) override;
  std::int64_t delete_child_rows(std::size_t index, const sdk::Rows& parents) override;
  void use_indexes();
  std::vector<sdk::Value> parent_arrays(const sdk::Dependent& dependent, const sdk::Rows& parents);
  void require_lock_right(const sdk::Purge& table);
  sdk::Sql dependent_delete(const sdk::Dependent& dependent, const std::vector<std::string>& array_types) const;
  std::vector<std::string> array_types(const sdk::Dependent& dependent);
  bool spares_others() const { return gauge_ && gauge_->others_at_work(); }
  std::int64_t count_in_slices(const sdk::Purge& purge, const Leaf& leaf);
  std::int64_t planned_rows(const sdk::Sql& select);
  MoveContext move_context(const sdk::Purge& purge);
  std::unique_ptr<Walk> make_move(const sdk::Purge& purge);
  void weigh_partitions(const sdk::Purge& purge, Parts& parts, sdk::Move& out);
  std::int64_t table_oid(const sdk::Purge& purge);
  std::optional<sdk::Sql> bound_of(const pk_predicate& predicate, const std::string& column) const;
  void end_own_former_session();
  void limit_silence(bool purging);
  sdk::Deleted next_range(const sdk::Range& range);

  /// What is left to do for a table after its purge.
  struct Care {
    std::string schema;
    std::string table;
    pk_care kind = PK_CARE_STATISTICS;
    std::vector<std::string> statements;  // the next one last
  };
  std::vector<std::string> care_statements(const sdk::Purge& purge, pk_care kind);
  void require_care_rights(const std::vector<Leaf>& leaves, std::int64_t oid);
  void flush_counts();
  std::string space_advice(const sdk::Space& space);

  /// Who this object was on the server, to tell its own lock from another's after a reconnect.
  struct Session {
    std::int64_t pid = 0;
    std::string started;
  };

  Line line_;
  PgDialect dialect_;
  Session session_;
  std::optional<Session> former_session_;
  bool pooled_ = false;  // a pooler may give the next transaction to another server session
  std::string user_;
  std::string sslmode_;
  bool unwrapped_ = false;       // the predicate is written as it is, see removal()
  bool looks_elsewhere_ = false;  // other rows than those of the range may decide which of them go
  Care care_;
  std::optional<PressureGauge> gauge_;
  std::unique_ptr<Walk> walk_;  // none: ranges of the key, as the SDK does it
};

}  // namespace purgekit::postgresql
