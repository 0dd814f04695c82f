#include "row_values.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

#include "json.hpp"
#include "purgekit/sdk/error.hpp"
#include "row_lines.hpp"

namespace purgekit {
namespace {

[[noreturn]] void no_row_of_ours(const std::string& column) {
  throw sdk::Error(PK_CORRUPT, "a row in it is not written as purgekit writes it (at column " + printable(column) + ")");
}

bool is_text_kind(pk_column_kind kind) {
  return kind != PK_COLUMN_INT && kind != PK_COLUMN_UINT && kind != PK_COLUMN_REAL && kind != PK_COLUMN_BOOL && kind != PK_COLUMN_BYTES;
}

/// One value after the other of one line.
class Cursor {
 public:
  Cursor(std::string_view line, RowValues& out) : rest_(line), out_(out) {}

  void expect(std::string_view text, const std::string& column) {
    if (!rest_.starts_with(text)) no_row_of_ours(column);
    rest_.remove_prefix(text.size());
  }

  bool at_end() const { return rest_.empty(); }

  pk_value value(const sdk::Column& column) {
    if (rest_.empty()) no_row_of_ours(column.name);
    switch (rest_[0]) {
      case 'n': expect("null", column.name); return {};
      case 't': expect("true", column.name); return boolean(column, 1);
      case 'f': expect("false", column.name); return boolean(column, 0);
      case '"': return own_text(column);
      case '{': return tagged(column);
      default: return column.kind == PK_COLUMN_REAL ? real(column) : number(column);
    }
  }

 private:
  pk_value own_text(const sdk::Column& column) {
    if (column.kind == PK_COLUMN_BYTES) return bytes(column, PK_VALUE_BYTES);
    if (!is_text_kind(column.kind)) no_row_of_ours(column.name);
    return text(column);
  }

  pk_value boolean(const sdk::Column& column, std::int64_t value) {
    if (column.kind != PK_COLUMN_BOOL) no_row_of_ours(column.name);
    return of(PK_VALUE_BOOL, value, 0);
  }

  static pk_value of(pk_value_kind kind, std::int64_t i64, double f64, std::string_view text = {}) {
    return {static_cast<std::uint32_t>(kind), 0, i64, f64, sdk::to_text(text)};
  }

  // Up to what ends a value.
  std::string_view token() {
    const std::size_t end = std::min(rest_.find_first_of(",}"), rest_.size());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return out;
  }

  template <class Number>
  static bool parse(std::string_view token, Number& number) {
    const auto [end, problem] = std::from_chars(token.data(), token.data() + token.size(), number);
    return !token.empty() && problem == std::errc() && end == token.data() + token.size();
  }

  pk_value whole(std::string_view token, const sdk::Column& column) {
    std::int64_t number = 0;
    if (parse(token, number)) return of(PK_VALUE_INT, number, 0);
    std::uint64_t large = 0;
    if (!parse(token, large)) no_row_of_ours(column.name);
    return of(PK_VALUE_UINT, static_cast<std::int64_t>(large), 0);
  }

  pk_value number(const sdk::Column& column) {
    const std::string_view word = token();
    if (column.kind == PK_COLUMN_ANY && word.find_first_of(".e") != std::string_view::npos) return finite(word, column);
    if (column.kind != PK_COLUMN_INT && column.kind != PK_COLUMN_UINT && column.kind != PK_COLUMN_ANY) no_row_of_ours(column.name);
    return whole(word, column);
  }

  pk_value finite(std::string_view word, const sdk::Column& column) {
    double number = 0;
    if (word.find_first_not_of("0123456789+-.e") != std::string_view::npos || !parse(word, number)) no_row_of_ours(column.name);
    return of(PK_VALUE_REAL, 0, number);
  }

  pk_value real(const sdk::Column& column) { return finite(token(), column); }

  // A string with its quotes, whatever is in it.
  std::string_view quoted(const sdk::Column& column) {
    std::size_t at = rest_.find('"', 1);
    if (rest_.substr(0, at).find('\\') != std::string_view::npos) {
      for (at = 1; at < rest_.size() && rest_[at] != '"'; ++at) {
        if (rest_[at] == '\\') ++at;
      }
    }
    if (at >= rest_.size()) no_row_of_ours(column.name);
    const std::string_view out = rest_.substr(0, at + 1);
    rest_.remove_prefix(at + 1);
    return out;
  }

  pk_value text(const sdk::Column& column) {
    if (rest_.empty() || rest_[0] != '"') no_row_of_ours(column.name);
    const std::string_view with_quotes = quoted(column);
    const std::string_view inside = with_quotes.substr(1, with_quotes.size() - 2);
    bool plain = true;
    for (const char c : inside) {
      const auto u = static_cast<unsigned char>(c);
      plain = plain && u >= 0x20 && u < 0x80 && c != '\\';
    }
    if (plain) return of(PK_VALUE_TEXT, 0, 0, inside);
    const Json parsed = Json::parse(with_quotes.begin(), with_quotes.end(), nullptr, false);  // escapes, and whether it is UTF-8
    if (!parsed.is_string()) no_row_of_ours(column.name);
    out_.made.push_back(parsed.get<std::string>());
    return of(PK_VALUE_TEXT, 0, 0, out_.made.back());
  }

  pk_value bytes(const sdk::Column& column, pk_value_kind kind) {
    if (rest_.empty() || rest_[0] != '"') no_row_of_ours(column.name);
    const std::string_view with_quotes = quoted(column);
    const std::string_view encoded = with_quotes.substr(1, with_quotes.size() - 2);
    const std::size_t padding = encoded.ends_with("==") ? 2 : encoded.ends_with("=") ? 1 : 0;
    if (encoded.size() % 4 != 0 || encoded.find('=') < encoded.size() - padding) no_row_of_ours(column.name);
    std::string& out = out_.made.emplace_back();
    constexpr std::size_t piece = std::size_t{4} << 20;  // EVP_DecodeBlock counts in int
    for (std::size_t at = 0; at < encoded.size(); at += piece) {
      const std::string_view part = encoded.substr(at, piece);
      const std::size_t start = out.size();
      out.resize(start + part.size() / 4 * 3);
      const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()) + start, reinterpret_cast<const unsigned char*>(part.data()), static_cast<int>(part.size()));
      if (size != static_cast<int>(part.size() / 4 * 3)) no_row_of_ours(column.name);
    }
    out.resize(out.size() - padding);
    return of(kind, 0, 0, out);
  }

  pk_value tagged(const sdk::Column& column) {
    pk_value out{};
    if (take("{\"$int\":")) out = whole(token(), column);
    else if (take("{\"$real\":")) out = any_real(column);
    else if (take("{\"$text\":")) out = text(column);
    else if (take("{\"$text64\":")) out = bytes(column, PK_VALUE_TEXT);
    else if (take("{\"$bytes\":")) out = bytes(column, PK_VALUE_BYTES);
    else no_row_of_ours(column.name);
    expect("}", column.name);
    return out;
  }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  pk_value any_real(const sdk::Column& column) {
    using Limits = std::numeric_limits<double>;
    if (take("\"nan\"")) return of(PK_VALUE_REAL, 0, Limits::quiet_NaN());
    if (take("\"inf\"")) return of(PK_VALUE_REAL, 0, Limits::infinity());
    if (take("\"-inf\"")) return of(PK_VALUE_REAL, 0, -Limits::infinity());
    return real(column);
  }

  std::string_view rest_;
  RowValues& out_;
};

}  // namespace

LineReader::LineReader(const std::vector<sdk::Column>& columns) : columns_(columns) {
  keys_.reserve(columns.size());
  for (const sdk::Column& column : columns) keys_.push_back((keys_.empty() ? "{" : ",") + json_string(column.name) + ":");
}

void LineReader::read(std::string_view lines, RowValues& out) const {
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    if (end == std::string_view::npos) no_row_of_ours("none");
    Cursor cursor(lines.substr(0, end), out);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      cursor.expect(keys_[i], columns_[i].name);
      out.values.push_back(cursor.value(columns_[i]));
    }
    cursor.expect("}", columns_.back().name);
    if (!cursor.at_end()) no_row_of_ours(columns_.back().name);
    ++out.rows;
    lines.remove_prefix(end + 1);
  }
}

}  // namespace purgekit
