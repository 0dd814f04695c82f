#include "binary_rows.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <string_view>

#include "purgekit/sdk/error.hpp"
#include "types.hpp"

namespace purgekit::postgresql {

using sdk::Error;
using sdk::PlainColumn;

namespace {

constexpr int binary = 1;

// Most significant byte first.
template <class Number>
Number number_in(std::string_view bytes) {
  if (bytes.size() != sizeof(Number)) throw Error(PK_INTERNAL, "the server sent a number of " + std::to_string(bytes.size()) + " bytes where " + std::to_string(sizeof(Number)) + " were to come");
  Number out = 0;
  for (const char c : bytes) out = static_cast<Number>(out << 8 | static_cast<unsigned char>(c));
  return out;
}

// As its shortest text reads, not as its bits: 0.1 and not 0.10000000149.
double widened(float number) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  double out = number;
  std::from_chars(text.data(), end, out);
  return out;
}

void add(PlainColumn& to, Oid type, std::string_view bytes) {
  switch (type) {
    case type_bool: return to.add_number(bytes == std::string_view("\1", 1) ? 1 : 0);
    case type_int2: return to.add_number(static_cast<std::int16_t>(number_in<std::uint16_t>(bytes)));
    case type_int4: return to.add_number(static_cast<std::int32_t>(number_in<std::uint32_t>(bytes)));
    case type_int8: return to.add_number(static_cast<std::int64_t>(number_in<std::uint64_t>(bytes)));
    case type_oid: return to.add_number(number_in<std::uint32_t>(bytes));
    case type_float4: return to.add_real(widened(std::bit_cast<float>(number_in<std::uint32_t>(bytes))));
    case type_float8: return to.add_real(std::bit_cast<double>(number_in<std::uint64_t>(bytes)));
    default: return to.add_text(bytes);
  }
}

// Which of the forms in which values are handed over a type has.
char format_of(Oid type) {
  switch (type) {
    case type_bool: return 'b';
    case type_int2:
    case type_int4:
    case type_int8:
    case type_oid: return 'l';
    case type_float4:
    case type_float8: return 'g';
    case type_bytea: return 'Z';
    case type_text:
    case type_varchar:
    case type_bpchar:
    case type_name:
    case type_json: return 'U';
    default: return 0;
  }
}

}  // namespace

BinaryRows BinaryRows::of(PGconn* connection, const std::string& text, const std::vector<Param>& params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const Param& param : params) values.push_back(param ? param->c_str() : nullptr);
  BinaryRows out(PQexecParams(connection, text.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr, binary));
  if (PQresultStatus(out.result_.get()) != PGRES_TUPLES_OK) throw_failure(connection, out.result_, text);
  return out;
}

void BinaryRows::give(sdk::RowBatch& batch, std::size_t columns) const {
  const PGresult* result = result_.get();
  const int width = PQnfields(result);
  if (static_cast<std::size_t>(width) != columns) throw Error(PK_SCHEMA_CHANGED, "a deleted row has " + std::to_string(width) + " columns, the table had " + std::to_string(columns));
  std::vector<Oid> types;
  types.reserve(columns);
  for (int i = 0; i < width; ++i) {
    types.push_back(PQftype(result, i));
    if (format_of(types.back()) != batch.column(static_cast<std::size_t>(i)).format()) {
      throw Error(PK_SCHEMA_CHANGED, std::string("column ") + PQfname(result, i) + " has another type than when it was planned (" + std::to_string(types.back()) + "); plan again");
    }
  }
  const int rows = PQntuples(result);
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < width; ++i) {
      PlainColumn& to = batch.column(static_cast<std::size_t>(i));
      if (PQgetisnull(result, row, i) != 0) to.add_null();
      else add(to, types[static_cast<std::size_t>(i)], {PQgetvalue(result, row, i), static_cast<std::size_t>(PQgetlength(result, row, i))});
    }
    batch.end_row();
  }
}

}  // namespace purgekit::postgresql
