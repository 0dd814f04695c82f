#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <optional>

#include "convert.hpp"
#include "purgekit/error.hpp"
#include "purgekit/flight.hpp"
#include "purgekit/hold.hpp"
#include "purgekit/keys.hpp"
#include "purgekit/planner.hpp"
#include "purgekit/registry.hpp"
#include "purgekit/restore.hpp"
#include "purgekit/runner.hpp"
#include "purgekit/session.hpp"

namespace purgekit::bindings {
namespace {

// Dicts as Connection.restore takes them.
std::vector<FileTable> to_files(const py::sequence& files) {
  std::vector<FileTable> out;
  out.reserve(files.size());
  for (const py::handle item : files) {
    const auto given = py::reinterpret_borrow<py::dict>(item);
    FileTable& table = out.emplace_back();
    table.table = given["table"].cast<std::string>();
    table.policies = given["policies"].cast<std::vector<std::string>>();
    for (const py::handle column : given["columns"]) {
      auto [name, type_name, kind] = column.cast<std::tuple<std::string, std::string, int>>();
      table.columns.push_back({std::move(name), std::move(type_name), static_cast<pk_column_kind>(kind), true});
    }
    for (const py::handle chunk : given["chunks"]) {
      const auto facts = py::reinterpret_borrow<py::dict>(chunk);
      const auto number = [&](const char* key) { return facts[key].cast<std::int64_t>(); };
      table.chunks.push_back({facts["path"].cast<std::string>(), number("number"), number("begin"), number("end"), number("rows"), number("bytes"), facts["sha256"].cast<std::string>(),
                              number("archived_ns")});
    }
  }
  return out;
}

/// One session with its URL parts. Calls are serial: the mutex is taken after the GIL is released, never the other way round.
class Connection {
 public:
  Connection(const std::string& backend, sdk::ConnectParams params)
      : backend_(backend), params_(std::move(params)), session_(std::make_shared<Session>(backend_named(backend))) {
    const std::shared_ptr<Session> session = session_;
    run_interruptible([&](Caller&) { connect(*session); }, [&] { session->cancel(); });
  }

  const std::string& backend() const { return backend_; }

  py::dict server() {
    sdk::Server server;
    with_session([&](Session& s, Caller&) { server = s.inspect(); });
    return from_server(server);
  }

  Plan plan(const std::vector<Policy>& policies, const PlanOptions& options) {
    Plan plan;
    with_session([&](Session& s, Caller&) { plan = make_plan(s, policies, options); });
    return plan;
  }

  std::string run(const Plan& plan, RunOptions options, const std::shared_ptr<RunControl>& control, const py::object& on_progress, const py::object& pacer, const py::object& on_purge) {
    const auto flight = std::make_shared<FlightRecorder>();
    flight_ = flight;
    last_report_.clear();
    Report report;
    std::optional<py::error_already_set> callback_error;
    std::mutex one_call;  // workers ask the pacer side by side
    with_session(
        [&](Session& s, Caller& caller) {
          ProgressSink sink;
          if (!on_progress.is_none()) {
            sink = [&](const Progress& p) {
              const std::scoped_lock lock(one_call);
              caller.run([&] {
                if (callback_error) return;
                try {
                  on_progress(progress_dict(p));
                } catch (py::error_already_set& e) {
                  callback_error.emplace(e);
                  control->stop("on_progress raised");
                }
              });
            };
          }
          if (options.watching && !on_purge.is_none()) {
            options.watching->on_purge = [&](const WatchEvent& event) {
              const std::scoped_lock lock(one_call);
              caller.run([&] {
                if (callback_error) return;
                try {
                  on_purge(purge_dict(event));
                } catch (py::error_already_set& e) {
                  callback_error.emplace(e);
                  control->stop("on_purge raised");
                }
              });
            };
          }
          if (!pacer.is_none()) {
            options.pacer = [&](const PaceFacts& facts) {
              double wait_s = 0;
              std::string problem;
              const std::scoped_lock lock(one_call);
              caller.run([&] { problem = asked(pacer, facts, wait_s); });
              if (!problem.empty()) throw std::runtime_error(problem);
              return wait_s;
            };
          }
          report = run_plan(s, params_, plan, options, *control, sink, *flight);
          last_report_ = report.to_json();
        },
        [&] { control->stop("signal"); });
    if (callback_error) throw py::error_already_set(*callback_error);
    return last_report_;
  }

  /// What the last run did, also when it ended by an exception: (report or nothing, flight record or nothing), as JSON.
  std::pair<std::string, std::string> last_run() const { return {last_report_, flight_ ? flight_->to_json() : ""}; }

  std::string history(const std::string& ledger) {
    std::string json;
    with_session([&](Session& s, Caller&) { json = ledger_history(s, ledger); });
    return json;
  }

  py::list evidence(const std::string& run_id, const std::string& ledger) {
    std::vector<sdk::RunRecord> links;
    with_session([&](Session& s, Caller&) { links = ledger_evidence(s, ledger, run_id); });
    // Whoever changed one may have put any bytes there.
    const auto text = [](const std::string& bytes) {
      PyObject* decoded = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
      if (decoded == nullptr) throw py::error_already_set();
      return py::reinterpret_steal<py::str>(decoded);
    };
    py::list out;
    for (const sdk::RunRecord& link : links) out.append(py::make_tuple(text(link.id), text(link.document)));
    return out;
  }

  std::string hold_add(const HoldRequest& request) {
    std::string json;
    with_session([&](Session& s, Caller&) { json = purgekit::hold_add(s, request); });
    return json;
  }

  std::string hold_list(const std::string& ledger) {
    std::string json;
    with_session([&](Session& s, Caller&) { json = purgekit::hold_list(s, ledger); });
    return json;
  }

  std::string hold_release(const std::string& ledger, const std::string& id) {
    std::string json;
    with_session([&](Session& s, Caller&) { json = purgekit::hold_release(s, ledger, id); });
    return json;
  }

  std::string archive_places(const std::string& run_id, const std::string& ledger) {
    std::string json;
    with_session([&](Session& s, Caller&) { json = purgekit::archive_places(s, ledger, run_id); });
    return json;
  }

  std::string restore(const RestoreOptions& options, const std::shared_ptr<RunControl>& control, const py::object& on_progress) {
    std::string json;
    std::optional<py::error_already_set> callback_error;
    with_session(
        [&](Session& s, Caller& caller) {
          RestoreSink sink;
          if (!on_progress.is_none()) {
            sink = [&](const RestoredTable& t, double elapsed_s) {
              caller.run([&] {
                using namespace py::literals;
                try {
                  if (!callback_error) on_progress(py::dict("table"_a = t.table, "rows_restored"_a = t.rows_restored, "rows_skipped"_a = t.rows_skipped, "rows_loaded"_a = t.rows_loaded, "elapsed_s"_a = elapsed_s));
                } catch (py::error_already_set& e) {
                  callback_error.emplace(e);
                  control->stop("on_progress raised");
                }
              });
            };
          }
          json = run_restore(s, params_, options, *control, sink).to_json();
        },
        [&] { control->stop("signal"); });
    if (callback_error) throw py::error_already_set(*callback_error);
    return json;
  }

  std::shared_ptr<KeyPurge> key_purge(const Policy& policy, const KeyPurgeOptions& options) {
    std::shared_ptr<KeyPurge> out;
    with_session([&](Session& s, Caller&) { out = std::make_shared<KeyPurge>(s, params_, policy, options); });
    return out;
  }

  /// On the calling thread: another one would cost more than the deletion.
  KeyPurgeResult purge_keys(KeyPurge& purge, const std::vector<std::vector<Value>>& keys) {
    const std::shared_ptr<Session> session = session_;
    if (!session) throw_closed();
    const py::gil_scoped_release release;
    const std::scoped_lock lock(mutex_);
    return purge.purge(keys, ledger_in_use_);
  }

  void cancel() {
    const std::shared_ptr<Session> session = session_;
    if (session) session->cancel();
  }

  void close() {
    std::shared_ptr<Session> session = std::move(session_);
    session_.reset();
    const py::gil_scoped_release release;
    const std::scoped_lock lock(mutex_);
    session.reset();
  }

 private:
  void connect(Session& session) {
    try {
      session.connect(params_);
    } catch (const sdk::Error& e) {
      // Whatever went wrong while connecting, nothing was changed and the way in is what to look at.
      throw EngineError(ErrorKind::connection, sdk::code_name(e.code()), e.message());
    }
  }

  void with_session(const std::function<void(Session&, Caller&)>& work, const std::function<void()>& on_signal = {}) {
    const std::shared_ptr<Session> session = session_;
    if (!session) throw_closed();
    run_interruptible(
        [&](Caller& caller) {
          const std::scoped_lock lock(mutex_);
          ledger_in_use_.clear();
          work(*session, caller);
        },
        [&] {
          if (on_signal) {
            on_signal();
          } else {
            session->cancel();
          }
        });
  }

  [[noreturn]] static void throw_closed() { throw EngineError(ErrorKind::connection, "closed", "this connection is closed"); }

  // What the pacer says; what it raised, or nothing.
  static std::string asked(const py::object& pacer, const PaceFacts& facts, double& wait_s) {
    using namespace py::literals;
    py::dict signals;
    for (const sdk::Signal& s : facts.signals) signals[py::str(s.name)] = s.value;
    try {
      const py::object answer = pacer(py::dict("policy"_a = facts.policy, "table"_a = facts.table, "rows"_a = facts.rows, "elapsed_ms"_a = facts.elapsed_ms, "signals"_a = signals));
      if (!answer.is_none()) wait_s = py::float_(answer).cast<double>();
      return "";
    } catch (const std::exception& raised) {
      const std::string text = raised.what();
      return text.substr(0, text.find('\n'));
    }
  }

  static py::dict purge_dict(const WatchEvent& event) {
    using namespace py::literals;
    py::list tables;
    for (const TableCount& t : event.tables) tables.append(py::dict("table"_a = t.table, "rows_deleted"_a = t.rows_deleted, "rows_archived"_a = t.rows_archived));
    return py::dict("policy"_a = event.policy, "run_id"_a = event.run_id, "tables"_a = tables, "rows_blocked"_a = event.rows_blocked, "elapsed_ms"_a = event.elapsed_ms);
  }

  static py::dict progress_dict(const Progress& p) {
    using namespace py::literals;
    return py::dict("policy"_a = p.policy, "table"_a = p.table, "pass"_a = p.pass, "rows_deleted"_a = p.rows_deleted, "rows_total_deleted"_a = p.rows_total_deleted,
                    "rows_purgeable"_a = p.rows_purgeable, "share_done"_a = p.share_done, "chunk_ms"_a = p.chunk_ms, "chunk_rows"_a = p.chunk_rows,
                    "rows_per_s"_a = p.rows_per_s, "eta_s"_a = p.eta_s, "elapsed_s"_a = p.elapsed_s, "waiting"_a = p.waiting);
  }

  std::string backend_;
  sdk::ConnectParams params_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<FlightRecorder> flight_;  // of the last run
  std::string last_report_;
  std::string ledger_in_use_;  // by a purge by keys, since when nobody else has used the session
  std::mutex mutex_;
};

Reclaim to_reclaim(const std::string& word) {
  if (word == "none") return Reclaim::none;
  if (word == "statistics") return Reclaim::statistics;
  if (word == "space") return Reclaim::space;
  bad_policy("unknown reclaim " + word + did_you_mean(word, {"none", "statistics", "space"}));
}

pk_conflict to_conflict(const std::string& word) {
  if (word == "refuse") return PK_CONFLICT_REFUSE;
  if (word == "skip") return PK_CONFLICT_SKIP;
  if (word == "replace") return PK_CONFLICT_REPLACE;
  bad_policy("unknown on-conflict " + word + did_you_mean(word, {"refuse", "skip", "replace"}));
}

Zones to_zones(const py::object& object) {
  Zones zones;
  if (object.is_none()) return zones;
  for (const auto& [name, steps] : object.cast<std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>>>()) {
    for (const auto& [from, offset] : steps) zones[name].push_back({from, offset});
  }
  return zones;
}

}  // namespace

void bind_connection(py::module_& module) {
  using namespace py::literals;
  py::class_<RunControl, std::shared_ptr<RunControl>>(module, "RunControl", py::is_final())
      .def(py::init<>())
      .def("stop", &RunControl::stop, "reason"_a = "stopped", py::call_guard<py::gil_scoped_release>())
      .def("cancel", &RunControl::cancel, py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("stopping", &RunControl::stopping)
      .def_property("paused", &RunControl::paused, &RunControl::set_paused)
      .def_property("chunk_ms", &RunControl::chunk_ms, &RunControl::set_chunk_ms);

  py::class_<Plan>(module, "Plan", py::is_final())
      .def("to_json", &Plan::to_json)
      .def_property_readonly("identity", [](const Plan& plan) { return plan.server.identity; })
      .def_property_readonly("fingerprints",
                             [](const Plan& plan) {
                               std::vector<std::string> out;
                               for (const PolicyPlan& p : plan.policies) out.push_back(p.skipped ? "" : fingerprint(p.table));
                               return out;
                             })
      .def_property_readonly("policies", [](const Plan& plan) {
        std::vector<Policy> out;
        for (const PolicyPlan& p : plan.policies) out.push_back(p.policy);
        return out;
      });

  py::class_<KeyPurge, std::shared_ptr<KeyPurge>>(module, "KeyPurge", py::is_final())
      .def_property_readonly("table", &KeyPurge::table)
      .def_property_readonly("run_id", &KeyPurge::run_id);

  py::class_<Connection>(module, "Connection", py::is_final())
      .def(py::init([](const std::string& backend, const py::kwargs& parameters) { return std::make_unique<Connection>(backend, to_connect_params(parameters)); }), "backend"_a)
      .def_property_readonly("backend", &Connection::backend)
      .def("server", &Connection::server)
      .def(
          "plan",
          [](Connection& c, const std::vector<Policy>& policies, std::optional<std::int64_t> now_ns, bool exact, std::int64_t count_budget_ms, bool /*accept_clock*/,
             std::optional<double> max_fraction, std::int64_t chunk_rows, const py::object& zones, const std::optional<std::string>& archive, bool rehearse, double chunk_ms,
             const std::string& ledger, std::size_t sample, bool unmask) {
            return c.plan(policies, PlanOptions{now_ns, exact, count_budget_ms, max_fraction, chunk_rows, to_zones(zones), archive.value_or(""), rehearse, chunk_ms, ledger, sample, unmask});
          },
          "policies"_a, py::kw_only(), "now_ns"_a = py::none(), "exact"_a = false, "count_budget_ms"_a = 2'000, "accept_clock"_a = false, "max_fraction"_a = py::none(),
          "chunk_rows"_a = 1'000, "zones"_a = py::none(), "archive"_a = py::none(), "rehearse"_a = false, "chunk_ms"_a = 100.0, "ledger"_a = "purgekit_ledger", "sample"_a = 0, "unmask"_a = false)
      .def(
          "run",
          [](Connection& c, const Plan& plan, const std::string& run_id, const std::string& ledger, const std::shared_ptr<RunControl>& control, const py::object& on_progress, double chunk_ms,
             const std::string& pace, std::optional<std::int64_t> max_rows, std::optional<double> max_rows_per_s, std::optional<double> deadline_s, std::optional<double> max_replica_lag_s,
             std::uint32_t lock_wait_ms, const std::string& stop_file, std::optional<double> max_fraction, bool accept_clock, const std::vector<std::string>& policy_hashes,
             std::size_t workers, const std::string& reclaim, const py::object& pacer, const std::string& probe_sql, std::optional<double> probe_limit_ms,
             const std::vector<std::pair<std::string, py::dict>>& replicas, const std::string& lag_sql, const py::bytes& evidence_key, const std::string& evidence_plan,
             const std::string& evidence_approval, std::optional<double> watch_interval_s, double watch_session_s, bool accept_scan, const std::string& watch_archive,
             const py::object& on_purge) {
            if (pace != "gentle" && pace != "fast") bad_policy("unknown pace " + pace + did_you_mean(pace, {"gentle", "fast"}));
            RunOptions options{run_id,    ledger,       chunk_ms,     pace == "gentle", max_rows,    max_rows_per_s, deadline_s, max_replica_lag_s,
                                     lock_wait_ms, stop_file, max_fraction, accept_clock,     policy_hashes, workers, to_reclaim(reclaim)};
            options.probe_sql = probe_sql;
            options.probe_limit_ms = probe_limit_ms;
            for (const auto& [name, parameters] : replicas) options.replicas.push_back({name, to_connect_params(py::reinterpret_borrow<py::kwargs>(parameters))});
            options.lag_sql = lag_sql;
            options.evidence_key = evidence_key;
            options.evidence_plan = evidence_plan;
            options.evidence_approval = evidence_approval;
            if (watch_interval_s) options.watching = WatchOptions{*watch_interval_s, watch_session_s, accept_scan, watch_archive};
            return c.run(plan, options, control ? control : std::make_shared<RunControl>(), on_progress, pacer, on_purge);
          },
          "plan"_a, py::kw_only(), "run_id"_a, "ledger"_a = "purgekit_ledger", "control"_a = py::none(), "on_progress"_a = py::none(), "chunk_ms"_a = 100.0, "pace"_a = "gentle",
          "max_rows"_a = py::none(), "max_rows_per_s"_a = py::none(), "deadline_s"_a = py::none(), "max_replica_lag_s"_a = py::none(), "lock_wait_ms"_a = 1'000, "stop_file"_a = "",
          "max_fraction"_a = py::none(), "accept_clock"_a = false, "policy_hashes"_a = std::vector<std::string>(), "workers"_a = 1, "reclaim"_a = "none", "pacer"_a = py::none(),
          "probe_sql"_a = "", "probe_limit_ms"_a = py::none(), "replicas"_a = py::list(), "lag_sql"_a = "", "evidence_key"_a = py::bytes(), "evidence_plan"_a = "", "evidence_approval"_a = "",
          "watch_interval_s"_a = py::none(), "watch_session_s"_a = 86'400.0, "accept_scan"_a = false, "watch_archive"_a = "", "on_purge"_a = py::none())
      .def(
          "restore",
          [](Connection& c, const std::string& restored_run_id, const std::string& run_id, const std::string& ledger, const std::vector<std::string>& policies,
             const std::vector<std::string>& tables, const std::vector<std::pair<std::string, py::object>>& where, std::optional<std::int64_t> since_ns,
             std::optional<std::int64_t> until_ns, const std::string& on_conflict, bool hold, std::uint32_t lock_wait_ms, const std::shared_ptr<RunControl>& control,
             const py::object& on_progress, const py::sequence& files) {
            RestoreOptions options{run_id, restored_run_id, ledger, policies, tables, {}, since_ns, until_ns, to_conflict(on_conflict), hold, lock_wait_ms, to_files(files)};
            for (const auto& [column, value] : where) options.where.emplace_back(column, to_value(value));
            return c.restore(options, control ? control : std::make_shared<RunControl>(), on_progress);
          },
          "restored_run_id"_a, py::kw_only(), "run_id"_a, "ledger"_a = "purgekit_ledger", "policies"_a = std::vector<std::string>(), "tables"_a = std::vector<std::string>(),
          "where"_a = py::list(), "since_ns"_a = py::none(), "until_ns"_a = py::none(), "on_conflict"_a = "refuse", "hold"_a = true, "lock_wait_ms"_a = 1'000,
          "control"_a = py::none(), "on_progress"_a = py::none(), "files"_a = py::tuple())
      .def("archive_places", &Connection::archive_places, "run_id"_a, py::kw_only(), "ledger"_a = "purgekit_ledger")
      .def("last_run", &Connection::last_run)
      .def("history", &Connection::history, "ledger"_a = "purgekit_ledger")
      .def("evidence", &Connection::evidence, "run_id"_a, "ledger"_a = "purgekit_ledger")
      .def(
          "hold_add",
          [](Connection& c, const std::string& table, const std::optional<Predicate>& rule, const py::sequence& keys, const std::vector<std::string>& key_columns, bool typed_as_text,
             const std::string& reason, const std::string& by, const std::string& ledger, double wait_s) {
            HoldRequest request{ledger, table, rule, key_columns, {}, typed_as_text, reason, by, wait_s};
            for (const py::handle key : keys) {
              std::vector<Value> values;
              for (const py::handle value : py::reinterpret_borrow<py::sequence>(key)) values.push_back(to_value(value));
              request.keys.push_back(std::move(values));
            }
            return c.hold_add(request);
          },
          "table"_a, py::kw_only(), "rule"_a = py::none(), "keys"_a = py::tuple(), "key_columns"_a = std::vector<std::string>(), "typed_as_text"_a = false, "reason"_a = "", "by"_a = "",
          "ledger"_a = "purgekit_ledger", "wait_s"_a = 60.0)
      .def("hold_list", &Connection::hold_list, "ledger"_a = "purgekit_ledger")
      .def("hold_release", &Connection::hold_release, "ledger"_a, "id"_a)
      .def(
          "key_purge",
          [](Connection& c, const Policy& policy, const std::string& run_id, const std::string& ledger, const std::string& archive, bool keeps_rows, bool accept_clock,
             const py::object& zones, const std::string& policy_hash) {
            return c.key_purge(policy, {run_id, ledger, archive, keeps_rows, accept_clock, to_zones(zones), policy_hash});
          },
          "policy"_a, py::kw_only(), "run_id"_a, "ledger"_a = "purgekit_ledger", "archive"_a = "", "keeps_rows"_a = true, "accept_clock"_a = false, "zones"_a = py::none(),
          "policy_hash"_a = "", py::keep_alive<0, 1>())
      .def(
          "purge_keys",
          [](Connection& c, KeyPurge& purge, const py::sequence& keys) {
            std::vector<std::vector<Value>> rows;
            rows.reserve(keys.size());
            for (const py::handle key : keys) {
              std::vector<Value>& row = rows.emplace_back();
              for (const py::handle value : py::reinterpret_borrow<py::sequence>(key)) row.push_back(to_value(value));
            }
            const KeyPurgeResult result = c.purge_keys(purge, rows);
            py::list tables;
            for (const TableCount& t : result.tables) tables.append(py::make_tuple(t.table, t.rows_deleted, t.rows_archived));
            return py::make_tuple(tables, result.elapsed_ms);
          },
          "purge"_a, "keys"_a)
      .def("cancel", &Connection::cancel, py::call_guard<py::gil_scoped_release>())
      .def("close", &Connection::close);
}

}  // namespace purgekit::bindings
