#include "create_text.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>

#include "purgekit/sdk/error.hpp"

namespace purgekit::mysql {
namespace {

// The quoted name at `from`, quotes included; they are doubled within it.
std::string quoted_at(const std::string& text, std::size_t from) {
  std::size_t at = from + 1;
  while (at < text.size()) {
    if (text[at] == '`' && (at + 1 >= text.size() || text[at + 1] != '`')) return text.substr(from, at + 1 - from);
    at += text[at] == '`' ? 2 : 1;
  }
  throw sdk::Error(PK_NOT_SUPPORTED, "the server's own words for a table can't be read");
}

bool starts(const std::string& text, std::string_view with) { return text.rfind(with, 0) == 0; }

// A counter's column needs an index that begins with it, always.
std::string counter_column(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    if (starts(line, "  `") && line.find(" AUTO_INCREMENT") != std::string::npos) return quoted_at(line, 2);
  }
  return "";
}

}  // namespace

CreateText parse_create(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  CreateText out;
  const std::string counter = counter_column(lines);
  const bool clustered = std::any_of(lines.begin(), lines.end(), [](const std::string& line) { return starts(line, "  PRIMARY KEY"); });
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string line = lines[i];
    if (i == 0) {
      line = line.substr(0, line.find('`'));
    } else if (starts(line, ")")) {
      constexpr std::string_view word = " AUTO_INCREMENT=";
      if (const std::size_t at = line.find(word); at != std::string::npos) {
        const std::size_t end = std::min(line.find_first_not_of("0123456789", at + word.size()), line.size());
        out.auto_increment = line.substr(at + word.size(), end - at - word.size());
        line.erase(at, end - at);
      }
    } else if (starts(line, "  KEY `") || (clustered && starts(line, "  UNIQUE KEY `"))) {
      const std::string name = quoted_at(line, line.find('`'));
      const bool counts = !counter.empty() && line.find(name + " (" + counter) != std::string::npos;
      if (!counts) {
        out.keys.push_back(line.substr(2, line.size() - 2 - (line.back() == ',' ? 1 : 0)));
        out.key_names.push_back(name);
      }
    }
    out.shape += line + "\n";
  }
  return out;
}

CreateText show_create(Line& line, const std::string& name) { return parse_create(line.query("SHOW CREATE TABLE " + name, {}).at(0).at(1).text); }

}  // namespace purgekit::mysql
