// Rows out of an archive file: one array of texts for each column, in one statement. A statement with a parameter for each value would
// take the server longer to read than to carry out.
#include <string>
#include <string_view>
#include <vector>

#include "connection.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::Value;

namespace {

void add_quoted(std::string& out, std::string_view text) {
  out += '"';
  if (text.find('"') == std::string_view::npos && text.find('\\') == std::string_view::npos) {
    out += text;
  } else {
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += '"';
}

// One element of an array literal.
void add_element(std::string& out, const pk_value& value, const sdk::Column& column) {
  if (out.size() > 1) out += ',';
  switch (value.kind) {
    case PK_VALUE_NULL: out += "NULL"; return;
    case PK_VALUE_TEXT:
    case PK_VALUE_DECIMAL: {
      const std::string_view text = sdk::to_view(value.text);
      if (text.find('\0') != std::string_view::npos) throw Error(PK_DATA, "a text of column " + column.name + " holds a NUL character, which PostgreSQL can't store; nothing of its chunk was loaded");
      add_quoted(out, text);
      return;
    }
    default: add_quoted(out, *to_param(Value::from_c(value)));
  }
}

}  // namespace

void PgConnection::insert_rows(const sdk::Load& load) {
  const std::size_t width = load.columns.size();
  std::string text = "INSERT INTO " + sdk::qualified(dialect_, load.archive.schema, load.archive.table) + " " + sdk::load_columns(dialect_, load) + " SELECT ";
  std::string arrays;
  std::string names;
  std::vector<Value> params;
  params.reserve(width + 3);
  for (std::size_t i = 0; i < width; ++i) {
    const sdk::Column& column = load.columns[i];
    const std::string number = std::to_string(i + 1);
    // See for_sink: of money the number is kept.
    text += "c" + number + (column.type_name == "money" ? "::numeric" : "") + "::" + column.type_name + ", ";
    arrays += (i == 0 ? "pg_catalog.unnest($" : ", pg_catalog.unnest($") + number + "::text[])";
    names += (i == 0 ? "c" : ", c") + number;
    std::string elements = "{";
    for (std::size_t row = 0; row < load.rows; ++row) add_element(elements, sdk::load_row(load, row)[i], column);
    params.push_back(Value::string(elements + "}"));
  }
  text += "$" + std::to_string(width + 1) + "::text, $" + std::to_string(width + 2) + "::bigint, $" + std::to_string(width + 3) + "::timestamptz FROM ROWS FROM (" + arrays + ") AS t(" + names + ")";
  params.push_back(Value::string(load.run_id));
  params.push_back(Value::integer(load.chunk));
  params.push_back(dialect_.archive_instant_value(load.archived_ns));
  const std::int64_t stored = execute(text, params);
  if (stored != static_cast<std::int64_t>(load.rows)) {
    throw Error(PK_TRIGGER, "of " + std::to_string(load.rows) + " rows the archive table " + load.archive.table + " took " + std::to_string(stored) + ": a rule or trigger is in the way; nothing of their chunk was loaded");
  }
}

}  // namespace purgekit::postgresql
