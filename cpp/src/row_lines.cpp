#include "row_lines.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "json.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/row_batch.hpp"

namespace purgekit {
namespace {

using sdk::Error;

[[noreturn]] void defect(const std::string& column, const std::string& what) {
  throw Error(PK_INTERNAL, "the backend gave rows for the archive in a form that can't be read (column " + column + ": " + what + "), which is a defect of the backend");
}

template <class Number>
void add_number(std::string& out, Number number) {
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  out.append(text.data(), end);
}

// A number that reads back as a real, whatever its value.
void add_real(std::string& out, double number) {
  const std::size_t start = out.size();
  add_number(out, number);
  if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
}

// Whether JSON takes the text as it is: printable ASCII without quote and backslash. Most of what is archived is such text, so it is
// looked at eight bytes at a time (https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord).
bool is_plain(std::string_view text) {
  constexpr std::uint64_t ones = 0x0101010101010101u;
  constexpr std::uint64_t tops = ones * 0x80;
  const auto has_below = [](std::uint64_t word, std::uint64_t byte) { return (word - ones * byte) & ~word & tops; };
  std::uint64_t found = 0;
  std::size_t at = 0;
  for (; at + sizeof found <= text.size() && found == 0; at += sizeof found) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, sizeof word);
    found = (word & tops) | has_below(word, 0x20) | has_below(word ^ (ones * '"'), 1) | has_below(word ^ (ones * '\\'), 1);
  }
  for (; at < text.size() && found == 0; ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    found = c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
  }
  return found == 0;
}

// False when it is no UTF-8; nothing is added then.
bool add_string(std::string& out, std::string_view text) {
  if (is_plain(text)) {
    out += '"';
    out += text;
    out += '"';
    return true;
  }
  try {
    out += Json(text).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

void add_base64(std::string& out, std::string_view bytes) {
  constexpr std::size_t piece = 3 << 20;  // EVP_EncodeBlock counts in int
  out += '"';
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const std::string_view part = bytes.substr(at, piece);
    const std::size_t start = out.size();
    out.resize(start + (part.size() + 2) / 3 * 4 + 1);  // it writes a NUL behind
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()) + start, reinterpret_cast<const unsigned char*>(part.data()), static_cast<int>(part.size()));
    out.pop_back();
  }
  out += '"';
}

// {"$name": value}
template <class Add>
void add_tagged(std::string& out, const char* name, Add add) {
  out += "{\"$";
  out += name;
  out += "\":";
  add();
  out += '}';
}

/// One column, or one member of a union, of a batch.
class Reader {
 public:
  Reader(const ArrowSchema* schema, const ArrowArray* array, const std::string& name, pk_column_kind kind, std::int64_t rows) : name_(name), kind_(kind) {
    if (schema == nullptr || array == nullptr || schema->format == nullptr) defect(name, "without data");
    if (array->offset < 0 || array->length < rows || schema->dictionary != nullptr) defect(name, "of a wrong length or dictionary-encoded");
    const std::string_view format = schema->format;
    offset_ = array->offset;
    if (format == sdk::arrow_union_format) {
      open_union(*schema, *array);
      return;
    }
    if (format.size() != 1 || std::string_view("lLgbUZuz").find(format[0]) == std::string_view::npos) defect(name, "Arrow format " + printable(format));
    format_ = format[0];
    const bool is_text = std::string_view("UZuz").find(format_) != std::string_view::npos;
    if (array->n_buffers != (is_text ? 3 : 2) || array->buffers == nullptr) defect(name, "of a wrong number of buffers");
    valid_ = static_cast<const std::uint8_t*>(array->buffers[0]);
    if (is_text) offsets_ = array->buffers[1];
    data_ = array->buffers[is_text ? 2 : 1];
    if (rows > 0 && ((is_text && offsets_ == nullptr) || (!is_text && data_ == nullptr))) defect(name, "without data");
  }

  void add(std::string& out, std::int64_t row) const {
    if (format_ == '+') return add_member(out, row + offset_);
    row += offset_;
    if (valid_ != nullptr && !bit(valid_, row)) {
      out += "null";
      return;
    }
    switch (format_) {
      case 'l': return add_int(out, number<std::int64_t>(row));
      case 'L': return add_unsigned(out, number<std::uint64_t>(row));
      case 'g': return add_real_value(out, number<double>(row));
      case 'b': return add_bool(out, bit(static_cast<const std::uint8_t*>(data_), row));
      case 'U': return add_text(out, text<std::int64_t>(row));
      case 'u': return add_text(out, text<std::int32_t>(row));
      case 'Z': return add_bytes(out, text<std::int64_t>(row));
      default: return add_bytes(out, text<std::int32_t>(row));
    }
  }

 private:
  void open_union(const ArrowSchema& schema, const ArrowArray& array) {
    format_ = '+';
    if (array.n_buffers != 2 || array.n_children != 4 || schema.n_children != 4 || array.buffers == nullptr || array.children == nullptr || schema.children == nullptr) {
      defect(name_, "a union that is not made of four");
    }
    ids_ = static_cast<const std::int8_t*>(array.buffers[0]);
    places_ = static_cast<const std::int32_t*>(array.buffers[1]);
    if (array.length > 0 && (ids_ == nullptr || places_ == nullptr)) defect(name_, "without data");
    for (std::size_t i = 0; i < 4; ++i) {
      const ArrowSchema* member = schema.children[i];
      const ArrowArray* items = array.children[i];
      if (items == nullptr || member == nullptr || member->format == nullptr || std::string_view(member->format) != sdk::arrow_union_members[i]) {
        defect(name_, "a union of other members");
      }
      members_.emplace_back(member, items, name_, kind_, items->length);
      lengths_.push_back(items->length);
    }
  }

  void add_member(std::string& out, std::int64_t row) const {
    const auto id = static_cast<std::uint8_t>(ids_[row]);
    if (id >= members_.size() || places_[row] < 0 || places_[row] >= lengths_[id]) defect(name_, "a union that points nowhere");
    members_[id].add(out, places_[row]);
  }

  static bool bit(const std::uint8_t* bits, std::int64_t at) { return (bits[at / 8] >> (at % 8) & 1) != 0; }

  template <class Number>
  Number number(std::int64_t row) const {
    return static_cast<const Number*>(data_)[row];
  }

  template <class Offset>
  std::string_view text(std::int64_t row) const {
    const auto* offsets = static_cast<const Offset*>(offsets_);
    const Offset from = offsets[row];
    const Offset to = offsets[row + 1];
    if (from < 0 || to < from || (to > from && data_ == nullptr)) defect(name_, "offsets that run backwards");
    return {static_cast<const char*>(data_) + from, static_cast<std::size_t>(to - from)};
  }

  void add_int(std::string& out, std::int64_t value) const {
    if (kind_ == PK_COLUMN_BOOL && (value == 0 || value == 1)) return add_bool(out, value == 1);  // whatever its neighbours in the batch are
    if (kind_ == PK_COLUMN_INT || kind_ == PK_COLUMN_ANY || (kind_ == PK_COLUMN_UINT && value >= 0)) add_number(out, value);
    else add_tagged(out, "int", [&] { add_number(out, value); });
  }

  void add_unsigned(std::string& out, std::uint64_t value) const {
    if (kind_ == PK_COLUMN_UINT) add_number(out, value);
    else if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) add_int(out, static_cast<std::int64_t>(value));
    else add_text(out, std::to_string(value));
  }

  void add_real_value(std::string& out, double value) const {
    const bool finite = std::isfinite(value);
    if (finite && (kind_ == PK_COLUMN_REAL || kind_ == PK_COLUMN_ANY)) return add_real(out, value);
    add_tagged(out, "real", [&] {
      if (finite) add_real(out, value);
      else out += std::isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"";
    });
  }

  void add_bool(std::string& out, bool value) const {
    if (kind_ == PK_COLUMN_BOOL) out += value ? "true" : "false";
    else add_int(out, value ? 1 : 0);
  }

  void add_text(std::string& out, std::string_view value) const {
    const bool is_own = kind_ != PK_COLUMN_INT && kind_ != PK_COLUMN_UINT && kind_ != PK_COLUMN_REAL && kind_ != PK_COLUMN_BOOL && kind_ != PK_COLUMN_BYTES;
    if (is_own && add_string(out, value)) return;
    std::string quoted;
    if (!is_own && add_string(quoted, value)) return add_tagged(out, "text", [&] { out += quoted; });
    add_tagged(out, "text64", [&] { add_base64(out, value); });
  }

  void add_bytes(std::string& out, std::string_view value) const {
    if (kind_ == PK_COLUMN_BYTES) add_base64(out, value);
    else add_tagged(out, "bytes", [&] { add_base64(out, value); });
  }

  const std::string& name_;
  pk_column_kind kind_;
  char format_ = 0;
  std::int64_t offset_ = 0;
  const std::uint8_t* valid_ = nullptr;
  const void* offsets_ = nullptr;
  const void* data_ = nullptr;
  const std::int8_t* ids_ = nullptr;
  const std::int32_t* places_ = nullptr;
  std::vector<Reader> members_;
  std::vector<std::int64_t> lengths_;
};

}  // namespace

void append_lines(std::string& out, const ArrowSchema& schema, const ArrowArray& rows, const std::vector<sdk::Column>& columns) {
  const auto count = static_cast<std::int64_t>(columns.size());
  const bool is_struct = schema.format != nullptr && std::string_view(schema.format) == "+s" && schema.children != nullptr && rows.children != nullptr;
  if (!is_struct || rows.length < 0 || rows.offset < 0 || rows.null_count > 0) defect("none", "no struct array of rows");
  if (schema.n_children != count || rows.n_children != count) {
    throw Error(PK_SCHEMA_CHANGED, "deleted rows have " + std::to_string(rows.n_children) + " columns, the table had " + std::to_string(count) + " when it was planned; plan again");
  }
  std::vector<Reader> readers;
  std::vector<std::string> keys;
  readers.reserve(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const ArrowSchema* field = schema.children[i];
    if (field == nullptr || field->name == nullptr || columns[i].name != field->name) throw Error(PK_SCHEMA_CHANGED, "column " + columns[i].name + " was changed since it was planned; plan again");
    readers.emplace_back(field, rows.children[i], columns[i].name, columns[i].kind, rows.offset + rows.length);
    keys.push_back((i == 0 ? "{" : ",") + json_string(columns[i].name) + ":");
  }
  for (std::int64_t row = rows.offset; row < rows.offset + rows.length; ++row) {
    for (std::size_t i = 0; i < readers.size(); ++i) {
      out += keys[i];
      readers[i].add(out, row);
    }
    out += "}\n";
  }
}

std::string json_string(std::string_view text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace purgekit
