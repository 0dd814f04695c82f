#include "purgekit/session.hpp"

#include <unistd.h>

#include <cstring>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/marshal.hpp"

namespace purgekit {

using sdk::Error;
using sdk::to_text;

namespace {

std::vector<sdk::Value> values_from_c(const pk_samples& samples) {
  std::vector<sdk::Value> values;
  sdk::checked(samples.values, samples.count);
  for (std::size_t i = 0; i < samples.count; ++i) values.push_back(sdk::Value::from_c(samples.values[i]));
  return values;
}

std::vector<sdk::RunRecord> records_from_c(const pk_runs& runs) {
  std::vector<sdk::RunRecord> records;
  sdk::checked(runs.runs, runs.count);
  for (std::size_t i = 0; i < runs.count; ++i) records.push_back({sdk::to_string(runs.runs[i].id), sdk::to_string(runs.runs[i].document)});
  return records;
}

}  // namespace

Session::Session(const pk_backend& backend) : backend_(backend), pid_(static_cast<long>(getpid())) {
  pk_error error{};
  const std::int32_t code = backend_.open(backend_.self, &handle_, &error);
  if (code != PK_OK) throw Error::from_c(code, error);
  if (handle_ == nullptr) throw Error(PK_INTERNAL, std::string("backend ") + backend_.name + " opened no connection object");
}

Session::~Session() {
  // A forked child shares the parent's socket and file locks: closing here would end the parent's session.
  if (pid_ == static_cast<long>(getpid())) backend_.close(handle_);
}

template <class Verb, class... Args>
void Session::call(Verb verb, Args... args) {
  if (pid_ != static_cast<long>(getpid())) {
    throw Error(PK_INVALID_ARGUMENT, "this connection was made before a fork and can't be used in the child process; connect again there");
  }
  pk_error error{};
  std::int32_t code = PK_INTERNAL;
  try {
    code = verb(handle_, args..., &error);
  } catch (...) {
    throw Error(PK_INTERNAL, std::string("backend ") + backend_.name + " threw across the plugin line, which is a defect in it");
  }
  if (code != PK_OK) throw Error::from_c(code, error);
}

void Session::connect(const sdk::ConnectParams& p) {
  std::vector<pk_option> options;
  for (const sdk::Option& o : p.options) options.push_back({to_text(o.key), to_text(o.value)});
  const pk_connect c{to_text(p.scheme), to_text(p.user), to_text(p.password), to_text(p.host), p.port, p.connect_timeout_ms, to_text(p.database),
                     options.data(), options.size(), p.lock_wait_ms, p.statement_timeout_ms};
  call(backend_.connect, &c);
}

void Session::cancel() noexcept {
  if (pid_ == static_cast<long>(getpid())) backend_.cancel(handle_);
}

sdk::Server Session::inspect() {
  pk_server out{};
  call(backend_.inspect, &out);
  return sdk::from_c(out);
}

sdk::Table Session::describe(const sdk::TableName& name) {
  const pk_table_name n = sdk::to_c(name);
  pk_table out{};
  call(backend_.describe, &n, &out);
  return sdk::from_c(out);
}

std::vector<std::string> Session::tables(const sdk::TableName& name) {
  const pk_table_name n = sdk::to_c(name);
  pk_texts out{};
  call(backend_.tables, &n, &out);
  return sdk::from_c(out.items, out.count);
}

std::int64_t Session::count(const pk_purge& purge) {
  std::int64_t rows = 0;
  call(backend_.count, &purge, &rows);
  return rows;
}

std::int64_t Session::estimate(const pk_purge& purge) {
  std::int64_t rows = 0;
  call(backend_.estimate, &purge, &rows);
  return rows;
}

std::string Session::sample_key(const pk_purge& purge) {
  pk_text out{};
  call(backend_.sample_key, &purge, &out);
  return sdk::to_string(out);
}

std::vector<sdk::Value> Session::sample_column(const pk_purge& purge, const std::string& column) {
  pk_samples out{};
  call(backend_.sample_column, &purge, to_text(column), &out);
  return values_from_c(out);
}

std::vector<sdk::Walk> Session::propose(const pk_purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  pk_walks out{};
  call(backend_.propose, &purge, rows_total, rows_matching, &out);
  std::vector<sdk::Walk> walks;
  sdk::checked(out.walks, out.count);
  for (std::size_t i = 0; i < out.count; ++i) walks.push_back(sdk::from_c(out.walks[i]));
  return walks;
}

std::vector<std::string> Session::prepare(const pk_purge& purge) {
  pk_texts out{};
  call(backend_.prepare, &purge, &out);
  return sdk::from_c(out.items, out.count);
}

void Session::lock_run(const std::string& key) { call(backend_.lock_run, to_text(key)); }
void Session::unlock_run(const std::string& key) { call(backend_.unlock_run, to_text(key)); }

sdk::Ledger Session::ledger_find(const sdk::TableName& name) {
  const pk_table_name n = sdk::to_c(name);
  pk_ledger out{};
  call(backend_.ledger_find, &n, &out);
  return sdk::from_c(out);
}

void Session::ledger_create() { call(backend_.ledger_create); }

sdk::Slot Session::slot_lock(const std::string& key, std::uint32_t wait_ms) {
  pk_slot out{};
  call(backend_.slot_lock, to_text(key), wait_ms, &out);
  return sdk::from_c(out);
}

void Session::slot_write(const sdk::Slot& slot) {
  const pk_slot s = sdk::to_c(slot);
  call(backend_.slot_write, &s);
}

void Session::run_write(const sdk::RunRecord& run) {
  const pk_run r{to_text(run.id), to_text(run.document)};
  call(backend_.run_write, &r);
}

std::vector<sdk::RunRecord> Session::run_list() {
  pk_runs out{};
  call(backend_.run_list, &out);
  return records_from_c(out);
}

void Session::begin(const std::string& key, std::int64_t epoch, std::int64_t seq) { call(backend_.begin, to_text(key), epoch, seq); }

sdk::Deleted Session::delete_range(const sdk::Range& range) {
  const pk_range r{to_text(range.cursor), range.max_rows, range.lock_wait_ms, range.window_ms, range.chunk, to_text(range.until)};
  pk_deleted out{};
  call(backend_.delete_range, &r, &out);
  return sdk::from_c(out);
}

std::int64_t Session::delete_children(std::size_t index) {
  std::int64_t rows = 0;
  call(backend_.delete_children, index, &rows);
  return rows;
}

void Session::checkpoint(const sdk::Slot& slot) {
  const pk_slot s = sdk::to_c(slot);
  call(backend_.checkpoint, &s);
}

void Session::commit() { call(backend_.commit); }
void Session::rollback() { call(backend_.rollback); }

double Session::replica_lag() {
  double lag_s = 0;
  call(backend_.replica_lag, &lag_s);
  return lag_s;
}

std::vector<sdk::ArchiveInfo> Session::archive_find(const pk_purge& purge) {
  pk_archive_infos out{};
  call(backend_.archive_find, &purge, &out);
  std::vector<sdk::ArchiveInfo> archives;
  sdk::checked(out.items, out.count);
  for (std::size_t i = 0; i < out.count; ++i) archives.push_back(sdk::from_c(out.items[i]));
  return archives;
}

void Session::archive_create(const pk_purge& purge) { call(backend_.archive_create, &purge); }

void Session::fence(const std::string& key, std::int64_t epoch, std::int64_t seq) { call(backend_.fence, to_text(key), epoch, seq); }

std::vector<std::string> Session::split(std::size_t parts) {
  pk_texts out{};
  call(backend_.split, parts, &out);
  return sdk::from_c(out.items, out.count);
}

std::vector<sdk::Signal> Session::pressure() {
  pk_signals out{};
  call(backend_.pressure, &out);
  std::vector<sdk::Signal> signals;
  sdk::checked(out.items, out.count);
  for (std::size_t i = 0; i < out.count; ++i) signals.push_back(sdk::from_c(out.items[i]));
  return signals;
}

sdk::Space Session::space(const pk_purge& purge) {
  pk_space out{};
  call(backend_.space, &purge, &out);
  return sdk::from_c(out);
}

bool Session::reclaim(const pk_purge& purge, pk_care care) {
  std::uint8_t done = 0;
  call(backend_.reclaim, &purge, static_cast<std::uint32_t>(care), &done);
  return done != 0;
}

std::optional<std::int64_t> Session::log_bytes() {
  std::int64_t bytes = 0;
  try {
    call(backend_.log_bytes, &bytes);
  } catch (const sdk::Error& e) {
    if (e.connection_lost()) throw;
    return std::nullopt;
  }
  return bytes;
}

sdk::Measure Session::measure(const std::string& sql, std::uint32_t timeout_ms) {
  pk_measure out{};
  call(backend_.measure, to_text(sql), timeout_ms, &out);
  return sdk::from_c(out);
}

double Session::own_lag() {
  double lag_s = 0;
  call(backend_.own_lag, &lag_s);
  return lag_s;
}

void Session::note_write(const std::string& kind, const sdk::RunRecord& note) {
  const pk_run n{to_text(note.id), to_text(note.document)};
  call(backend_.note_write, to_text(kind), &n);
}

void Session::note_delete(const std::string& kind, const std::string& id) { call(backend_.note_delete, to_text(kind), to_text(id)); }

std::vector<sdk::RunRecord> Session::note_list(const std::string& kind) {
  pk_runs out{};
  call(backend_.note_list, to_text(kind), &out);
  return records_from_c(out);
}

void Session::note_add(const std::string& kind, const sdk::RunRecord& note) {
  const pk_run n{to_text(note.id), to_text(note.document)};
  call(backend_.note_add, to_text(kind), &n);
}

std::vector<sdk::RunRecord> Session::note_page(const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most) {
  pk_runs out{};
  call(backend_.note_page, to_text(kind), to_text(prefix), to_text(after), most, &out);
  return records_from_c(out);
}

std::vector<sdk::Value> Session::sample_rows(const pk_purge& purge, std::size_t most) {
  pk_samples out{};
  call(backend_.sample_rows, &purge, most, &out);
  return values_from_c(out);
}

sdk::Restored Session::restore_next(const pk_restore& restore, std::int64_t after) {
  pk_restored out{};
  call(backend_.restore_next, &restore, after, &out);
  return sdk::from_c(out);
}

void Session::archive_make(const pk_load& load) { call(backend_.archive_make, &load); }

void Session::archive_load(const pk_load& load) { call(backend_.archive_load, &load); }

sdk::SharedSlot Session::slot_share(const std::string& key) {
  pk_shared_slot out{};
  call(backend_.slot_share, to_text(key), &out);
  return {out.epoch, out.clock_utc_ns};
}

std::vector<sdk::Move> Session::moves(const pk_purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  pk_moves out{};
  call(backend_.moves, &purge, rows_total, rows_matching, &out);
  std::vector<sdk::Move> moves;
  sdk::checked(out.items, out.count);
  for (std::size_t i = 0; i < out.count; ++i) moves.push_back(sdk::from_c(out.items[i]));
  return moves;
}

PurgeSpec::PurgeSpec(const sdk::Table& table, const pk_predicate& predicate, const std::string& walk, const std::vector<sdk::Dependent>& dependents,
                     const std::vector<sdk::ArchiveTable>& archives, const std::string& run_id, const pk_sink* sink)
    : schema_(table.schema), table_(table.name), walk_(walk), run_id_(run_id), predicate_(predicate), dependents_(dependents), archives_(archives) {
  lists_.reserve(dependents_.size() * 2);
  for (const sdk::Dependent& d : dependents_) {
    auto& columns = lists_.emplace_back();
    for (const std::string& column : d.columns) columns.push_back(to_text(column));
    auto& parents = lists_.emplace_back();
    for (const std::string& column : d.parent_columns) parents.push_back(to_text(column));
    dependent_views_.push_back({to_text(d.schema), to_text(d.table), columns.data(), parents.data(), columns.size(),
                                static_cast<std::uint8_t>(d.unless_referenced), {}, d.parent});
  }
  archive_columns_.reserve(archives_.size());
  for (const sdk::ArchiveTable& a : archives_) {
    auto& columns = archive_columns_.emplace_back();
    columns.reserve(a.columns.size());
    for (const sdk::ArchiveColumn& column : a.columns) columns.push_back(sdk::to_c(column));
    archive_views_.push_back({to_text(a.schema), to_text(a.table), columns.data(), columns.size(), static_cast<std::uint8_t>(a.is_mapped), {}});
  }
  purge_ = {to_text(schema_),       to_text(table_),      &predicate_,     to_text(walk_), dependent_views_.data(), dependent_views_.size(),
            archive_views_.data(), archive_views_.size(), to_text(run_id_), sink};
}

}  // namespace purgekit
