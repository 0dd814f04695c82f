#include "values.hpp"

#include <string>

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

Value read_one(sql::ResultSet& result, sql::ResultSetMetaData& meta, unsigned column) {
  if (result.isNull(column)) return Value::null();
  switch (meta.getColumnType(column)) {
    case sql::DataType::TINYINT:
    case sql::DataType::SMALLINT:
    case sql::DataType::MEDIUMINT:
    case sql::DataType::INTEGER:
    case sql::DataType::BIGINT:
      return meta.isSigned(column) ? Value::integer(result.getInt64(column)) : Value::unsigned_integer(result.getUInt64(column));
    case sql::DataType::YEAR: return Value::integer(result.getInt64(column));
    case sql::DataType::BIT: return Value::unsigned_integer(result.getUInt64(column));
    case sql::DataType::REAL:
    case sql::DataType::DOUBLE: return Value::real(static_cast<double>(result.getDouble(column)));
    case sql::DataType::DECIMAL:
    case sql::DataType::NUMERIC: return Value::decimal(text_of(result, column));
    case sql::DataType::BINARY:
    case sql::DataType::VARBINARY:
    case sql::DataType::LONGVARBINARY: {
      std::string bytes = text_of(result, column);
      if (std::string(meta.getColumnTypeName(column).c_str()) != "BIT") return Value::bytes(std::move(bytes));
      // The connector takes some BIT columns for binary text.
      std::uint64_t bits = 0;
      for (const char c : bytes) bits = bits << 8 | static_cast<unsigned char>(c);
      return Value::unsigned_integer(bits);
    }
    default: return Value::string(text_of(result, column));
  }
}

}  // namespace

sdk::Rows read_all(sql::ResultSet& result) {
  sql::ResultSetMetaData& meta = *result.getMetaData();
  const unsigned columns = meta.getColumnCount();
  sdk::Rows rows;
  while (result.next()) {
    sdk::Row row;
    row.reserve(columns);
    for (unsigned column = 1; column <= columns; ++column) row.push_back(read_one(result, meta, column));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace purgekit::mysql
