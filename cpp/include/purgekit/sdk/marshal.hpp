/// \file marshal.hpp
/// C++ values to the structs of abi.h and back. Both sides of the line use it: a backend puts its answers into an Outbox,
/// the host reads them with from_c.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/table.hpp"

namespace purgekit::sdk {

inline std::string abi_text(std::uint32_t abi) { return std::to_string(abi >> 16) + "." + std::to_string(abi & 0xffffu); }

inline TableName from_c(const pk_table_name& n) {
  return {to_string(n.schema), to_string(n.name), n.schema_quoted != 0, n.name_quoted != 0};
}
inline pk_table_name to_c(const TableName& n) {
  return {to_text(n.schema), to_text(n.name), static_cast<std::uint8_t>(n.schema_quoted), static_cast<std::uint8_t>(n.name_quoted), {}};
}

inline ConnectParams from_c(const pk_connect& p) {
  ConnectParams out;
  out.scheme = to_string(p.scheme);
  out.user = to_string(p.user);
  out.password = to_string(p.password);
  out.host = to_string(p.host);
  out.port = p.port;
  out.connect_timeout_ms = p.connect_timeout_ms;
  out.database = to_string(p.database);
  out.lock_wait_ms = p.lock_wait_ms;
  out.statement_timeout_ms = p.statement_timeout_ms;
  for (std::size_t i = 0; i < p.option_count; ++i) out.options.push_back({to_string(p.options[i].key), to_string(p.options[i].value)});
  return out;
}

inline std::vector<std::string> from_c(const pk_text* items, std::size_t count) {
  std::vector<std::string> out;
  checked(items, count);
  for (std::size_t i = 0; i < count; ++i) out.push_back(to_string(items[i]));
  return out;
}

inline ArchiveTable from_c(const pk_archive& a) {
  ArchiveTable out{to_string(a.schema), to_string(a.table), a.is_mapped != 0};
  checked(a.columns, a.column_count);
  for (std::size_t i = 0; i < a.column_count; ++i) {
    const pk_archive_column& c = a.columns[i];
    out.columns.push_back({to_string(c.target), checked_kind(c.from, PK_ARCHIVE_FROM_COLUMN, PK_ARCHIVE_FROM_DEFAULT), to_string(c.source), Value::from_c(c.value)});
  }
  return out;
}
inline pk_archive_column to_c(const ArchiveColumn& c) { return {to_text(c.target), to_text(c.source), c.value.to_c(), static_cast<std::uint32_t>(c.from), 0}; }

inline Purge from_c(const pk_purge& p) {
  Purge out;
  out.schema = to_string(p.schema);
  out.table = to_string(p.table);
  out.predicate = p.predicate;
  out.walk = to_string(p.walk);
  for (std::size_t i = 0; i < p.dependent_count; ++i) {
    const pk_dependent& d = p.dependents[i];
    out.dependents.push_back({to_string(d.schema), to_string(d.table), from_c(d.columns, d.column_count),
                              from_c(d.parent_columns, d.column_count), d.unless_referenced != 0, d.parent});
  }
  checked(p.archives, p.archive_count);
  for (std::size_t i = 0; i < p.archive_count; ++i) out.archives.push_back(from_c(p.archives[i]));
  out.run_id = to_string(p.run_id);
  out.sink = p.sink;
  return out;
}

inline Restore from_c(const pk_restore& r) {
  return {to_string(r.schema), to_string(r.table), from_c(r.archive), to_string(r.run_id), r.predicate,
          checked_kind(r.conflict, PK_CONFLICT_REFUSE, PK_CONFLICT_REPLACE), r.lock_wait_ms};
}
inline Load from_c(const pk_load& l) {
  Load out{to_string(l.schema), to_string(l.table), from_c(l.archive), to_string(l.run_id), l.chunk, l.archived_utc_ns, {}, l.values, l.row_count};
  checked(l.columns, l.column_count);
  out.columns.reserve(l.column_count);
  for (std::size_t i = 0; i < l.column_count; ++i) {
    const pk_column& c = l.columns[i];
    out.columns.push_back({to_string(c.name), to_string(c.type_name), checked_kind(c.kind, PK_COLUMN_OTHER, PK_COLUMN_ANY), c.nullable != 0});
  }
  checked(l.values, l.column_count == 0 ? l.row_count : l.row_count * l.column_count);
  return out;
}
inline pk_restored to_c(const Restored& r) { return {r.chunk, r.rows_restored, r.rows_skipped, static_cast<std::uint8_t>(r.done), {}}; }
inline Restored from_c(const pk_restored& r) { return {r.chunk, r.rows_restored, r.rows_skipped, r.done != 0}; }

inline Slot from_c(const pk_slot& s) {
  return {to_string(s.key), s.epoch, s.seq,          to_string(s.run_id), to_string(s.policy_hash), s.cutoff_ns, to_string(s.cursor),
          s.pass,           s.rows_deleted, to_string(s.state),  to_string(s.document)};
}
inline pk_slot to_c(const Slot& s) {
  return {to_text(s.key), s.epoch, s.seq,          to_text(s.run_id), to_text(s.policy_hash), s.cutoff_ns, to_text(s.cursor),
          s.pass,         s.rows_deleted, to_text(s.state),  to_text(s.document)};
}

inline pk_measure to_c(const Measure& m) { return {m.elapsed_ms, m.value.value_or(0), static_cast<std::uint8_t>(m.value.has_value()), {}}; }
inline Measure from_c(const pk_measure& m) { return {m.elapsed_ms, m.has_value != 0 ? std::optional<double>(m.value) : std::nullopt}; }

inline Server from_c(const pk_server& s) {
  return {to_string(s.product),  to_string(s.version),  s.clock_utc_ns,          s.read_only != 0,       s.tls != 0,
          s.tls_verified != 0,   s.loopback != 0,       to_string(s.database),   to_string(s.identity),  from_c(s.warnings, s.warning_count)};
}

/// Positions of columns, each one there.
inline std::vector<std::uint32_t> positions_from_c(const std::uint32_t* items, std::size_t count, const pk_table& table, bool may_be_expressions) {
  checked(items, count);
  std::vector<std::uint32_t> out(items, items + count);
  for (const std::uint32_t at : out) {
    if (at < table.column_count || (may_be_expressions && at == Index::expression)) continue;
    throw Error(PK_INTERNAL, "table " + to_string(table.name) + " came across the plugin line with a key or index on a column that it does not have");
  }
  return out;
}

inline Table from_c(const pk_table& t) {
  Table out;
  out.schema = to_string(t.schema);
  out.name = to_string(t.name);
  out.kind = checked_kind(t.kind, PK_TABLE_BASE, PK_TABLE_SYSTEM);
  out.transactional = t.transactional != 0;
  out.can_select = t.can_select != 0;
  out.can_delete = t.can_delete != 0;
  out.rows_hidden = t.rows_hidden != 0;
  out.storage = to_string(t.storage);
  out.identity = to_string(t.identity);
  checked(t.columns, t.column_count);
  for (std::size_t i = 0; i < t.column_count; ++i) {
    const pk_column& c = t.columns[i];
    // A kind that a later version knows can't be compared by this one.
    const pk_column_kind kind = c.kind <= PK_COLUMN_ANY ? static_cast<pk_column_kind>(c.kind) : PK_COLUMN_OTHER;
    out.columns.push_back({to_string(c.name), to_string(c.type_name), kind, c.nullable != 0});
  }
  out.key = positions_from_c(t.key, t.key_count, t, false);
  checked(t.indexes, t.index_count);
  for (std::size_t i = 0; i < t.index_count; ++i) {
    const pk_index& x = t.indexes[i];
    out.indexes.push_back({to_string(x.name), positions_from_c(x.columns, x.column_count, t, true), x.unique != 0, x.partial != 0});
  }
  checked(t.references, t.reference_count);
  for (std::size_t i = 0; i < t.reference_count; ++i) {
    const pk_reference& r = t.references[i];
    out.references.push_back({to_string(r.name), to_string(r.child_schema), to_string(r.child_table), from_c(r.child_columns, r.column_count),
                              from_c(r.parent_columns, r.column_count), checked_kind(r.action, PK_FK_RESTRICT, PK_FK_SET_DEFAULT), r.child_indexed != 0,
                              r.enforced != 0});
  }
  out.delete_triggers = from_c(t.delete_triggers, t.delete_trigger_count);
  out.partition_count = t.partition_count;
  out.rows_estimate = t.rows_estimate;
  out.bytes = t.bytes;
  out.index_bytes = t.index_bytes;
  out.grant_hint = to_string(t.grant_hint);
  return out;
}

inline Walk from_c(const pk_walk& w) { return {to_string(w.id), to_string(w.strategy), to_string(w.index), w.cost, to_string(w.reason)}; }
inline Move from_c(const pk_move& m) { return {from_c(m.walk), to_string(m.problem), m.rows, m.window_ms, m.needed_bytes}; }
inline Ledger from_c(const pk_ledger& l) {
  return {checked_kind(l.state, PK_LEDGER_ABSENT, PK_LEDGER_OLDER), l.can_create != 0, l.can_write != 0, to_string(l.ddl), to_string(l.grant_hint)};
}
inline ArchiveInfo from_c(const pk_archive_info& a) {
  return {checked_kind(a.state, PK_ARCHIVE_ABSENT, PK_ARCHIVE_UNFIT), a.can_create != 0, a.can_write != 0, to_string(a.problem), to_string(a.ddl), to_string(a.grant_hint),
          from_c(a.lost, a.lost_count)};
}
inline Deleted from_c(const pk_deleted& d) { return {d.rows_deleted, d.rows_visited, to_string(d.cursor), d.done != 0, d.share_done}; }

inline Signal from_c(const pk_signal& s) { return {to_string(s.name), s.value, s.limit, s.shared_chunk_ms, s.shared_time}; }
inline Space from_c(const pk_space& s) { return {s.bytes, s.reusable_bytes, s.dead_bytes, s.needed_bytes, s.free_bytes, to_string(s.advice)}; }
inline Range from_c(const pk_range& r) { return {to_string(r.cursor), r.max_rows, r.lock_wait_ms, r.chunk, to_string(r.until), r.window_ms}; }

/// Owns what a connection last handed out; the C structs point into it until the next put.
class Outbox {
 public:
  pk_text put(std::string text) {
    clear();
    return keep(std::move(text));
  }

  pk_texts put(std::vector<std::string> items) {
    clear();
    return keep_all(std::move(items));
  }

  pk_server put(Server s) {
    clear();
    const pk_texts warnings = keep_all(std::move(s.warnings));
    return {keep(std::move(s.product)),  keep(std::move(s.version)),  s.clock_utc_ns, flag(s.read_only), flag(s.tls), flag(s.tls_verified),
            flag(s.loopback), {}, keep(std::move(s.database)), keep(std::move(s.identity)), warnings.items, warnings.count};
  }

  pk_samples put(std::vector<Value> values) {
    clear();
    samples_ = std::move(values);
    for (const Value& v : samples_) sample_views_.push_back(v.to_c());
    return {sample_views_.data(), sample_views_.size()};
  }

  pk_walks put(std::vector<Walk> walks) {
    clear();
    for (Walk& w : walks) walks_.push_back(view(w));
    return {walks_.data(), walks_.size()};
  }

  pk_moves put(std::vector<Move> moves) {
    clear();
    for (Move& m : moves) moves_.push_back({view(m.walk), keep(std::move(m.problem)), m.rows, m.window_ms, m.needed_bytes});
    return {moves_.data(), moves_.size()};
  }

  pk_ledger put(Ledger l) {
    clear();
    return {static_cast<std::uint32_t>(l.state), flag(l.can_create), flag(l.can_write), {}, keep(std::move(l.ddl)), keep(std::move(l.grant_hint))};
  }

  pk_slot put(Slot s) {
    clear();
    slot_ = std::move(s);
    return to_c(slot_);
  }

  pk_runs put(std::vector<RunRecord> runs) {
    clear();
    for (RunRecord& r : runs) runs_.push_back({keep(std::move(r.id)), keep(std::move(r.document))});
    return {runs_.data(), runs_.size()};
  }

  pk_archive_infos put(std::vector<ArchiveInfo> archives) {
    clear();
    for (ArchiveInfo& a : archives) {
      const pk_texts lost = keep_all(std::move(a.lost));
      archives_.push_back({static_cast<std::uint32_t>(a.state), flag(a.can_create), flag(a.can_write), {}, keep(std::move(a.problem)),
                           keep(std::move(a.ddl)), keep(std::move(a.grant_hint)), lost.items, lost.count});
    }
    return {archives_.data(), archives_.size()};
  }

  pk_signals put(std::vector<Signal> signals) {
    clear();
    for (Signal& s : signals) signals_.push_back({keep(std::move(s.name)), s.value, s.limit, s.shared_chunk_ms, s.shared_time});
    return {signals_.data(), signals_.size()};
  }

  pk_space put(Space s) {
    clear();
    return {s.bytes, s.reusable_bytes, s.dead_bytes, s.needed_bytes, s.free_bytes, keep(std::move(s.advice))};
  }

  pk_deleted put(Deleted d) {
    clear();
    return {d.rows_deleted, d.rows_visited, keep(std::move(d.cursor)), flag(d.done), {}, d.share_done};
  }

  pk_table put(Table t) {
    clear();
    table_ = std::move(t);
    for (const Column& c : table_.columns) {
      columns_.push_back({to_text(c.name), to_text(c.type_name), static_cast<std::uint32_t>(c.kind), flag(c.nullable), {}});
    }
    for (const Index& x : table_.indexes) {
      indexes_.push_back({to_text(x.name), x.columns.data(), x.columns.size(), flag(x.unique), flag(x.partial), {}});
    }
    for (Reference& r : table_.references) {
      const pk_texts child = keep_all(r.child_columns);
      const pk_texts parent = keep_all(r.parent_columns);
      references_.push_back({to_text(r.name), to_text(r.child_schema), to_text(r.child_table), child.items, parent.items, child.count,
                             static_cast<std::uint32_t>(r.action), flag(r.child_indexed), flag(r.enforced), {}});
    }
    const pk_texts triggers = keep_all(table_.delete_triggers);
    return {to_text(table_.schema), to_text(table_.name), static_cast<std::uint32_t>(table_.kind), flag(table_.transactional),
            flag(table_.can_select), flag(table_.can_delete), flag(table_.rows_hidden), to_text(table_.storage), to_text(table_.identity),
            columns_.data(), columns_.size(), table_.key.data(), table_.key.size(), indexes_.data(), indexes_.size(), references_.data(),
            references_.size(), triggers.items, triggers.count, table_.partition_count, table_.rows_estimate, table_.bytes,
            table_.index_bytes, to_text(table_.grant_hint)};
  }

 private:
  static std::uint8_t flag(bool value) { return value ? 1 : 0; }

  // Deques never move their elements, so views stay valid while more is added.
  pk_text keep(std::string text) { return to_text(texts_.emplace_back(std::move(text))); }
  pk_texts keep_all(std::vector<std::string> items) {
    auto& views = lists_.emplace_back();
    for (std::string& item : items) views.push_back(keep(std::move(item)));
    return {views.data(), views.size()};
  }

  pk_walk view(Walk& w) { return {keep(std::move(w.id)), keep(std::move(w.strategy)), keep(std::move(w.index)), w.cost, keep(std::move(w.reason))}; }

  void clear() {
    texts_.clear();
    lists_.clear();
    samples_.clear();
    sample_views_.clear();
    walks_.clear();
    moves_.clear();
    runs_.clear();
    archives_.clear();
    signals_.clear();
    columns_.clear();
    indexes_.clear();
    references_.clear();
  }

  std::deque<std::string> texts_;
  std::deque<std::vector<pk_text>> lists_;
  std::vector<Value> samples_;
  std::vector<pk_value> sample_views_;
  std::vector<pk_walk> walks_;
  std::vector<pk_move> moves_;
  std::vector<pk_run> runs_;
  std::vector<pk_archive_info> archives_;
  std::vector<pk_signal> signals_;
  Slot slot_;
  Table table_;
  std::vector<pk_column> columns_;
  std::vector<pk_index> indexes_;
  std::vector<pk_reference> references_;
};

}  // namespace purgekit::sdk
