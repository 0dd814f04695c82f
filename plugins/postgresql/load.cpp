// Rows out of an archive file, by COPY. A statement with a parameter for each value would take the server longer to read than to carry out.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Value;

namespace {

// In COPY's text format.
void add_escaped(std::string& out, std::string_view text) {
  for (std::size_t from = 0;;) {
    const std::size_t special = text.find_first_of("\\\n\r\t", from);
    out += text.substr(from, special - from);
    if (special == std::string_view::npos) return;
    out += '\\';
    out += text[special] == '\n' ? 'n' : text[special] == '\r' ? 'r' : text[special] == '\t' ? 't' : '\\';
    from = special + 1;
  }
}

void add_field(std::string& out, const pk_value& value) {
  switch (value.kind) {
    case PK_VALUE_NULL: out += "\\N"; return;
    case PK_VALUE_BYTES:
      out += "\\\\x";
      add_hex(out, sdk::to_view(value.text));
      return;
    case PK_VALUE_TEXT:
    case PK_VALUE_DECIMAL: add_escaped(out, sdk::to_view(value.text)); return;
    default: add_escaped(out, *to_param(Value::from_c(value)));
  }
}

// One element of an array literal.
void add_element(std::string& out, const pk_value& value) {
  if (out.size() > 1) out += ',';
  const Param text = to_param(Value::from_c(value));
  if (!text) {
    out += "NULL";
    return;
  }
  out += '"';
  for (const char c : *text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

void require_no_nul(const sdk::Load& load) {
  for (std::size_t at = 0; at < load.rows * load.columns.size(); ++at) {
    const pk_value& value = load.values[at];
    if ((value.kind != PK_VALUE_TEXT && value.kind != PK_VALUE_DECIMAL) || sdk::to_view(value.text).find('\0') == std::string_view::npos) continue;
    throw Error(PK_DATA, "a text of column " + load.columns[at % load.columns.size()].name + " holds a NUL character, which PostgreSQL can't store; nothing of its chunk was loaded");
  }
}

bool has_money(const sdk::Load& load) {
  return std::any_of(load.columns.begin(), load.columns.end(), [](const sdk::Column& column) { return column.type_name == "money"; });
}

}  // namespace

// The number of an amount of money is what was kept (see for_sink): as money it reads as another one where the server's locale has a
// decimal comma, and COPY knows no casts. So each column is an array of texts.
std::int64_t PgConnection::insert_arrays(const sdk::Load& load) {
  const std::size_t width = load.columns.size();
  std::string text = "INSERT INTO " + sdk::qualified(dialect_, load.archive.schema, load.archive.table) + " " + sdk::load_columns(dialect_, load) + " SELECT ";
  std::string arrays;
  std::string names;
  std::vector<Value> params;
  params.reserve(width + 3);
  for (std::size_t i = 0; i < width; ++i) {
    const sdk::Column& column = load.columns[i];
    const std::string number = std::to_string(i + 1);
    text += "c" + number + (column.type_name == "money" ? "::numeric" : "") + "::" + column.type_name + ", ";
    arrays += (i == 0 ? "pg_catalog.unnest($" : ", pg_catalog.unnest($") + number + "::text[])";
    names += (i == 0 ? "c" : ", c") + number;
    std::string elements = "{";
    for (std::size_t row = 0; row < load.rows; ++row) add_element(elements, sdk::load_row(load, row)[i]);
    params.push_back(Value::string(elements + "}"));
  }
  text += "$" + std::to_string(width + 1) + "::text, $" + std::to_string(width + 2) + "::bigint, $" + std::to_string(width + 3) + "::timestamptz FROM ROWS FROM (" + arrays + ") AS t(" + names + ")";
  params.push_back(Value::string(load.run_id));
  params.push_back(Value::integer(load.chunk));
  params.push_back(dialect_.archive_instant_value(load.archived_ns));
  return execute(text, params);
}

std::int64_t PgConnection::copy_rows(const sdk::Load& load) {
  const std::string target = sdk::qualified(dialect_, load.archive.schema, load.archive.table);
  std::string marks;
  for (const Value& mark : {Value::string(load.run_id), Value::integer(load.chunk), dialect_.archive_instant_value(load.archived_ns)}) {
    marks += '\t';
    add_escaped(marks, *to_param(mark));
  }
  marks += '\n';
  return line_.copy_in("COPY " + target + " " + sdk::load_columns(dialect_, load) + " FROM STDIN", load.rows, [&](std::string& out, std::size_t row) {
    for (std::size_t i = 0; i < load.columns.size(); ++i) {
      if (i > 0) out += '\t';
      add_field(out, sdk::load_row(load, row)[i]);
    }
    out += marks;
  });
}

void PgConnection::insert_rows(const sdk::Load& load) {
  require_no_nul(load);
  const std::int64_t stored = has_money(load) ? insert_arrays(load) : copy_rows(load);
  if (stored != static_cast<std::int64_t>(load.rows)) {
    throw Error(PK_TRIGGER, "of " + std::to_string(load.rows) + " rows the archive table " + load.archive.table + " took " + std::to_string(stored) + ": a rule or trigger is in the way; nothing of their chunk was loaded");
  }
}

}  // namespace purgekit::postgresql
