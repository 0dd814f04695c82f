/// \file row_batch.hpp
/// How a backend gives deleted rows to the host's sink (pk_sink): collect them here, hand them over as Arrow C data.
///
///     RowBatch batch(table.columns, *purge.sink, index);    // index: 0 for the purge's own table, then 1 + its dependent
///     for (each row that goes) batch.add(std::move(row));   // all columns, in the order of `describe`; hands over when full
///     batch.flush();                                        // the rest, before the verb returns
///
/// Anything that goes wrong, also in the sink, is an Error out of add() or flush(): let it pass, so that the verb fails and the chunk is
/// rolled back. What was handed over before is forgotten by the host with that rollback.
///
/// What a value should be, by its column's kind: INT, UINT, REAL, BOOL and BYTES as sdk::Value has them; everything else (text, decimal,
/// date, time, timestamp, uuid, bit, json, …) as TEXT or DECIMAL in the database's own lossless text form, times in ISO form, zoned ones in
/// UTC with "+00". ANY, and a value that is not of its column's kind, may come as INT, REAL, TEXT or BYTES: for that batch the column
/// becomes a union. Text may hold bytes that are no UTF-8 where the database lets it: the host tells them apart.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/sdk/arrow_c.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

/// Keys of a field's metadata: the column's type as the database prints it, and its pk_column_kind as a number.
inline constexpr const char* arrow_type_key = "purgekit.type";
inline constexpr const char* arrow_kind_key = "purgekit.kind";

/// A column whose values are of several classes: a dense union of these, in this order. A NULL is one in the first.
inline constexpr const char* arrow_union_format = "+ud:0,1,2,3";
inline constexpr std::array<const char*, 4> arrow_union_members{"l", "g", "U", "Z"};

namespace arrow {

/// What an ArrowSchema's private_data owns.
struct SchemaNode {
  std::string format, name, metadata;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
};

/// What an ArrowArray's private_data owns.
struct ArrayNode {
  std::vector<std::string> buffers;
  std::vector<const void*> addresses;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
};

// A child that the consumer moved away is marked as released here, and lives on by itself.
template <class Struct, class Node>
void release(Struct* item) {
  const std::unique_ptr<Node> node(static_cast<Node*>(item->private_data));
  for (Struct& child : node->children) {
    if (child.release != nullptr) child.release(&child);
  }
  item->release = nullptr;
}

template <class Struct, class Node>
void adopt(Struct& out, std::unique_ptr<Node> node) {
  for (Struct& child : node->children) node->pointers.push_back(&child);
  out.n_children = static_cast<std::int64_t>(node->children.size());
  out.children = node->pointers.empty() ? nullptr : node->pointers.data();
  out.release = release<Struct, Node>;
  out.private_data = node.release();
}

template <class Number>
void append(std::string& to, Number number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

/// "key, value" pairs as the interface wants them.
inline std::string metadata(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out;
  append(out, static_cast<std::int32_t>(entries.size()));
  for (const auto& [key, value] : entries) {
    for (const std::string* text : {&key, &value}) {
      append(out, static_cast<std::int32_t>(text->size()));
      out += *text;
    }
  }
  return out;
}

inline ArrowSchema schema(const std::string& format, const std::string& name, std::string metadata = "", std::vector<ArrowSchema> children = {}) {
  auto node = std::make_unique<SchemaNode>(SchemaNode{format, name, std::move(metadata), std::move(children), {}});
  ArrowSchema out{};
  out.format = node->format.c_str();
  out.name = node->name.c_str();
  out.metadata = node->metadata.empty() ? nullptr : node->metadata.data();
  out.flags = ARROW_FLAG_NULLABLE;
  adopt(out, std::move(node));
  return out;
}

/// An empty buffer stands for a bitmap that is not needed, or for data of length 0.
inline ArrowArray array(std::size_t length, std::size_t null_count, std::vector<std::string> buffers, std::vector<ArrowArray> children = {}) {
  auto node = std::make_unique<ArrayNode>(ArrayNode{std::move(buffers), {}, std::move(children), {}});
  for (const std::string& buffer : node->buffers) node->addresses.push_back(buffer.empty() ? nullptr : buffer.data());
  ArrowArray out{};
  out.length = static_cast<std::int64_t>(length);
  out.null_count = static_cast<std::int64_t>(null_count);
  out.n_buffers = static_cast<std::int64_t>(node->addresses.size());
  out.buffers = node->addresses.data();
  adopt(out, std::move(node));
  return out;
}

inline std::string bitmap(const std::vector<bool>& bits) {
  std::string out((bits.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) out[i / 8] = static_cast<char>(static_cast<unsigned char>(out[i / 8]) | (1u << (i % 8)));
  }
  return out;
}

/// Values of one class; a NULL holds its place.
inline ArrowArray values(char format, const std::vector<const Value*>& items) {
  std::vector<bool> valid;
  std::vector<bool> bits;
  std::string data;
  std::string offsets;
  const bool is_text = format == 'U' || format == 'Z';
  valid.reserve(items.size());
  std::size_t text_bytes = 0;
  for (const Value* item : items) text_bytes += item->text.size();
  if (is_text) {
    data.reserve(text_bytes);
    offsets.reserve((items.size() + 1) * sizeof(std::int64_t));
    append(offsets, std::int64_t{0});
  }
  std::size_t nulls = 0;
  for (const Value* item : items) {
    valid.push_back(item->kind != PK_VALUE_NULL);
    if (!valid.back()) ++nulls;
    if (is_text) {
      data += item->text;
      append(offsets, static_cast<std::int64_t>(data.size()));
    } else if (format == 'b') {
      bits.push_back(item->i64 != 0);
    } else if (format == 'g') {
      append(data, item->f64);
    } else {
      append(data, item->i64);
    }
  }
  std::vector<std::string> buffers;
  buffers.push_back(nulls == 0 ? "" : bitmap(valid));
  if (is_text) buffers.push_back(std::move(offsets));
  buffers.push_back(format == 'b' ? bitmap(bits) : std::move(data));
  return array(items.size(), nulls, std::move(buffers));
}

/// Format of a column whose values are all of its kind.
inline char plain_format(pk_column_kind kind) {
  switch (kind) {
    case PK_COLUMN_INT: return 'l';
    case PK_COLUMN_UINT: return 'L';
    case PK_COLUMN_REAL: return 'g';
    case PK_COLUMN_BOOL: return 'b';
    case PK_COLUMN_BYTES: return 'Z';
    default: return 'U';
  }
}

inline bool fits(char format, const Value& v) {
  const bool is_large = v.kind == PK_VALUE_UINT && v.i64 < 0;  // above what a signed number holds
  switch (v.kind) {
    case PK_VALUE_NULL: return true;
    case PK_VALUE_INT: return format == 'l' || (format == 'L' && v.i64 >= 0) || (format == 'b' && (v.i64 == 0 || v.i64 == 1));
    case PK_VALUE_UINT: return format == 'L' || (format == 'l' && !is_large);
    case PK_VALUE_BOOL: return format == 'b' || format == 'l';
    case PK_VALUE_REAL: return format == 'g';
    case PK_VALUE_BYTES: return format == 'Z';
    case PK_VALUE_TEXT:
    case PK_VALUE_DECIMAL: return format == 'U';
    default: throw Error(PK_INTERNAL, "an instant was given to a sink as a number, which is a defect of the backend: it goes there as text");
  }
}

/// Which member of the union takes a value, and the value as it goes there.
inline std::pair<std::int8_t, const Value*> member_of(const Value& v, std::vector<std::unique_ptr<Value>>& made) {
  switch (v.kind) {
    case PK_VALUE_REAL: return {1, &v};
    case PK_VALUE_TEXT:
    case PK_VALUE_DECIMAL: return {2, &v};
    case PK_VALUE_BYTES: return {3, &v};
    case PK_VALUE_UINT:
      if (v.i64 >= 0) return {0, &v};
      made.push_back(std::make_unique<Value>(Value::decimal(std::to_string(static_cast<std::uint64_t>(v.i64)))));
      return {2, made.back().get()};
    default: return {0, &v};
  }
}

/// Values of several classes.
inline ArrowArray union_values(const std::vector<const Value*>& items) {
  std::array<std::vector<const Value*>, 4> members;
  std::vector<std::unique_ptr<Value>> made;
  std::string ids;
  std::string offsets;
  for (const Value* item : items) {
    const auto [id, value] = member_of(*item, made);
    std::vector<const Value*>& member = members[static_cast<std::uint8_t>(id)];
    append(ids, id);
    append(offsets, static_cast<std::int32_t>(member.size()));
    member.push_back(value);
  }
  std::vector<ArrowArray> children;
  for (std::size_t i = 0; i < members.size(); ++i) children.push_back(values(*arrow_union_members[i], members[i]));
  return array(items.size(), 0, {std::move(ids), std::move(offsets)}, std::move(children));
}

}  // namespace arrow

/// Values of one column, all of its kind, in the form in which they are handed over.
class PlainColumn {
 public:
  explicit PlainColumn(pk_column_kind kind) : format_(arrow::plain_format(kind)) {}

  char format() const { return format_; }
  std::size_t bytes() const { return data_.size() + offsets_.size(); }
  bool fits(const Value& value) const { return arrow::fits(format_, value); }

  void add(const Value& value) {
    if (value.kind == PK_VALUE_NULL) return add_null();
    switch (format_) {
      case 'U':
      case 'Z': return add_text(value.text);
      case 'g': return add_real(value.f64);
      default: return add_number(value.i64);
    }
  }
  void add_null() {
    ++nulls_;
    if (format_ == 'b') bits_.push_back(false);
    else if (is_text()) arrow::append(offsets_, static_cast<std::int64_t>(data_.size()));
    else arrow::append(data_, std::int64_t{0});
    valid_.push_back(false);
  }
  /// Of an integer of either sign rule, or 0 and 1 of a boolean.
  void add_number(std::int64_t number) {
    if (format_ == 'b') bits_.push_back(number != 0);
    else arrow::append(data_, number);
    valid_.push_back(true);
  }
  void add_real(double number) {
    arrow::append(data_, number);
    valid_.push_back(true);
  }
  /// Text or bytes.
  void add_text(std::string_view text) {
    data_ += text;
    arrow::append(offsets_, static_cast<std::int64_t>(data_.size()));
    valid_.push_back(true);
  }

  ArrowArray take() {
    const std::size_t rows = valid_.size();
    std::vector<std::string> buffers;
    buffers.push_back(nulls_ == 0 ? "" : arrow::bitmap(valid_));
    if (is_text()) buffers.push_back(first_offset() + std::exchange(offsets_, {}));
    buffers.push_back(format_ == 'b' ? arrow::bitmap(bits_) : std::exchange(data_, {}));
    valid_.clear();
    bits_.clear();
    return arrow::array(rows, std::exchange(nulls_, 0), std::move(buffers));
  }

 private:
  bool is_text() const { return format_ == 'U' || format_ == 'Z'; }
  static std::string first_offset() { return std::string(sizeof(std::int64_t), '\0'); }

  char format_;
  std::size_t nulls_ = 0;
  std::vector<bool> valid_{};
  std::vector<bool> bits_{};
  std::string data_{};
  std::string offsets_{};  // each value's end
};

/// Rows of one table on their way to the sink. Serial; lives for one verb at most.
class RowBatch {
 public:
  static constexpr std::size_t most_bytes = std::size_t{1} * 1024 * 1024;  // the host works on one while the next is filled
  static constexpr std::size_t most_rows = 5'000;

  /// `columns` and `sink` outlive the batch. \param table 0 for the purge's own, then 1 + the dependent's number
  RowBatch(const std::vector<Column>& columns, const pk_sink& sink, std::size_t table) : columns_(columns), sink_(sink), table_(table) {
    plain_.reserve(columns.size());
    for (const Column& column : columns) plain_.emplace_back(column.kind);
  }

  /// \throws Error, see flush()
  void add(Row row) {
    if (row.size() != columns_.size()) throw Error(PK_SCHEMA_CHANGED, "a deleted row has " + std::to_string(row.size()) + " columns, the table had " + std::to_string(columns_.size()));
    if (!is_mixed_ && !all_fit(row)) {
      flush();
      is_mixed_ = true;  // such tables have more of them
    }
    if (is_mixed_) {
      for (const Value& value : row) bytes_ += sizeof(Value) + value.text.size();
      rows_.push_back(std::move(row));
    } else {
      for (std::size_t i = 0; i < row.size(); ++i) plain_[i].add(row[i]);
    }
    end_row();
  }

  /// The same without a Row in between, where values are surely of their columns' kinds: add one to each column, then end_row().
  PlainColumn& column(std::size_t number) { return plain_[number]; }
  /// \throws Error, see flush()
  void end_row() {
    ++size_;
    ++total_;
    if (size_ >= most_rows || bytes() >= most_bytes) flush();
  }

  /// Hand over what there is. \throws Error what the sink said: rows were not taken, so the verb must fail
  void flush() {
    if (size_ == 0) return;
    auto [schema, rows] = take();
    pk_error error{};
    if (const int32_t code = sink_.take(sink_.self, table_, &schema, &rows, &error); code != PK_OK) throw Error::from_c(code, error);
  }

  /// Rows that were added, handed over or not.
  std::int64_t total() const { return total_; }
  /// Rows and bytes that wait to be handed over.
  std::size_t size() const { return size_; }
  std::size_t bytes() const {
    std::size_t out = bytes_;
    for (const PlainColumn& column : plain_) out += column.bytes();
    return out;
  }

  /// What waits, as Arrow data that the caller releases.
  std::pair<ArrowSchema, ArrowArray> take() {
    std::vector<ArrowSchema> fields;
    std::vector<ArrowArray> data;
    fields.reserve(columns_.size());
    data.reserve(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      std::string metadata = arrow::metadata({{arrow_type_key, columns_[i].type_name}, {arrow_kind_key, std::to_string(static_cast<int>(columns_[i].kind))}});
      if (is_mixed_) {
        add_mixed(i, std::move(metadata), fields, data);
      } else {
        fields.push_back(arrow::schema(std::string(1, plain_[i].format()), columns_[i].name, std::move(metadata)));
        data.push_back(plain_[i].take());
      }
    }
    std::pair<ArrowSchema, ArrowArray> out{arrow::schema("+s", "", "", std::move(fields)), arrow::array(size_, 0, {""}, std::move(data))};
    rows_.clear();
    bytes_ = size_ = 0;
    return out;
  }

 private:
  bool all_fit(const Row& row) const {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!plain_[i].fits(row[i])) return false;
    }
    return true;
  }

  void add_mixed(std::size_t number, std::string metadata, std::vector<ArrowSchema>& fields, std::vector<ArrowArray>& data) const {
    const Column& column = columns_[number];
    const char plain = plain_[number].format();
    std::vector<const Value*> items;
    items.reserve(rows_.size());
    for (const Row& row : rows_) items.push_back(&row[number]);
    if (std::all_of(items.begin(), items.end(), [&](const Value* v) { return arrow::fits(plain, *v); })) {
      fields.push_back(arrow::schema(std::string(1, plain), column.name, std::move(metadata)));
      data.push_back(arrow::values(plain, items));
      return;
    }
    std::vector<ArrowSchema> members;
    members.reserve(arrow_union_members.size());
    for (const char* format : arrow_union_members) members.push_back(arrow::schema(format, ""));
    fields.push_back(arrow::schema(arrow_union_format, column.name, std::move(metadata), std::move(members)));
    data.push_back(arrow::union_values(items));
  }

  const std::vector<Column>& columns_;
  const pk_sink& sink_;
  std::size_t table_;
  std::vector<PlainColumn> plain_{};
  bool is_mixed_ = false;
  Rows rows_{};  // where values are not all of their columns' kinds
  std::size_t bytes_ = 0;
  std::size_t size_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace purgekit::sdk
