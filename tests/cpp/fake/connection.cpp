#include "fake/connection.hpp"

#include <algorithm>
#include <memory>

#include "purgekit/registry.hpp"
#include "purgekit/sdk/row_batch.hpp"
#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sampling.hpp"

namespace purgekit::fake {

using sdk::Error;

// Each call goes through here: counted, scripted, and impossible on a connection that is gone. What is returned is held to its end.
std::unique_lock<std::recursive_mutex> Connection::verb(const char* name) {
  static std::recursive_mutex one_at_a_time;
  std::unique_lock lock(one_at_a_time);
  const int call = ++db_.calls[name];
  if (!connected_ && std::string(name) != "connect") throw Error(PK_CONNECTION_LOST, "the connection is gone");
  try {
    if (const auto found = db_.always.find(name); found != db_.always.end()) found->second(*this);
    if (const auto found = db_.script.find({name, call}); found != db_.script.end()) found->second(*this);
  } catch (const Error& e) {
    if (e.connection_lost()) lose();
    throw;
  }
  return lock;
}

void Connection::lose() {
  transaction_.reset();
  connected_ = false;
  pass_end_ = -1;
  prepared_ = nullptr;
}

Transaction& Connection::open() {
  if (!transaction_) throw Error(PK_INTERNAL, "no transaction is open");
  return *transaction_;
}

void Connection::apply() {
  db_.apply(open());
  transaction_.reset();
}

void Connection::leave_hanging(bool commits, int waits) {
  db_.hanging = open();
  db_.hanging_commits = commits;
  db_.hanging_waits = waits;
  transaction_.reset();
}

void Connection::refuse_if_hanging() {
  if (!db_.hanging) return;
  if (db_.hanging_waits-- > 0) throw Error(PK_LOCK_TIMEOUT, "the slot is locked");
  db_.settle_hanging();
}

Connection::Matcher Connection::matcher(const pk_predicate& p, std::uint32_t index) {
  const pk_node& n = sdk::node_at(p, index);
  const bool negated = (n.flags & PK_NEGATED) != 0;
  switch (n.kind) {
    case PK_NODE_TRUE: return [](std::int64_t, const Record&) { return true; };
    case PK_NODE_FALSE: return [](std::int64_t, const Record&) { return false; };
    case PK_NODE_AND: {
      std::vector<Matcher> all;
      for (std::uint32_t i = 0; i < n.child_count; ++i) all.push_back(matcher(p, n.first_child + i));
      return [all](std::int64_t id, const Record& r) { return std::all_of(all.begin(), all.end(), [&](const Matcher& m) { return m(id, r); }); };
    }
    case PK_NODE_OR: {
      std::vector<Matcher> any;
      for (std::uint32_t i = 0; i < n.child_count; ++i) any.push_back(matcher(p, n.first_child + i));
      return [any](std::int64_t id, const Record& r) { return std::any_of(any.begin(), any.end(), [&](const Matcher& m) { return m(id, r); }); };
    }
    case PK_NODE_COMPARE: {
      const std::int64_t bound = p.values[n.first_value].i64;
      const std::uint32_t op = n.op;
      if (op != PK_LT && op != PK_GE) throw Error(PK_NOT_SUPPORTED, "the fake compares by < and >= only");
      return [bound, op](std::int64_t, const Record& r) { return op == PK_LT ? r.expires_ms < bound : r.expires_ms >= bound; };
    }
    case PK_NODE_IN: {
      std::set<std::int64_t> ids;
      for (std::uint32_t i = 0; i < n.value_count; ++i) ids.insert(p.values[n.first_value + i].i64);
      return [ids](std::int64_t id, const Record&) { return ids.count(id) > 0; };
    }
    case PK_NODE_EXISTS: return [negated](std::int64_t, const Record& r) { return r.referenced != negated; };
    case PK_NODE_TIME: {
      const std::int64_t cutoff_ns = n.cutoff_ns;
      return [cutoff_ns](std::int64_t, const Record& r) { return r.expires_ms > 0 && r.expires_ms * 1'000'000 < cutoff_ns; };
    }
    default: throw Error(PK_NOT_SUPPORTED, "the fake knows no such rule");
  }
}

void Connection::connect(const sdk::ConnectParams&) {
  const auto held = verb("connect");
  lose();
  connected_ = true;
}

sdk::Server Connection::inspect() {
  const auto held = verb("inspect");
  sdk::Server out = db_.server;
  out.clock_utc_ns = db_.now_ns;
  return out;
}

sdk::Table Connection::describe(const sdk::TableName& name) {
  const auto held = verb("describe");
  if (name.name == db_.table.name) return db_.table;
  if (name.name == db_.child.name) return db_.child;
  throw Error(PK_NOT_FOUND, "no table " + name.name);
}

std::int64_t Connection::count(const sdk::Purge& purge) {
  const auto held = verb("count");
  const Matcher matches = matcher(*purge.predicate, purge.predicate->root);
  return std::count_if(db_.rows.begin(), db_.rows.end(), [&](const auto& row) { return matches(row.first, row.second); });
}

std::int64_t Connection::estimate(const sdk::Purge&) {
  const auto held = verb("estimate");
  return db_.estimate >= 0 ? db_.estimate : unsupported<std::int64_t>("estimate");
}

std::string Connection::sample_key(const sdk::Purge& purge) {
  const auto held = verb("sample_key");
  const Matcher matches = matcher(*purge.predicate, purge.predicate->root);
  for (const auto& [id, record] : db_.rows) {
    if (matches(id, record)) return "ID=" + std::to_string(id);
  }
  return "";
}

std::vector<sdk::Value> Connection::sample_column(const sdk::Purge&, const std::string& column) {
  const auto held = verb("sample_column");
  std::vector<sdk::Value> out;
  for (const auto& [id, record] : db_.rows) out.push_back(sdk::Value::integer(column == "ID" ? id : record.expires_ms));
  return out;
}

std::vector<sdk::Value> Connection::sample_rows(const sdk::Purge& purge, std::size_t most) {
  const auto held = verb("sample_rows");
  const Matcher matches = matcher(*purge.predicate, purge.predicate->root);
  std::vector<sdk::Value> out;
  for (const auto& [id, record] : db_.rows) {
    if (out.size() == 2 * most) break;
    if (!matches(id, record)) continue;
    out.push_back(sdk::shown_value(sdk::Value::integer(id)));
    out.push_back(sdk::Value::null());
  }
  return out;
}

std::vector<sdk::Walk> Connection::propose(const sdk::Purge&, std::int64_t, std::int64_t) {
  const auto held = verb("propose");
  return db_.walks;
}

std::vector<std::string> Connection::prepare(const sdk::Purge& purge) {
  const auto held = verb("prepare");
  prepared_ = matcher(*purge.predicate, purge.predicate->root);
  walk_ = purge.walk;
  sink_ = purge.sink;
  pass_end_ = -1;
  std::int64_t cutoff_ns = 0;
  for (std::uint32_t i = 0; i < purge.predicate->node_count; ++i) {
    const pk_node& n = sdk::node_at(*purge.predicate, i);
    if (n.kind == PK_NODE_TIME) cutoff_ns = n.cutoff_ns;
  }
  db_.prepared_cutoffs_ns.push_back(cutoff_ns);
  return {"DELETE by " + walk_};
}

void Connection::lock_run(const std::string&) {
  const auto held = verb("lock_run");
  if (db_.run_locked) throw Error(PK_LOCK_TIMEOUT, "another purge of this table is running");
}

void Connection::unlock_run(const std::string&) { const auto held = verb("unlock_run"); }

sdk::Ledger Connection::ledger_find(const sdk::TableName&) {
  const auto held = verb("ledger_find");
  return db_.ledger;
}

void Connection::ledger_create() {
  const auto held = verb("ledger_create");
  db_.ledger.state = PK_LEDGER_PRESENT;
}

sdk::Slot Connection::slot_lock(const std::string& key, std::uint32_t) {
  const auto held = verb("slot_lock");
  if (transaction_) throw Error(PK_INTERNAL, "a transaction is open already");
  refuse_if_hanging();
  transaction_.emplace();
  const auto found = db_.slots.find(key);
  if (found != db_.slots.end()) return found->second;
  sdk::Slot fresh;
  fresh.key = key;
  transaction_->slot = fresh;
  return fresh;
}

sdk::SharedSlot Connection::slot_share(const std::string& key) {
  const auto held = verb("slot_share");
  open();
  const auto found = db_.slots.find(key);
  return found == db_.slots.end() ? sdk::SharedSlot{} : sdk::SharedSlot{found->second.epoch, db_.now_ns};
}

void Connection::slot_write(const sdk::Slot& slot) {
  const auto held = verb("slot_write");
  if (open().slot && open().slot->key != slot.key) open().more_slots[slot.key] = slot;
  else open().slot = slot;
}

void Connection::run_write(const sdk::RunRecord& run) {
  const auto held = verb("run_write");
  db_.runs[run.id] = run.document;
}

std::vector<sdk::RunRecord> Connection::run_list() {
  const auto held = verb("run_list");
  std::vector<sdk::RunRecord> out;
  for (const auto& [id, document] : db_.runs) out.push_back({id, document});
  return out;
}

void Connection::note_write(const std::string& kind, const sdk::RunRecord& note) {
  const auto held = verb("note_write");
  open().notes[kind + "/" + note.id] = note.document;
}

void Connection::note_delete(const std::string& kind, const std::string& id) {
  const auto held = verb("note_delete");
  open().notes[kind + "/" + id] = std::nullopt;
}

std::vector<sdk::RunRecord> Connection::note_list(const std::string& kind) {
  const auto held = verb("note_list");
  std::vector<sdk::RunRecord> out;
  for (const auto& [name, document] : db_.notes) {
    if (name.rfind(kind + "/", 0) == 0) out.push_back({name.substr(kind.size() + 1), document});
  }
  return out;
}

void Connection::note_add(const std::string& kind, const sdk::RunRecord& note) {
  const auto held = verb("note_add");
  const std::string name = kind + "/" + note.id;
  if (db_.notes.count(name) > 0 || open().notes.count(name) > 0) throw Error(PK_DATA, "the note " + name + " is there already");
  open().notes[name] = note.document;
}

std::vector<sdk::RunRecord> Connection::note_page(const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most) {
  const auto held = verb("note_page");
  std::vector<sdk::RunRecord> out;
  for (auto it = db_.notes.upper_bound(kind + "/" + after); it != db_.notes.end() && out.size() < most; ++it) {
    if (it->first.rfind(kind + "/" + prefix, 0) == 0) out.push_back({it->first.substr(kind.size() + 1), it->second});
  }
  return out;
}

void Connection::begin(const std::string& key, std::int64_t epoch, std::int64_t seq) {
  const auto held = verb("begin");
  if (transaction_) throw Error(PK_INTERNAL, "a transaction is open already");
  if (!key.empty()) {
    refuse_if_hanging();
    const auto found = db_.slots.find(key);
    if (found == db_.slots.end() || found->second.epoch != epoch || found->second.seq != seq) throw Error(PK_FENCED, "another run has taken this table over");
    transaction_.emplace();
    transaction_->slot = found->second;
    transaction_->slot->seq += 1;
  } else {
    transaction_.emplace();
  }
}

sdk::Deleted Connection::delete_range(const sdk::Range& range) {
  const auto held = verb("delete_range");
  Transaction& transaction = open();
  if (!prepared_) throw Error(PK_INVALID_ARGUMENT, "nothing is prepared on this connection");
  const std::int64_t after = range.cursor.empty() ? 0 : std::stoll(range.cursor);
  db_.ranges.push_back(range);
  if (walk_.rfind("move:", 0) == 0) return stroke(after);
  if (!range.until.empty()) {
    pass_end_ = std::stoll(range.until);
  } else if (range.cursor.empty() || pass_end_ < 0 || ends_at_cut_) {
    pass_end_ = db_.rows.empty() ? 0 : db_.rows.rbegin()->first;
  }
  ends_at_cut_ = !range.until.empty();
  sdk::Deleted out;
  sdk::Rows gone;
  out.cursor = std::to_string(pass_end_);
  out.done = true;
  const bool whole = walk_ == sdk::keys_walk;
  for (auto it = db_.rows.upper_bound(after); it != db_.rows.end() && it->first <= pass_end_; ++it) {
    const auto& [id, record] = *it;
    const bool matches = prepared_(id, record);
    if ((walk_ == "matching" || whole) && !matches) continue;
    if (out.rows_visited == range.max_rows && !whole) {
      out.done = false;
      break;
    }
    ++out.rows_visited;
    out.cursor = std::to_string(id);
    if (out.rows_visited > db_.most_rows_in_time) throw Error(PK_STATEMENT_TIMEOUT, "the statement took too long");
    if (!matches) continue;
    if (record.locked) throw Error(PK_LOCK_TIMEOUT, "a row is locked");
    if (!record.held_by.empty()) throw Error(PK_FOREIGN_KEY, "a reference forbids it").constraint(record.held_by);
    if (record.trigger) throw Error(PK_TRIGGER, "a trigger refuses").constraint("guard");
    transaction.deleted.insert(id);
    gone.push_back({sdk::Value::integer(id), sdk::Value::integer(record.expires_ms)});
    ++out.rows_deleted;
  }
  if (out.done) out.cursor = std::to_string(pass_end_);
  gone.resize(gone.size() - std::min<std::size_t>(gone.size(), static_cast<std::size_t>(db_.rows_kept_back)));
  give(0, db_.table.columns, std::move(gone));
  return out;
}

void Connection::give(std::size_t table, const std::vector<sdk::Column>& columns, sdk::Rows rows) {
  if (sink_ == nullptr) return;
  sdk::RowBatch batch(columns, *sink_, table);
  for (sdk::Row& row : rows) batch.add(std::move(row));
  batch.flush();
}

sdk::Deleted Connection::stroke(std::int64_t after) {
  const bool by_partition = walk_ == "move:partition";
  const std::int64_t last = db_.rows.empty() ? 0 : db_.rows.rbegin()->first;
  const std::int64_t until = by_partition ? after + db_.partition_rows : last;
  std::set<std::int64_t> gone;
  std::int64_t rows = 0;
  for (auto it = db_.rows.upper_bound(after); it != db_.rows.end() && it->first <= until; ++it) {
    ++rows;
    if (prepared_(it->first, it->second)) gone.insert(it->first);
  }
  if (by_partition && static_cast<std::int64_t>(gone.size()) != rows) gone.clear();  // it would not be exact
  open().deleted.insert(gone.begin(), gone.end());
  const auto deleted = static_cast<std::int64_t>(gone.size());
  return {deleted, rows, std::to_string(until), until >= last, -1};
}

std::int64_t Connection::delete_children(std::size_t) {
  const auto held = verb("delete_children");
  Transaction& transaction = open();
  std::int64_t deleted = 0;
  sdk::Rows gone;
  for (const std::int64_t id : transaction.deleted) {
    deleted += db_.rows.at(id).children;
    gone.resize(static_cast<std::size_t>(deleted), {sdk::Value::integer(id)});
  }
  give(1, db_.child.columns, std::move(gone));
  transaction.children += deleted;
  return deleted;
}

void Connection::checkpoint(const sdk::Slot& slot) {
  const auto held = verb("checkpoint");
  Transaction& transaction = open();
  if (!transaction.slot || transaction.slot->seq != slot.seq || transaction.slot->epoch != slot.epoch) throw Error(PK_FENCED, "another run has taken this table over");
  transaction.slot = slot;
}

void Connection::fence(const std::string& key, std::int64_t epoch, std::int64_t seq) {
  const auto held = verb("fence");
  refuse_if_hanging();
  const auto found = db_.slots.find(key);
  if (found == db_.slots.end() || found->second.epoch != epoch || found->second.seq != seq) throw Error(PK_FENCED, "another run has taken this table over");
  open().slot = found->second;
  open().slot->seq += 1;
}

std::vector<std::string> Connection::split(std::size_t parts) {
  const auto held = verb("split");
  std::vector<std::string> cuts;
  const auto rows = static_cast<std::int64_t>(db_.rows.size());
  for (std::int64_t i = 1; db_.can_be_cut && i < static_cast<std::int64_t>(parts); ++i) cuts.push_back(std::to_string(rows * i / static_cast<std::int64_t>(parts)));
  return cuts;
}

void Connection::commit() {
  const auto held = verb("commit");
  apply();
}

void Connection::rollback() {
  const auto held = verb("rollback");
  transaction_.reset();
}

sdk::Space Connection::space(const sdk::Purge&) {
  const auto held = verb("space");
  if (db_.spaces.empty()) throw Error(PK_NOT_SUPPORTED, "no space");
  const auto call = static_cast<std::size_t>(db_.calls["space"]);
  return db_.spaces[std::min(call, db_.spaces.size()) - 1];
}

bool Connection::reclaim(const sdk::Purge& purge, pk_care care) {
  const auto held = verb("reclaim");
  if (db_.care_steps == 0) throw Error(PK_NOT_SUPPORTED, "no care");
  db_.care.emplace_back(purge.table, care);
  const auto steps = std::count(db_.care.begin(), db_.care.end(), db_.care.back());
  return steps % db_.care_steps == 0;
}

namespace {

template <class Answer>
Answer next_answer(std::vector<Answer>& answers) {
  const Answer answer = answers.front();
  if (answers.size() > 1) answers.erase(answers.begin());
  return answer;
}

}  // namespace

double Connection::replica_lag() {
  const auto held = verb("replica_lag");
  return db_.replica_lags_s.empty() ? unsupported<double>("replica_lag") : next_answer(db_.replica_lags_s);
}

std::vector<sdk::Signal> Connection::pressure() {
  const auto held = verb("pressure");
  return db_.signals.empty() ? unsupported<std::vector<sdk::Signal>>("pressure") : next_answer(db_.signals);
}

std::vector<sdk::Move> Connection::moves(const sdk::Purge&, std::int64_t, std::int64_t) {
  const auto held = verb("moves");
  return db_.moves;
}

namespace {

class FakeBackend final : public sdk::Backend {
 public:
  std::unique_ptr<sdk::Connection> open() override { return std::make_unique<Connection>(database()); }
};

}  // namespace

void register_fake() {
  static const bool once = [] {
    register_backend(std::make_unique<FakeBackend>(), "fake", "1", "fake");
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace purgekit::fake
