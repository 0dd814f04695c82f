#include "values.hpp"

#include <string>
#include <utility>

#include "purgekit/sdk/time_text.hpp"

namespace purgekit::mysql {

using sdk::Value;

ByteStreams bind_all(sql::PreparedStatement& statement, const std::vector<Value>& params) {
  ByteStreams streams;
  unsigned index = 0;
  for (const Value& v : params) {
    ++index;
    switch (v.kind) {
      case PK_VALUE_NULL: statement.setNull(index, sql::DataType::SQLNULL); break;
      case PK_VALUE_INT:
      case PK_VALUE_BOOL: statement.setInt64(index, v.i64); break;
      case PK_VALUE_UINT: statement.setUInt64(index, static_cast<std::uint64_t>(v.i64)); break;
      case PK_VALUE_REAL: statement.setDouble(index, v.f64); break;
      case PK_VALUE_DECIMAL:
      case PK_VALUE_TEXT: statement.setString(index, sql::SQLString(v.text)); break;
      case PK_VALUE_BYTES:
        // A string parameter would be taken for UTF-8; only a blob is bytes on the server.
        streams.push_back(std::make_unique<std::istringstream>(v.text));
        statement.setBlob(index, streams.back().get());
        break;
      case PK_VALUE_INSTANT:
      case PK_VALUE_WALL: statement.setString(index, sql::SQLString(sdk::format_time(v.i64, 6))); break;
    }
  }
  return streams;
}

namespace {

std::string text_of(sql::ResultSet& result, unsigned column) {
  const sql::SQLString text = result.getString(column);
  return std::string(text.c_str(), text.length());
}

// How a column's values are read; found out once for all rows, because the connector looks it up in several places.
enum class Form { signed_number, unsigned_number, real, decimal, text, date, bytes, bits };

Form form_of(sql::ResultSetMetaData& meta, unsigned column) {
  switch (meta.getColumnType(column)) {
    case sql::DataType::TINYINT:
    case sql::DataType::SMALLINT:
    case sql::DataType::MEDIUMINT:
    case sql::DataType::INTEGER:
    case sql::DataType::BIGINT: return meta.isSigned(column) ? Form::signed_number : Form::unsigned_number;
    case sql::DataType::YEAR: return Form::signed_number;
    case sql::DataType::BIT: return Form::unsigned_number;
    case sql::DataType::REAL:
    case sql::DataType::DOUBLE: return Form::real;
    case sql::DataType::DECIMAL:
    case sql::DataType::NUMERIC: return Form::decimal;
    case sql::DataType::DATE:
    case sql::DataType::TIMESTAMP: return Form::date;
    case sql::DataType::BINARY:
    case sql::DataType::VARBINARY:
    case sql::DataType::LONGVARBINARY:
      // The connector takes some BIT columns for binary text.
      return std::string(meta.getColumnTypeName(column).c_str()) == "BIT" ? Form::bits : Form::bytes;
    default: return Form::text;
  }
}

Value bits_value(const std::string& bytes) {
  std::uint64_t bits = 0;
  for (const char c : bytes) bits = bits << 8 | static_cast<unsigned char>(c);
  return Value::unsigned_integer(bits);
}

// The connector writes the year 99 as two digits, which the server would read as 1999.
std::string with_whole_year(std::string date) {
  const std::size_t digits = date.find('-');
  if (digits < 4) date.insert(0, 4 - digits, '0');
  return date;
}

Value read_one(sql::ResultSet& result, unsigned column, Form form) {
  if (result.isNull(column)) return Value::null();
  switch (form) {
    case Form::signed_number: return Value::integer(result.getInt64(column));
    case Form::unsigned_number: return Value::unsigned_integer(result.getUInt64(column));
    case Form::real: return Value::real(static_cast<double>(result.getDouble(column)));
    case Form::decimal: return Value::decimal(text_of(result, column));
    case Form::bytes: return Value::bytes(text_of(result, column));
    case Form::bits: return bits_value(text_of(result, column));
    case Form::date: return Value::string(with_whole_year(text_of(result, column)));
    case Form::text: break;
  }
  return Value::string(text_of(result, column));
}

}  // namespace

void for_each_row(sql::ResultSet& result, const std::function<void(sdk::Row)>& visit) {
  sql::ResultSetMetaData& meta = *result.getMetaData();
  std::vector<Form> forms;
  for (unsigned column = 1; column <= meta.getColumnCount(); ++column) forms.push_back(form_of(meta, column));
  while (result.next()) {
    sdk::Row row;
    row.reserve(forms.size());
    for (unsigned column = 1; column <= forms.size(); ++column) row.push_back(read_one(result, column, forms[column - 1]));
    visit(std::move(row));
  }
}

}  // namespace purgekit::mysql
