#include "python_backend.hpp"

#include <pybind11/stl.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "purgekit/sdk/sql_connection.hpp"

namespace purgekit::bindings {
namespace {

using sdk::Error;
using sdk::Value;

pk_code code_from_name(const std::string& name) {
  for (int code = PK_OK; code <= PK_ARCHIVE_REFUSED; ++code) {
    if (name == sdk::code_name(static_cast<pk_code>(code))) return static_cast<pk_code>(code);
  }
  return PK_INTERNAL;
}

template <class T>
T item(const py::dict& d, const char* key, T fallback) {
  if (!d.contains(key) || d[key].is_none()) return fallback;
  return d[key].cast<T>();
}

/// A dialect as a Python backend describes it.
class PyDialect final : public sdk::Dialect {
 public:
  explicit PyDialect(const py::dict& d)
      : quote_(item<std::string>(d, "quote", "\"")),
        placeholder_(item<std::string>(d, "placeholder", "?")),
        null_safe_equal_(item<std::string>(d, "null_safe_equal", "")),
        for_update_(item<std::string>(d, "for_update", "")),
        insert_or_ignore_(item<std::pair<std::string, std::string>>(d, "insert_or_ignore", {"INSERT INTO ", ""})),
        has_returning_(item<bool>(d, "has_returning", false)),
        has_row_ranges_(item<bool>(d, "has_row_ranges", false)),
        text_times_(item<bool>(d, "text_times", false)),
        time_digits_(item<int>(d, "time_digits", 6)) {
    if (quote_.size() != 1) throw Error(PK_INVALID_ARGUMENT, "dialect quote must be one character");
  }

  std::string quote(std::string_view identifier) const override { return quote_with(identifier, quote_[0]); }
  std::string placeholder(std::size_t index) const override { return placeholder_ == ":1" ? ":" + std::to_string(index) : placeholder_; }
  std::string null_safe_equal(const std::string& a, const std::string& b) const override {
    if (null_safe_equal_.empty()) return Dialect::null_safe_equal(a, b);
    std::string out = null_safe_equal_;
    out.replace(out.find("{a}"), 3, a);
    out.replace(out.find("{b}"), 3, b);
    return out;
  }
  std::string for_update() const override { return for_update_; }
  std::pair<std::string, std::string> insert_or_ignore() const override { return insert_or_ignore_; }
  bool has_returning() const override { return has_returning_; }
  bool has_row_ranges() const override { return has_row_ranges_; }
  int time_digits() const override { return time_digits_; }
  void time_before(sdk::Sql& out, const std::string& column, const pk_node& node, bool negated) const override {
    if (node.storage != PK_STORED_TEXT || !text_times_) {
      Dialect::time_before(out, column, node, negated);
      return;
    }
    // Canonical texts in UTC sort as the instants do.
    out << column << (negated ? " >= " : " < ");
    out.bind(Value::string(sdk::format_time(round_up(node.wall_cutoff_ns), time_digits_)), node.column_kind);
  }

 private:
  std::string quote_;
  std::string placeholder_;
  std::string null_safe_equal_;
  std::string for_update_;
  std::pair<std::string, std::string> insert_or_ignore_;
  bool has_returning_;
  bool has_row_ranges_;
  bool text_times_;
  int time_digits_;
};

/// Keeps a Python object that may be dropped by any thread.
class Held {
 public:
  explicit Held(py::object object) : object_(std::move(object)) {}
  ~Held() {
    if (Py_IsInitialized() == 0) {
      object_.release();
      return;
    }
    try {
      const py::gil_scoped_acquire acquire;
      object_ = py::object();
    } catch (...) {  // an interpreter that is going away: what is left is its own
      object_.release();
    }
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  const py::object& get() const { return object_; }

 private:
  py::object object_;
};

class PyConnection final : public sdk::SqlConnection {
 public:
  PyConnection(py::object session, const py::dict& dialect) : session_(std::move(session)), dialect_(dialect) {}
  PyConnection(const PyConnection&) = delete;
  PyConnection& operator=(const PyConnection&) = delete;

  ~PyConnection() override {
    try {
      call([&] { session_.get().attr("close")(); });
    } catch (...) {
      // Closing can't be refused.
    }
  }

  void connect(const sdk::ConnectParams& p) override {
    forget_tables();
    call([&] {
      using namespace py::literals;
      py::dict options;
      for (const sdk::Option& o : p.options) options[py::str(o.key)] = o.value;
      session_.get().attr("connect")(py::dict("scheme"_a = p.scheme, "user"_a = p.user, "password"_a = p.password, "host"_a = p.host, "port"_a = p.port,
                                              "database"_a = p.database, "options"_a = options, "connect_timeout_ms"_a = p.connect_timeout_ms,
                                              "lock_wait_ms"_a = p.lock_wait_ms, "statement_timeout_ms"_a = p.statement_timeout_ms));
    });
  }

  void cancel() noexcept override {
    try {
      call([&] { session_.get().attr("cancel")(); });
    } catch (...) {
      // Best effort by contract.
    }
  }

  sdk::Server inspect() override {
    sdk::Server s;
    call([&] {
      const py::dict d = session_.get().attr("inspect")();
      s = {item<std::string>(d, "product", ""), item<std::string>(d, "version", ""), d["clock_utc_ns"].cast<std::int64_t>(), item<bool>(d, "read_only", false),
           item<bool>(d, "tls", false), item<bool>(d, "tls_verified", false), item<bool>(d, "loopback", false), item<std::string>(d, "database", ""),
           item<std::string>(d, "identity", ""), item<std::vector<std::string>>(d, "warnings", {})};
    });
    return s;
  }

  std::vector<std::string> tables(const sdk::TableName& name) override {
    std::vector<std::string> out;
    call([&] { out = to_strings(session_.get().attr("tables")(name.schema)); });
    return out;
  }

  double replica_lag() override {
    double lag_s = -1;
    call([&] {
      if (py::hasattr(session_.get(), "replica_lag")) {
        lag_s = session_.get().attr("replica_lag")().cast<double>();
      } else {
        throw Error(PK_NOT_SUPPORTED, "this backend does not tell the replica lag");
      }
    });
    return lag_s;
  }

 protected:
  const sdk::Dialect& dialect() const override { return dialect_; }

  std::int64_t execute(const std::string& text, const std::vector<Value>& params) override {
    std::int64_t rows = 0;
    call([&] { rows = session_.get().attr("execute")(text, to_list(params)).cast<std::int64_t>(); });
    return rows;
  }

  sdk::Rows query(const std::string& text, const std::vector<Value>& params) override {
    sdk::Rows rows;
    call([&] {
      for (const py::handle row : session_.get().attr("query")(text, to_list(params))) {
        sdk::Row values;
        for (const py::handle value : row) values.push_back(to_value(value));
        rows.push_back(std::move(values));
      }
    });
    return rows;
  }

  void begin_transaction() override { call([&] { session_.get().attr("begin")(); }); }
  void commit_transaction() override { call([&] { session_.get().attr("commit")(); }); }
  void rollback_transaction() override { call([&] { session_.get().attr("rollback")(); }); }
  void set_lock_wait(std::uint32_t wait_ms) override { call([&] { session_.get().attr("set_lock_wait")(wait_ms); }); }

  sdk::Table read_table(const sdk::TableName& name) override {
    sdk::Table t;
    call([&] { t = to_table(session_.get().attr("describe")(name.schema, name.name, name.schema_quoted, name.name_quoted)); });
    return t;
  }

 private:
  static py::list to_list(const std::vector<Value>& params) {
    py::list out;
    for (const Value& v : params) out.append(from_value(v));
    return out;
  }

  static sdk::Table to_table(const py::dict& d) {
    static const std::map<std::string, pk_column_kind> kinds = {
        {"other", PK_COLUMN_OTHER}, {"int", PK_COLUMN_INT}, {"uint", PK_COLUMN_UINT}, {"decimal", PK_COLUMN_DECIMAL}, {"real", PK_COLUMN_REAL}, {"bool", PK_COLUMN_BOOL},
        {"text", PK_COLUMN_TEXT}, {"bytes", PK_COLUMN_BYTES}, {"date", PK_COLUMN_DATE}, {"timestamp", PK_COLUMN_TIMESTAMP}, {"timestamp_zoned", PK_COLUMN_TIMESTAMP_ZONED},
        {"time", PK_COLUMN_TIME}, {"uuid", PK_COLUMN_UUID}, {"bit", PK_COLUMN_BIT}, {"any", PK_COLUMN_ANY}};
    static const std::map<std::string, pk_fk_action> actions = {{"restrict", PK_FK_RESTRICT}, {"cascade", PK_FK_CASCADE}, {"set_null", PK_FK_SET_NULL}, {"set_default", PK_FK_SET_DEFAULT}};
    sdk::Table t;
    t.schema = item<std::string>(d, "schema", "");
    t.name = d["name"].cast<std::string>();
    t.kind = item<std::string>(d, "kind", "table") == "view" ? PK_TABLE_VIEW : PK_TABLE_BASE;
    t.storage = item<std::string>(d, "storage", "");
    t.identity = item<std::string>(d, "identity", t.name);
    t.transactional = item<bool>(d, "transactional", true);
    for (const py::handle column : d["columns"]) {
      const py::dict c = py::reinterpret_borrow<py::dict>(column);
      const auto kind = kinds.find(item<std::string>(c, "kind", "other"));
      if (kind == kinds.end()) throw Error(PK_INVALID_ARGUMENT, "describe gave an unknown column kind");
      t.columns.push_back({c["name"].cast<std::string>(), item<std::string>(c, "type_name", ""), kind->second, item<bool>(c, "nullable", true)});
    }
    const auto position = [&](const std::string& name) {
      for (std::uint32_t i = 0; i < t.columns.size(); ++i) {
        if (t.columns[i].name == name) return i;
      }
      return sdk::Index::expression;
    };
    for (const std::string& name : item<std::vector<std::string>>(d, "key", {})) t.key.push_back(position(name));
    if (d.contains("indexes")) {
      for (const py::handle index : d["indexes"]) {
        const py::dict x = py::reinterpret_borrow<py::dict>(index);
        sdk::Index out{item<std::string>(x, "name", ""), {}, item<bool>(x, "unique", false), item<bool>(x, "partial", false)};
        for (const std::string& name : to_strings(x["columns"])) out.columns.push_back(position(name));
        t.indexes.push_back(std::move(out));
      }
    }
    if (d.contains("references")) {
      for (const py::handle reference : d["references"]) {
        const py::dict r = py::reinterpret_borrow<py::dict>(reference);
        const auto action = actions.find(item<std::string>(r, "action", "restrict"));
        if (action == actions.end()) throw Error(PK_INVALID_ARGUMENT, "describe gave an unknown reference action");
        t.references.push_back({item<std::string>(r, "name", ""), item<std::string>(r, "child_schema", ""), r["child_table"].cast<std::string>(), to_strings(r["child_columns"]),
                                to_strings(r["parent_columns"]), action->second, item<bool>(r, "child_indexed", false), item<bool>(r, "enforced", true)});
      }
    }
    t.delete_triggers = item<std::vector<std::string>>(d, "delete_triggers", {});
    t.rows_estimate = item<std::int64_t>(d, "rows_estimate", -1);
    t.bytes = item<std::int64_t>(d, "bytes", -1);
    t.index_bytes = item<std::int64_t>(d, "index_bytes", -1);
    return t;
  }

  // Takes the GIL for one call of the session; what Python raises is classified by the session itself.
  void call(const std::function<void()>& body) const {
    const py::gil_scoped_acquire acquire;
    try {
      body();
    } catch (py::error_already_set& raised) {
      throw classified(raised);
    }
  }

  Error classified(const py::error_already_set& raised) const {
    try {
      const py::tuple said = session_.get().attr("classify")(raised.value());
      Error error(code_from_name(said[0].cast<std::string>()), said[1].cast<std::string>());
      if (said.size() > 2 && !said[2].is_none()) error.sqlstate(said[2].cast<std::string>());
      if (said.size() > 3 && !said[3].is_none()) error.vendor_code(said[3].cast<int>());
      if (said.size() > 4 && !said[4].is_none()) error.constraint(said[4].cast<std::string>());
      return error;
    } catch (const std::exception&) {
      return Error(PK_INTERNAL, std::string("the Python backend raised ") + raised.what());
    }
  }

  Held session_;
  PyDialect dialect_;
};

class PyBackend final : public sdk::Backend {
 public:
  explicit PyBackend(py::object backend) : backend_(std::move(backend)) {}

  std::unique_ptr<sdk::Connection> open() override {
    const py::gil_scoped_acquire acquire;
    try {
      return std::make_unique<PyConnection>(backend_.get().attr("open")(), py::dict(backend_.get().attr("dialect")));
    } catch (const py::error_already_set& raised) {
      throw Error(PK_INTERNAL, std::string("the Python backend could not open a session: ") + raised.what());
    }
  }

 private:
  Held backend_;
};

}  // namespace

std::unique_ptr<sdk::Backend> make_python_backend(py::object backend) { return std::make_unique<PyBackend>(std::move(backend)); }

}  // namespace purgekit::bindings
