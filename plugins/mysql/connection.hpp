/// \file connection.hpp
/// The verbs over one session with MariaDB or MySQL.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dialect.hpp"
#include "leftovers.hpp"
#include "line.hpp"
#include "move.hpp"
#include "pressure.hpp"
#include "purgekit/sdk/sql_connection.hpp"
#include "walk.hpp"

namespace purgekit::mysql {

class MysqlConnection final : public sdk::SqlConnection {
 public:
  void connect(const sdk::ConnectParams& params) override;
  void cancel() noexcept override {
    line_.cancel();
    hand_.cancel();
  }
  sdk::Server inspect() override;
  std::vector<std::string> tables(const sdk::TableName& name) override;
  std::int64_t estimate(const sdk::Purge& purge) override;
  std::vector<sdk::Walk> propose(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) override;
  std::vector<std::string> prepare(const sdk::Purge& purge) override;
  void lock_run(const std::string& key) override;
  void unlock_run(const std::string& key) override;
  void begin(const std::string& key, std::int64_t epoch, std::int64_t seq) override;
  sdk::Ledger ledger_find(const sdk::TableName& name) override;
  sdk::Deleted delete_range(const sdk::Range& range) override;
  std::vector<std::string> split(std::size_t parts) override { return walk_ ? walk_->split(parts) : std::vector<std::string>{}; }
  double replica_lag() override;
  double own_lag() override;
  sdk::Measure measure(const std::string& sql, std::uint32_t timeout_ms) override;
  // moves.cpp
  std::vector<sdk::Move> moves(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) override;
  void commit() override;
  void rollback() override;
  // care.cpp
  sdk::Space space(const sdk::Purge& purge) override;
  bool reclaim(const sdk::Purge& purge, pk_care care) override;
  std::vector<sdk::Signal> pressure() override { return gauge_.read(line_); }
  std::int64_t log_bytes() override { return PressureGauge::log_bytes(line_); }

 private:
  // SqlSession
  const sdk::Dialect& dialect() const override { return dialect_; }
  std::int64_t execute(const std::string& text, const std::vector<sdk::Value>& params) override { return line_.execute(text, params); }
  sdk::Rows query(const std::string& text, const std::vector<sdk::Value>& params) override { return line_.query(text, params); }
  void stream(const std::string& text, const std::vector<sdk::Value>& params, const std::function<void(sdk::Row)>& visit) override { line_.stream(text, params, visit); }
  void begin_transaction() override;
  void commit_transaction() override { line_.commit(); }
  void rollback_transaction() override { line_.rollback(); }
  void set_lock_wait(std::uint32_t wait_ms) override;

  void begin_looking(std::uint32_t timeout_ms) override;
  void end_looking() override;
  sdk::Table read_table(const sdk::TableName& name) override;
  void ledger_rights(const sdk::TableName& name, sdk::Ledger& out) override;
  void archive_rights(const sdk::ArchiveTable& target, sdk::ArchiveInfo& out) override;
  ArchiveShape archive_shape(const sdk::Table& source) override;
  sdk::InsertShape insert_shape(const sdk::Table& table) override;
  bool may_create(const std::string& schema, const std::string& table);
  std::string account();
  void rebuild(const sdk::Purge& purge);
  void analyze(const sdk::Purge& purge);
  std::vector<std::string> prepare_move(const sdk::Purge& purge);
  std::vector<std::string> prepare_keys(const sdk::Purge& purge);
  std::pair<std::string, std::string> along_index(const sdk::Purge& purge) override;
  std::optional<sdk::Deleted> count_leftover(const sdk::Range& range);

  bool keeps_many_locks() const;
  void set_idle_limit(bool purging);
  std::int64_t remove(const ChunkDelete& chunk, const sdk::Row& slots);
  sdk::Rows give_away(const sdk::SinkWriter& writer, const sdk::Sql& reading, const sdk::Row& slots);
  std::int64_t explained_rows(const sdk::Sql& select);

  Line line_;
  Line hand_;     // of a move, as the next one
  Line renamer_;
  MysqlDialect dialect_;
  PressureGauge gauge_;
  std::string database_;
  std::int64_t lock_wait_s_ = -1;
  std::uint32_t statement_timeout_ms_ = 0;
  std::set<std::string> run_locks_;
  bool idle_limited_ = false;  // the server ends this session soon when it falls silent
  std::optional<std::pair<std::string, std::string>> rebuilt_;  // schema and name of a table that only lacks its statistics now
  std::optional<Walk> walk_;
  std::optional<KeyDelete> by_keys_;
  std::optional<ChunkDelete> keys_chunk_;  // of a purge by keys, in place of a walk
  bool may_write_ = false;                 // found out on this connection: nothing in the binary log's settings forbids it
  Leftovers leftovers_;
  std::unique_ptr<Move> move_;
};

}  // namespace purgekit::mysql
