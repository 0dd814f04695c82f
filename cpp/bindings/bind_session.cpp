#include <pybind11/stl.h>

#include <memory>

#include "convert.hpp"
#include "purgekit/error.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/registry.hpp"
#include "purgekit/session.hpp"

namespace purgekit::bindings {
namespace {

using namespace py::literals;

/// Schema and table of each.
using ArchiveNames = std::vector<std::pair<std::string, std::string>>;

/// The bare verbs, one Python call each. Policies are lowered as the planner does, without guards.
class BareSession {
 public:
  BareSession(const std::string& backend, const sdk::ConnectParams& params) : session_(std::make_unique<Session>(backend_named(backend))) {
    released([&] { session_->connect(params); });
  }

  template <class Work>
  void released(const Work& work) {
    if (!session_) throw EngineError(ErrorKind::connection, "closed", "this session is closed");
    const py::gil_scoped_release release;
    work();
  }

  Session& get() { return *session_; }
  void close() { session_.reset(); }

  /// Resolve the policy's names and hand the finished request to `use`.
  template <class Use>
  void with_purge(const Policy& policy, std::int64_t now_ns, const std::string& walk, const Use& use, const ArchiveNames& archives = {},
                  const std::string& run_id = "") {
    released([&] {
      Catalogue catalogue(*session_);
      const sdk::Table& table = catalogue.table(policy.table);
      const Zones zones;
      const LoweredPredicate predicate = lower(policy.where, catalogue.input(table, now_ns, policy, zones));
      std::vector<sdk::ArchiveTable> targets;
      for (const auto& [schema, name] : archives) targets.push_back({schema, name});
      use(PurgeSpec(table, predicate.view(), walk, resolve_dependents(catalogue, policy, table), targets, run_id));
    });
  }

 private:
  std::unique_ptr<Session> session_;
};

py::dict from_table(const sdk::Table& t) {
  py::list columns;
  for (const sdk::Column& c : t.columns) columns.append(py::dict("name"_a = c.name, "type_name"_a = c.type_name, "kind"_a = static_cast<int>(c.kind), "nullable"_a = c.nullable));
  const auto names = [&](const std::vector<std::uint32_t>& positions) {
    py::list out;
    for (const std::uint32_t p : positions) out.append(p < t.columns.size() ? py::object(py::str(t.columns[p].name)) : py::object(py::none()));
    return out;
  };
  py::list indexes;
  for (const sdk::Index& x : t.indexes) indexes.append(py::dict("name"_a = x.name, "columns"_a = names(x.columns), "unique"_a = x.unique, "partial"_a = x.partial));
  py::list references;
  for (const sdk::Reference& r : t.references) {
    references.append(py::dict("name"_a = r.name, "child_schema"_a = r.child_schema, "child_table"_a = r.child_table, "child_columns"_a = r.child_columns, "parent_columns"_a = r.parent_columns,
                               "action"_a = static_cast<int>(r.action), "child_indexed"_a = r.child_indexed, "enforced"_a = r.enforced));
  }
  return py::dict("schema"_a = t.schema, "name"_a = t.name, "kind"_a = static_cast<int>(t.kind), "transactional"_a = t.transactional, "can_select"_a = t.can_select,
                  "can_delete"_a = t.can_delete, "rows_hidden"_a = t.rows_hidden, "storage"_a = t.storage, "identity"_a = t.identity, "columns"_a = columns, "key"_a = names(t.key),
                  "indexes"_a = indexes, "references"_a = references, "delete_triggers"_a = t.delete_triggers, "partition_count"_a = t.partition_count, "rows_estimate"_a = t.rows_estimate,
                  "bytes"_a = t.bytes, "index_bytes"_a = t.index_bytes, "grant_hint"_a = t.grant_hint);
}

py::dict from_slot(const sdk::Slot& s) {
  return py::dict("key"_a = s.key, "epoch"_a = s.epoch, "seq"_a = s.seq, "run_id"_a = s.run_id, "policy_hash"_a = s.policy_hash, "cutoff_ns"_a = s.cutoff_ns, "cursor"_a = s.cursor,
                  "pass"_a = s.pass, "rows_deleted"_a = s.rows_deleted, "state"_a = s.state, "document"_a = s.document);
}

std::vector<std::pair<std::string, std::string>> from_records(const std::vector<sdk::RunRecord>& records) {
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(records.size());
  for (const sdk::RunRecord& record : records) out.emplace_back(record.id, record.document);
  return out;
}

sdk::Slot to_slot(const py::dict& d) {
  return {d["key"].cast<std::string>(),    d["epoch"].cast<std::int64_t>(),  d["seq"].cast<std::int64_t>(), d["run_id"].cast<std::string>(),
          d["policy_hash"].cast<std::string>(), d["cutoff_ns"].cast<std::int64_t>(), d["cursor"].cast<std::string>(), d["pass"].cast<std::int64_t>(),
          d["rows_deleted"].cast<std::int64_t>(), d["state"].cast<std::string>(), d["document"].cast<std::string>()};
}

}  // namespace

void bind_session(py::module_& module) {
  using S = BareSession;
  py::class_<S>(module, "Session", py::is_final())
      .def(py::init([](const std::string& backend, const py::kwargs& parameters) { return std::make_unique<S>(backend, to_connect_params(parameters)); }), "backend"_a)
      .def("inspect",
           [](S& s) {
             sdk::Server server;
             s.released([&] { server = s.get().inspect(); });
             return from_server(server);
           })
      .def(
          "describe",
          [](S& s, const std::string& table) {
            sdk::Table t;
            s.released([&] { t = s.get().describe(parse_table_name(table)); });
            return from_table(t);
          },
          "table"_a)
      .def(
          "tables",
          [](S& s, const std::string& table) {
            std::vector<std::string> out;
            s.released([&] { out = s.get().tables(parse_table_name(table)); });
            return out;
          },
          "table"_a)
      .def(
          "count",
          [](S& s, const Policy& policy, std::int64_t now_ns) {
            std::int64_t rows = 0;
            s.with_purge(policy, now_ns, "", [&](const pk_purge& purge) { rows = s.get().count(purge); });
            return rows;
          },
          "policy"_a, "now_ns"_a)
      .def(
          "sample_rows",
          [](S& s, const Policy& policy, std::int64_t now_ns, std::size_t most) {
            std::vector<sdk::Value> values;
            s.with_purge(policy, now_ns, "", [&](const pk_purge& purge) { values = s.get().sample_rows(purge, most); });
            py::list out;
            for (const sdk::Value& v : values) out.append(v.kind == PK_VALUE_NULL ? py::object(py::none()) : py::object(py::make_tuple(v.text, v.i64)));
            return out;
          },
          "policy"_a, "now_ns"_a, "most"_a)
      .def(
          "propose",
          [](S& s, const Policy& policy, std::int64_t now_ns, std::int64_t rows_total, std::int64_t rows_matching) {
            std::vector<sdk::Walk> walks;
            s.with_purge(policy, now_ns, "", [&](const pk_purge& purge) { walks = s.get().propose(purge, rows_total, rows_matching); });
            py::list out;
            for (const sdk::Walk& w : walks) out.append(py::dict("id"_a = w.id, "strategy"_a = w.strategy, "index"_a = w.index, "cost"_a = w.cost, "reason"_a = w.reason));
            return out;
          },
          "policy"_a, "now_ns"_a, "rows_total"_a = -1, "rows_matching"_a = -1)
      .def(
          "prepare",
          [](S& s, const Policy& policy, std::int64_t now_ns, const std::string& walk, const ArchiveNames& archives, const std::string& run_id) {
            std::vector<std::string> statements;
            s.with_purge(policy, now_ns, walk, [&](const pk_purge& purge) { statements = s.get().prepare(purge); }, archives, run_id);
            return statements;
          },
          "policy"_a, "now_ns"_a, "walk"_a, "archives"_a = ArchiveNames(), "run_id"_a = "")
      .def(
          "archive_find",
          [](S& s, const Policy& policy, const ArchiveNames& archives) {
            std::vector<sdk::ArchiveInfo> found;
            s.with_purge(policy, 0, "", [&](const pk_purge& purge) { found = s.get().archive_find(purge); }, archives);
            py::list out;
            for (const sdk::ArchiveInfo& a : found) {
              out.append(py::dict("state"_a = static_cast<int>(a.state), "can_create"_a = a.can_create, "can_write"_a = a.can_write, "problem"_a = a.problem, "ddl"_a = a.ddl,
                                  "grant_hint"_a = a.grant_hint));
            }
            return out;
          },
          "policy"_a, "archives"_a)
      .def(
          "archive_create", [](S& s, const Policy& policy, const ArchiveNames& archives) { s.with_purge(policy, 0, "", [&](const pk_purge& purge) { s.get().archive_create(purge); }, archives); },
          "policy"_a, "archives"_a)
      .def(
          "restore_next",
          [](S& s, const std::string& table, const std::pair<std::string, std::string>& archive, const std::string& run_id, std::int64_t after, std::uint32_t conflict,
             std::uint32_t lock_wait_ms) {
            sdk::Restored r;
            s.released([&] {
              const sdk::Table t = s.get().describe(parse_table_name(table));
              r = s.get().restore_next({sdk::to_text(t.schema), sdk::to_text(t.name), {sdk::to_text(archive.first), sdk::to_text(archive.second), nullptr, 0, 0, {}}, sdk::to_text(run_id), nullptr,
                                        conflict, lock_wait_ms},
                                       after);
            });
            return py::dict("chunk"_a = r.chunk, "rows_restored"_a = r.rows_restored, "rows_skipped"_a = r.rows_skipped, "done"_a = r.done);
          },
          "table"_a, "archive"_a, "run_id"_a, "after"_a = 0, "conflict"_a = 0, "lock_wait_ms"_a = 1'000)
      .def("lock_run", [](S& s, const std::string& key) { s.released([&] { s.get().lock_run(key); }); }, "key"_a)
      .def("unlock_run", [](S& s, const std::string& key) { s.released([&] { s.get().unlock_run(key); }); }, "key"_a)
      .def(
          "ledger_find",
          [](S& s, const std::string& name) {
            sdk::Ledger l;
            s.released([&] { l = s.get().ledger_find(parse_table_name(name)); });
            return py::dict("state"_a = static_cast<int>(l.state), "can_create"_a = l.can_create, "can_write"_a = l.can_write, "ddl"_a = l.ddl, "grant_hint"_a = l.grant_hint);
          },
          "name"_a)
      .def("ledger_create", [](S& s) { s.released([&] { s.get().ledger_create(); }); })
      .def(
          "note_write",
          [](S& s, const std::string& kind, const std::string& id, const std::string& document) { s.released([&] { s.get().note_write(kind, {id, document}); }); },
          "kind"_a, "id"_a, "document"_a)
      .def(
          "note_delete", [](S& s, const std::string& kind, const std::string& id) { s.released([&] { s.get().note_delete(kind, id); }); }, "kind"_a, "id"_a)
      .def(
          "note_list",
          [](S& s, const std::string& kind) {
            std::vector<sdk::RunRecord> notes;
            s.released([&] { notes = s.get().note_list(kind); });
            return from_records(notes);
          },
          "kind"_a)
      .def(
          "note_add",
          [](S& s, const std::string& kind, const std::string& id, const std::string& document) { s.released([&] { s.get().note_add(kind, {id, document}); }); },
          "kind"_a, "id"_a, "document"_a)
      .def(
          "note_page",
          [](S& s, const std::string& kind, const std::string& prefix, const std::string& after, std::size_t most) {
            std::vector<sdk::RunRecord> notes;
            s.released([&] { notes = s.get().note_page(kind, prefix, after, most); });
            return from_records(notes);
          },
          "kind"_a, "prefix"_a, "after"_a, "most"_a)
      .def(
          "slot_lock",
          [](S& s, const std::string& key, std::uint32_t wait_ms) {
            sdk::Slot slot;
            s.released([&] { slot = s.get().slot_lock(key, wait_ms); });
            return from_slot(slot);
          },
          "key"_a, "wait_ms"_a)
      .def(
          "slot_write",
          [](S& s, const py::dict& slot) {
            const sdk::Slot value = to_slot(slot);
            s.released([&] { s.get().slot_write(value); });
          },
          "slot"_a)
      .def(
          "begin", [](S& s, const std::string& key, std::int64_t epoch, std::int64_t seq) { s.released([&] { s.get().begin(key, epoch, seq); }); }, "key"_a = "", "epoch"_a = 0, "seq"_a = 0)
      .def(
          "delete_range",
          [](S& s, const std::string& cursor, std::int64_t max_rows, std::uint32_t lock_wait_ms, std::int64_t chunk, const std::string& until,
             std::uint32_t window_ms) {
            sdk::Deleted d;
            s.released([&] { d = s.get().delete_range({cursor, max_rows, lock_wait_ms, chunk, until, window_ms}); });
            return py::dict("rows_deleted"_a = d.rows_deleted, "rows_visited"_a = d.rows_visited, "cursor"_a = d.cursor, "done"_a = d.done, "share_done"_a = d.share_done);
          },
          "cursor"_a, "max_rows"_a, "lock_wait_ms"_a = 1'000, "chunk"_a = 1, "until"_a = "", "window_ms"_a = 0)
      .def(
          "split",
          [](S& s, std::size_t parts) {
            std::vector<std::string> cuts;
            s.released([&] { cuts = s.get().split(parts); });
            return cuts;
          },
          "parts"_a)
      .def("pressure",
           [](S& s) {
             std::vector<sdk::Signal> signals;
             s.released([&] { signals = s.get().pressure(); });
             py::list out;
             for (const sdk::Signal& signal : signals) out.append(py::dict("name"_a = signal.name, "value"_a = signal.value, "limit"_a = signal.limit, "shared_chunk_ms"_a = signal.shared_chunk_ms));
             return out;
           })
      .def(
          "fence", [](S& s, const std::string& key, std::int64_t epoch, std::int64_t seq) { s.released([&] { s.get().fence(key, epoch, seq); }); }, "key"_a, "epoch"_a, "seq"_a)
      .def(
          "delete_children",
          [](S& s, std::size_t index) {
            std::int64_t rows = 0;
            s.released([&] { rows = s.get().delete_children(index); });
            return rows;
          },
          "index"_a)
      .def(
          "space",
          [](S& s, const Policy& policy) {
            sdk::Space v;
            s.with_purge(policy, 0, "", [&](const pk_purge& purge) { v = s.get().space(purge); });
            return py::dict("bytes"_a = v.bytes, "reusable_bytes"_a = v.reusable_bytes, "dead_bytes"_a = v.dead_bytes, "needed_bytes"_a = v.needed_bytes,
                            "free_bytes"_a = v.free_bytes, "advice"_a = v.advice);
          },
          "policy"_a)
      .def(
          "reclaim",
          [](S& s, const Policy& policy, const std::string& care) {
            if (care != "statistics" && care != "space") bad_policy("unknown care " + care);
            bool done = false;
            s.with_purge(policy, 0, "", [&](const pk_purge& purge) { done = s.get().reclaim(purge, care == "space" ? PK_CARE_SPACE : PK_CARE_STATISTICS); });
            return done;
          },
          "policy"_a, "care"_a)
      .def(
          "moves",
          [](S& s, const Policy& policy, std::int64_t now_ns, std::int64_t rows_total, std::int64_t rows_matching) {
            std::vector<sdk::Move> moves;
            s.with_purge(policy, now_ns, "", [&](const pk_purge& purge) { moves = s.get().moves(purge, rows_total, rows_matching); });
            py::list out;
            for (const sdk::Move& m : moves) {
              out.append(py::dict("id"_a = m.walk.id, "strategy"_a = m.walk.strategy, "reason"_a = m.walk.reason, "problem"_a = m.problem, "rows"_a = m.rows,
                                  "window_ms"_a = m.window_ms, "needed_bytes"_a = m.needed_bytes));
            }
            return out;
          },
          "policy"_a, "now_ns"_a, "rows_total"_a, "rows_matching"_a)
      .def(
          "measure",
          [](S& s, const std::string& sql, std::uint32_t timeout_ms) {
            sdk::Measure m;
            s.released([&] { m = s.get().measure(sql, timeout_ms); });
            return py::dict("elapsed_ms"_a = m.elapsed_ms, "value"_a = m.value);
          },
          "sql"_a, "timeout_ms"_a)
      .def("own_lag",
           [](S& s) {
             double lag_s = 0;
             s.released([&] { lag_s = s.get().own_lag(); });
             return lag_s;
           })
      .def(
          "checkpoint",
          [](S& s, const py::dict& slot) {
            const sdk::Slot value = to_slot(slot);
            s.released([&] { s.get().checkpoint(value); });
          },
          "slot"_a)
      .def("commit", [](S& s) { s.released([&] { s.get().commit(); }); })
      .def("rollback", [](S& s) { s.released([&] { s.get().rollback(); }); })
      .def("cancel", [](S& s) { s.released([&] { s.get().cancel(); }); })
      .def("close", &S::close);
}

}  // namespace purgekit::bindings
