/// \file session.hpp
/// The host's side of one connection: the verbs of the C table as C++ calls that throw.
///
/// Thread rule: serial, except cancel(). Not usable after fork: the child gets a clear error.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/table.hpp"

namespace purgekit {

class Session {
 public:
  /// Makes the handle; nothing is reached yet. `backend` must live as long as the session (registered ones do).
  explicit Session(const pk_backend& backend);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// All verbs throw sdk::Error. See abi.h for what each does.
  void connect(const sdk::ConnectParams& params);
  /// Any thread, any time before the destructor.
  void cancel() noexcept;

  sdk::Server inspect();
  sdk::Table describe(const sdk::TableName& name);
  std::vector<std::string> tables(const sdk::TableName& name);
  std::int64_t count(const pk_purge& purge);
  std::int64_t estimate(const pk_purge& purge);
  std::string sample_key(const pk_purge& purge);
  std::vector<sdk::Value> sample_column(const pk_purge& purge, const std::string& column);
  std::vector<sdk::Walk> propose(const pk_purge& purge, std::int64_t rows_total, std::int64_t rows_matching);
  std::vector<std::string> prepare(const pk_purge& purge);
  void lock_run(const std::string& key);
  void unlock_run(const std::string& key);
  sdk::Ledger ledger_find(const sdk::TableName& name);
  void ledger_create();
  sdk::Slot slot_lock(const std::string& key, std::uint32_t wait_ms);
  void slot_write(const sdk::Slot& slot);
  void run_write(const sdk::RunRecord& run);
  std::vector<sdk::RunRecord> run_list();
  void begin(const std::string& key, std::int64_t epoch, std::int64_t seq);
  sdk::Deleted delete_range(const sdk::Range& range);
  std::int64_t delete_children(std::size_t index);
  void checkpoint(const sdk::Slot& slot);
  void commit();
  void rollback();
  double replica_lag();
  std::vector<sdk::ArchiveInfo> archive_find(const pk_purge& purge);
  void archive_create(const pk_purge& purge);
  void fence(const std::string& key, std::int64_t epoch, std::int64_t seq);
  std::vector<std::string> split(std::size_t parts);
  std::vector<sdk::Signal> pressure();
  sdk::Space space(const pk_purge& purge);
  bool reclaim(const pk_purge& purge, pk_care care);
  /// Nothing where it can't be told.
  std::optional<std::int64_t> log_bytes();
  sdk::Measure measure(const std::string& sql, std::uint32_t timeout_ms);
  double own_lag();
  void note_write(const std::string& kind, const sdk::RunRecord& note);
  void note_delete(const std::string& kind, const std::string& id);
  std::vector<sdk::RunRecord> note_list(const std::string& kind);
  void note_add(const std::string& kind, const sdk::RunRecord& note);
  std::vector<sdk::RunRecord> note_page(const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most);
  std::vector<sdk::Value> sample_rows(const pk_purge& purge, std::size_t most);
  sdk::Restored restore_next(const pk_restore& restore, std::int64_t after);
  void archive_make(const pk_load& load);
  void archive_load(const pk_load& load);
  sdk::SharedSlot slot_share(const std::string& key);
  std::vector<sdk::Move> moves(const pk_purge& purge, std::int64_t rows_total, std::int64_t rows_matching);

  const pk_backend& backend() const { return backend_; }

 private:
  template <class Verb, class... Args>
  void call(Verb verb, Args... args);

  const pk_backend& backend_;
  pk_connection* handle_ = nullptr;
  long pid_;
};

/// A pk_purge with everything it points to. The predicate stays the caller's.
class PurgeSpec {
 public:
  PurgeSpec(const sdk::Table& table, const pk_predicate& predicate, const std::string& walk = "", const std::vector<sdk::Dependent>& dependents = {},
            const std::vector<sdk::ArchiveTable>& archives = {}, const std::string& run_id = "", const pk_sink* sink = nullptr);
  ~PurgeSpec() = default;
  PurgeSpec(const PurgeSpec&) = delete;
  PurgeSpec& operator=(const PurgeSpec&) = delete;
  operator const pk_purge&() const { return purge_; }

 private:
  std::string schema_;
  std::string table_;
  std::string walk_;
  std::string run_id_;
  pk_predicate predicate_;
  std::vector<sdk::Dependent> dependents_;
  std::vector<sdk::ArchiveTable> archives_;
  std::vector<std::vector<pk_text>> lists_;
  std::vector<pk_dependent> dependent_views_;
  std::vector<pk_archive> archive_views_;
  std::vector<std::vector<pk_archive_column>> archive_columns_;
  pk_purge purge_{};
};

}  // namespace purgekit
