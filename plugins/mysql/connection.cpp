#include "connection.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "catalogue.hpp"
#include "session.hpp"

namespace purgekit::mysql {

using sdk::Error;
using sdk::Sql;
using sdk::Value;

void MysqlConnection::connect(const sdk::ConnectParams& params) {
  forget_tables();
  run_locks_.clear();
  idle_limited_ = false;
  walk_.reset();
  move_.reset();
  keys_chunk_.reset();
  may_write_ = false;
  leftovers_.forget();
  gauge_.reset();
  line_.open(params);
  database_ = params.database;
  lock_wait_s_ = -1;
  statement_timeout_ms_ = params.statement_timeout_ms;
  settle_session(line_, params);
  dialect_.learn(line_.is_mariadb() && line_.version() >= 100005, knows_server_zone(line_));
}

sdk::Server MysqlConnection::inspect() { return inspect_server(line_, database_); }

std::vector<std::string> MysqlConnection::tables(const sdk::TableName& name) { return table_names(line_, name, database_); }

sdk::Table MysqlConnection::read_table(const sdk::TableName& name) { return read_catalogue(line_, name, database_); }

void MysqlConnection::begin_transaction() { line_.command("START TRANSACTION"); }

void MysqlConnection::set_lock_wait(std::uint32_t wait_ms) {
  const std::int64_t seconds = lock_wait_seconds(wait_ms, line_.is_mariadb());
  if (seconds == lock_wait_s_) return;
  set_lock_wait_seconds(line_, seconds);
  lock_wait_s_ = seconds;
}

// --------------------------------------------------------------------------------------------- planning

// Rows the optimizer expects of the first table of a SELECT.
std::int64_t MysqlConnection::explained_rows(const Sql& select) {
  // "filtered" needs a word before MySQL 5.7 and on MariaDB, and newer MySQL no longer knows the word.
  const bool extended = line_.is_mariadb() || line_.version() < 50700;
  const sdk::Rows rows = query((extended ? "EXPLAIN EXTENDED " : "EXPLAIN ") + select.text(), select.params());
  if (rows.empty()) return 0;
  const std::size_t at = extended ? 8 : 9;
  const auto number = [](const Value& v) {
    if (v.kind == PK_VALUE_REAL) return v.f64;
    auto out = static_cast<double>(v.i64);
    std::from_chars(v.text.data(), v.text.data() + v.text.size(), out);
    return out;
  };
  return std::llround(number(rows[0].at(at)) * number(rows[0].at(at + 1)) / 100);
}

std::int64_t MysqlConnection::estimate(const sdk::Purge& purge) {
  Sql sql(dialect_);
  sql << "SELECT 1 FROM " << qualified(dialect_, purge.schema, purge.table) << " WHERE ";
  render_predicate(sql, *purge.predicate, purge.table);
  return explained_rows(sql);
}

std::vector<sdk::Walk> MysqlConnection::propose(const sdk::Purge& purge, std::int64_t rows_total, std::int64_t rows_matching) {
  const sdk::Table& table = known(purge);
  const auto total = static_cast<double>(std::max<std::int64_t>({rows_total, table.rows_estimate, 1}));
  std::vector<sdk::Walk> out;
  for (const WalkPath& path : walk_paths(dialect_, table, *purge.predicate)) {
    const double matching = rows_matching < 0 ? total / 2 : static_cast<double>(rows_matching);
    sdk::Walk walk{path.id, path.strategy, path.index, 1, ""};
    if (path.strategy == "key-range") {
      walk.cost = 1 + matching / total / 2;
      walk.reason = path.unique ? "ranges of the clustered key in storage order, each page visited once"
                                : "ranges of the key's first columns; the rest sorts otherwise than it compares";
    } else if (path.strategy == "index-range") {
      // Each row is looked up at a random place of the clustered key, and only rows within the bound are visited.
      Sql bound(dialect_);
      pk_predicate guard = *purge.predicate;
      guard.root = *path.guard;
      bound << "SELECT 1 FROM " << qualified(dialect_, purge.schema, purge.table) << " FORCE INDEX (" << dialect_.quote(path.index) << ") WHERE ";
      render_predicate(bound, guard, purge.table);
      const double visited = std::max(static_cast<double>(explained_rows(bound)), rows_matching < 0 ? 0 : matching);
      walk.cost = 0.02 + 8 * std::min(visited / total, 1.0);
      walk.reason = "about " + std::to_string(std::llround(visited)) + " of " + std::to_string(std::llround(total)) +
                    " rows lie within the index's bound; each is looked up by itself";
    } else {
      walk.cost = 1 + matching / 1000;
      walk.reason = "no key and no index to walk along: every chunk reads the table again up to the rows it finds; add a primary key";
    }
    out.push_back(std::move(walk));
  }
  std::stable_sort(out.begin(), out.end(), [](const sdk::Walk& a, const sdk::Walk& b) { return a.cost < b.cost; });
  return out;
}

std::vector<std::string> MysqlConnection::prepare(const sdk::Purge& purge) {
  const sdk::Table& table = known(purge);
  if (purge.walk == sdk::keys_walk && may_write_) return prepare_keys(purge);
  if (!table.transactional) {
    throw Error(PK_NOT_SUPPORTED, "table " + table.name + " is kept by " + table.storage + ", which can't roll back; nothing was changed: ALTER TABLE … ENGINE=InnoDB");
  }
  if (logs_statements(line_)) {
    throw Error(PK_NOT_SUPPORTED,
                "table " + table.name + ": binlog_format=STATEMENT forbids InnoDB to write under READ COMMITTED; nothing was changed: set binlog_format to ROW or MIXED");
  }
  may_write_ = true;
  if (purge.walk == sdk::keys_walk) return prepare_keys(purge);
  prepare_common(purge);
  rebuilt_.reset();
  walk_.reset();
  move_.reset();
  keys_chunk_.reset();
  if (is_move(purge.walk)) return prepare_move(purge);
  leftovers_.look(line_, purge.schema, purge.table);
  const DeleteShape shape{&dialect_, &table, purge.predicate, collect_, archive(0) != nullptr, sink(0), children_first_};
  walk_.emplace(static_cast<SqlSession&>(*this), shape, path_of(dialect_, table, *purge.predicate, purge.walk));
  by_keys_.emplace(dialect_, table);
  std::vector<std::string> statements;
  if (const sdk::Sql* probe = walk_->probe_sql()) statements.push_back(probe->text());
  if (walk_->chunk().by_keys) {
    statements.push_back(walk_->chunk().sql.text());
    if (archive(0) != nullptr) statements.push_back(by_keys_->insert(*archive(0), 8).text());
    statements.push_back(by_keys_->statement(8).text());
  } else {
    add_statement(statements, walk_->chunk().sql);
  }
  add_child_statements(statements);
  return statements;
}

std::pair<std::string, std::string> MysqlConnection::along_index(const sdk::Purge& purge) {
  if (purge.walk.rfind(index_prefix, 0) != 0) return {"", ""};
  return {" FORCE INDEX (" + dialect_.quote(path_of(dialect_, known(purge), *purge.predicate, purge.walk).index) + ")", ""};
}

std::vector<std::string> MysqlConnection::prepare_keys(const sdk::Purge& purge) {
  const sdk::Table& table = known(purge);
  prepare_common(purge);
  rebuilt_.reset();
  walk_.reset();
  move_.reset();
  leftovers_.forget();
  keys_chunk_.emplace(chunk_delete({&dialect_, &table, purge.predicate, collect_, archive(0) != nullptr, sink(0), children_first_}, nullptr, nullptr));
  by_keys_.emplace(dialect_, table);
  return {keys_chunk_->sql.text()};
}

// ------------------------------------------------------------------------------------------------ chunks

sdk::Deleted MysqlConnection::delete_range(const sdk::Range& range) {
  if (keys_chunk_) {
    start_chunk(range);
    set_lock_wait(range.lock_wait_ms);
    const std::int64_t deleted = remove(*keys_chunk_, {});
    return {deleted, deleted, "", true, 1};
  }
  if (!walk_ && !move_) throw Error(PK_INVALID_ARGUMENT, "nothing was prepared on this connection");
  if (const std::optional<sdk::Deleted> counted = count_leftover(range)) return *counted;
  if (move_) return move_->stroke(range);
  start_chunk(range);
  set_lock_wait(range.lock_wait_ms);
  return walk_->next(range, [this](const ChunkDelete& chunk, const sdk::Row& slots) { return remove(chunk, slots); });
}

std::int64_t MysqlConnection::remove(const ChunkDelete& chunk, const sdk::Row& slots) {
  if (!chunk.by_keys) return delete_rows(chunk.sql, slots);
  collected_ = sink(0) == nullptr ? fetch(chunk.sql, slots) : give_away(*sink(0), chunk.sql, slots);
  sdk::Rows keys;
  for (const sdk::Row& row : collected_) keys.emplace_back(row.begin() + static_cast<std::ptrdiff_t>(collect_.size()), row.end());
  if (children_first_) delete_children_first();
  const std::int64_t deleted = by_keys_->run(static_cast<SqlSession&>(*this), keys, archive(0));
  if (deleted != static_cast<std::int64_t>(collected_.size())) {
    throw Error(PK_SERIALIZATION, "table " + purge_.table + ": rows that were locked are no longer there; the chunk is rolled back and can be tried again");
  }
  return deleted;
}

sdk::Rows MysqlConnection::give_away(const sdk::SinkWriter& writer, const Sql& reading, const sdk::Row& slots) {
  sdk::SinkWriter::Hand hand(writer);
  stream(reading.text(), reading.params(slots), [&](sdk::Row row) { hand.add(std::move(row)); });
  return hand.finish().second;
}

double MysqlConnection::replica_lag() {
  throw Error(PK_NOT_SUPPORTED, "a MySQL or MariaDB primary does not know how far its replicas are behind; name them with --replica URL, or give a query with --lag-sql");
}

// One that has several sources is as far behind as the slowest. SHOW SLAVE STATUS went with MySQL 8.4; MySQL 5.6 knows no other.
double MysqlConnection::own_lag() {
  const bool renamed = !line_.is_mariadb() && line_.version() >= 80022;
  std::vector<std::map<std::string, std::string>> channels;
  try {
    channels = line_.show(renamed ? "SHOW REPLICA STATUS" : line_.is_mariadb() ? "SHOW ALL SLAVES STATUS" : "SHOW SLAVE STATUS");
  } catch (const Error& e) {
    if (e.code() != PK_PRIVILEGE) throw;
    const std::string right = line_.is_mariadb() && line_.version() >= 100509 ? "SLAVE MONITOR" : "REPLICATION CLIENT";
    throw Error(PK_PRIVILEGE, "how far it is behind is hidden from this user; GRANT " + right + " ON *.* TO " + account());
  }
  if (channels.empty()) throw Error(PK_NOT_SUPPORTED, "it is not a replica");
  double lag_s = 0;
  for (const auto& channel : channels) {
    const auto told = channel.find(renamed ? "Seconds_Behind_Source" : "Seconds_Behind_Master");
    if (told == channel.end()) throw Error(PK_NOT_SUPPORTED, "its replication is not running, so how far it is behind can't be told");
    lag_s = std::max(lag_s, std::strtod(told->second.c_str(), nullptr));
  }
  return lag_s;
}

// A read-only transaction keeps rows from being changed; a DDL statement would end it and go its way.
sdk::Measure MysqlConnection::measure(const std::string& sql, std::uint32_t timeout_ms) {
  std::string word = sql.substr(std::min(sql.find_first_not_of(" \t\r\n("), sql.size()));
  word = word.substr(0, word.find_first_of(" \t\r\n(*"));
  std::transform(word.begin(), word.end(), word.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (word != "SELECT" && word != "WITH" && word != "SHOW") throw Error(PK_INVALID_ARGUMENT, "a query is to begin with SELECT, WITH or SHOW");
  return SqlConnection::measure(sql, timeout_ms);
}

void MysqlConnection::begin_looking(std::uint32_t timeout_ms) {
  set_lock_wait(timeout_ms);
  bound_statements(line_, timeout_ms);
  line_.command("START TRANSACTION READ ONLY");
}

void MysqlConnection::end_looking() {
  line_.rollback();
  if (!line_.is_lost()) bound_statements(line_, statement_timeout_ms_);
}

// -------------------------------------------------------------------------------------- run lock, ledger

bool MysqlConnection::keeps_many_locks() const { return line_.version() >= (line_.is_mariadb() ? 100002 : 50705); }

void MysqlConnection::set_idle_limit(bool purging) {
  if (idle_limited_ != purging) limit_idle(line_, purging);
  idle_limited_ = purging;
}

// MySQL has no limit for silence within a transaction: the one for sessions must do, for those too that hold no run lock.
void MysqlConnection::begin(const std::string& key, std::int64_t epoch, std::int64_t seq) {
  if (!line_.is_mariadb()) set_idle_limit(true);
  SqlConnection::begin(key, epoch, seq);
}

void MysqlConnection::lock_run(const std::string& key) {
  if (!run_locks_.empty() && run_locks_.count(key) == 0 && !keeps_many_locks()) {
    throw Error(PK_NOT_SUPPORTED, "this server keeps one GET_LOCK a session, and this session holds one for another table already");
  }
  set_idle_limit(true);
  // Names may have 64 characters and are one space for the whole server.
  const sdk::Rows rows = query("SELECT GET_LOCK(CONCAT('purgekit:', SHA1(?)), 0)", {Value::string(key)});
  const bool failed = rows.at(0).at(0).kind == PK_VALUE_NULL;
  if (failed || rows[0][0].i64 != 1) {
    if (run_locks_.empty()) set_idle_limit(false);
    // The fence decides anyway; taking it for another purge would keep everybody out while it lasts.
    if (failed) throw Error(PK_NOT_SUPPORTED, "the server could not take the lock that tells purges of one table apart early");
    throw Error(PK_LOCK_TIMEOUT, "another purge of this table is running; nothing was changed");
  }
  run_locks_.insert(key);
}

void MysqlConnection::unlock_run(const std::string& key) {
  query("SELECT RELEASE_LOCK(CONCAT('purgekit:', SHA1(?)))", {Value::string(key)});
  run_locks_.erase(key);
  if (run_locks_.empty()) set_idle_limit(false);
}

sdk::Ledger MysqlConnection::ledger_find(const sdk::TableName& name) {
  if (name.schema.empty() && database_.empty()) {
    throw Error(PK_INVALID_ARGUMENT, "ledger " + name.name + ": the URL names no database; add /DATABASE to it or write DATABASE." + name.name);
  }
  sdk::TableName full = name;
  if (full.schema.empty()) full.schema = database_;
  try {
    return SqlConnection::ledger_find(full);
  } catch (const Error& e) {
    if (e.code() != PK_PRIVILEGE) throw;
    // Whether it is missing or only closed to this user, the server does not say.
    sdk::Ledger out;
    out.ddl = ledger().ddl();
    out.can_write = false;
    ledger_rights(full, out);
    return out;
  }
}

void MysqlConnection::ledger_rights(const sdk::TableName& name, sdk::Ledger& out) {
  const std::string table = ledger().table();
  if (out.state == PK_LEDGER_ABSENT) {
    out.can_create = may_create(name.schema, name.name);
    out.can_write = out.can_create;
  } else {
    out.can_write = may_run(line_, "UPDATE " + table + " SET `seq` = 0 WHERE 1 = 0") && may_run(line_, "DELETE FROM " + table + " WHERE 1 = 0") &&
                    may_run(line_, "INSERT INTO " + table + " (`kind`, `id`, `epoch`, `seq`, `pass`, `rows_deleted`, `cutoff_ns`) VALUES ('', '', 0, 0, 0, 0, 0)");
  }
  if (out.can_create && out.can_write) return;
  out.grant_hint = "GRANT SELECT, INSERT, UPDATE, DELETE ON " + table + " TO " + account();
}

}  // namespace purgekit::mysql
