#include "move_names.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string_view>

#include "dialect.hpp"
#include "purgekit/sdk/render.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Value;

// A name may have 64 characters: what is kept of the table's, the mark, 8 of the stroke, 5 of the suffix.
constexpr std::size_t whole_name = 40;
constexpr std::size_t cut_name = 30;
constexpr std::string_view mark = "_purgekit_";
constexpr std::string_view suffixes[] = {"_new", "_old", "_note"};

std::string hex(std::uint32_t number) {
  char text[12];
  std::snprintf(text, sizeof text, "%08x", number);
  return text;
}

std::uint32_t hash(std::string_view text) {
  std::uint32_t value = 0x811c9dc5u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x01000193u;
  return value;
}

// Where character number `characters` of UTF-8 text begins; its length when it has fewer.
std::size_t byte_of(std::string_view text, std::size_t characters) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const bool starts = (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
    if (starts && characters-- == 0) break;
  }
  return at;
}

std::string stem(const std::string& table) {
  if (byte_of(table, whole_name) == table.size()) return table + std::string(mark);
  return table.substr(0, byte_of(table, cut_name)) + "~" + hex(hash(table)) + std::string(mark);
}

bool is_token(std::string_view text) {
  return text.size() == 8 && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string MoveNames::quoted(const char* suffix) const { return sdk::qualified(MysqlDialect(), schema, base + suffix); }

MoveNames new_move_names(const std::string& schema, const std::string& table) { return {schema, stem(table) + hex(std::random_device{}())}; }

std::vector<MoveNames> move_leftovers(Line& line, const std::string& schema, const std::string& table) {
  const std::string start = stem(table);
  const sdk::Rows rows = line.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND LOCATE(?, TABLE_NAME) = 1 ORDER BY TABLE_NAME",
                                    {Value::string(schema), Value::string(start)});
  std::vector<MoveNames> out;
  for (const sdk::Row& row : rows) {
    const std::string& name = row.at(0).text;
    for (const std::string_view suffix : suffixes) {
      const std::size_t size = start.size() + 8;
      if (name.size() != size + suffix.size() || name.substr(size) != suffix || !is_token(std::string_view(name).substr(start.size(), 8))) continue;
      if (out.empty() || out.back().base != name.substr(0, size)) out.push_back({schema, name.substr(0, size)});
    }
  }
  return out;
}

bool sorts_behind_its_table(const std::string& table) { return stem(table) > table; }

}  // namespace purgekit::mysql
