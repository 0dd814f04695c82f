/// \file connection.hpp
/// The scripted backend's connection.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fake/database.hpp"
#include "purgekit/sdk/connection.hpp"

namespace purgekit::fake {

class Connection final : public sdk::Connection {
 public:
  explicit Connection(Database& db) : db_(db) {}

  void connect(const sdk::ConnectParams&) override;
  void cancel() noexcept override { cancelled_ = true; }
  sdk::Server inspect() override;
  sdk::Table describe(const sdk::TableName& name) override;
  std::vector<std::string> tables(const sdk::TableName&) override { return {"T", "CHILD"}; }
  std::int64_t count(const sdk::Purge& purge) override;
  std::int64_t estimate(const sdk::Purge& purge) override;
  std::string sample_key(const sdk::Purge& purge) override;
  std::vector<sdk::Value> sample_column(const sdk::Purge&, const std::string& column) override;
  std::vector<sdk::Value> sample_rows(const sdk::Purge& purge, std::size_t most) override;
  std::vector<sdk::Walk> propose(const sdk::Purge&, std::int64_t, std::int64_t) override;
  std::vector<std::string> prepare(const sdk::Purge& purge) override;
  void lock_run(const std::string&) override;
  void unlock_run(const std::string&) override;
  sdk::Ledger ledger_find(const sdk::TableName&) override;
  void ledger_create() override;
  sdk::Slot slot_lock(const std::string& key, std::uint32_t wait_ms) override;
  void slot_write(const sdk::Slot& slot) override;
  sdk::SharedSlot slot_share(const std::string& key) override;
  void run_write(const sdk::RunRecord& run) override;
  std::vector<sdk::RunRecord> run_list() override;
  void note_write(const std::string& kind, const sdk::RunRecord& note) override;
  void note_delete(const std::string& kind, const std::string& id) override;
  std::vector<sdk::RunRecord> note_list(const std::string& kind) override;
  void note_add(const std::string& kind, const sdk::RunRecord& note) override;
  std::vector<sdk::RunRecord> note_page(const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most) override;
  void begin(const std::string& key, std::int64_t epoch, std::int64_t seq) override;
  sdk::Deleted delete_range(const sdk::Range& range) override;
  std::int64_t delete_children(std::size_t index) override;
  void checkpoint(const sdk::Slot& slot) override;
  void fence(const std::string& key, std::int64_t epoch, std::int64_t seq) override;
  std::vector<std::string> split(std::size_t parts) override;
  void commit() override;
  void rollback() override;
  double replica_lag() override;
  sdk::Space space(const sdk::Purge&) override;
  bool reclaim(const sdk::Purge& purge, pk_care care) override;
  std::vector<sdk::Signal> pressure() override;
  std::vector<sdk::Move> moves(const sdk::Purge&, std::int64_t, std::int64_t) override;

  // for scripts
  Database& db() { return db_; }
  bool cancelled() const { return cancelled_; }
  void apply();
  void leave_hanging(bool commits, int waits);

 private:
  using Matcher = std::function<bool(std::int64_t id, const Record&)>;
  sdk::Deleted stroke(std::int64_t after);
  std::unique_lock<std::recursive_mutex> verb(const char* name);
  void lose();
  Transaction& open();
  void refuse_if_hanging();
  static Matcher matcher(const pk_predicate& predicate, std::uint32_t index);

  Database& db_;
  bool connected_ = false;
  std::atomic<bool> cancelled_{false};
  std::optional<Transaction> transaction_;
  Matcher prepared_;
  void give(std::size_t table, const std::vector<sdk::Column>& columns, sdk::Rows rows);

  std::string walk_;
  const pk_sink* sink_ = nullptr;
  std::int64_t pass_end_ = -1;
  bool ends_at_cut_ = false;
};

/// Makes the backend "fake" known, once.
void register_fake();

}  // namespace purgekit::fake
