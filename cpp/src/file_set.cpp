#include "file_set.hpp"

#include <algorithm>
#include <cctype>

#include "foreign_record.hpp"
#include "sha256.hpp"

namespace purgekit {
namespace {

constexpr std::size_t longest_name = 120;
constexpr std::size_t most_runs = 200;
constexpr std::size_t most_files = 1'000;
constexpr std::size_t most_left = 8;
constexpr std::string_view suffix = ".jsonl.zst";

bool is_safe(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-'; }

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name && text[0] != '.' && std::all_of(text.begin(), text.end(), [](char c) { return is_safe(c) || c == '~'; });
}

// "database/table/stem.jsonl.zst"
bool is_file_of(const std::string& file, const FileSet& set) {
  const std::string begin = set.place + "/";
  const std::string end = "/" + set.stem + std::string(suffix);
  if (file.size() <= begin.size() + end.size() || file.rfind(begin, 0) != 0 || file.substr(file.size() - end.size()) != end) return false;
  return is_name(std::string_view(file).substr(begin.size(), file.size() - begin.size() - end.size()));
}

}  // namespace

std::string safe_name(std::string_view text) {
  std::string out(text.substr(text.find_last_of('/') + 1));
  for (char& c : out) {
    if (!is_safe(c)) c = '_';
  }
  if (out.empty() || out[0] == '.') out.insert(0, "_");
  constexpr std::size_t hash_size = 9;
  if (out == text && out.size() <= longest_name - hash_size) return out;
  return out.substr(0, longest_name - hash_size) + "~" + Sha256::of(text).substr(0, hash_size - 1);
}

std::string hash_of(const std::vector<sdk::Column>& columns) {
  Json list = Json::array();
  for (const sdk::Column& c : columns) list.push_back({c.name, c.type_name, static_cast<int>(c.kind)});
  return Sha256::of(list.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 16);
}

Json FileSet::to_json() const {
  Json out = {{"folder", folder},     {"stem", stem},   {"run_id", run_id},           {"runs", runs},          {"policy", policy},
              {"hash", policy_hash}, {"place", place}, {"started_utc", started_utc}, {"database", database}, {"files", Json::array()}};
  for (const FilePlace& f : files) {
    out["files"].push_back({{"table", f.table}, {"columns", f.columns}, {"file", f.file}, {"end", f.end}, {"rows", f.rows}, {"chunks", f.chunks}, {"sha256", f.sha256}});
  }
  return out;
}

std::optional<FileSet> FileSet::from_json(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  FileSet out;
  out.folder = foreign_text(json, "folder");
  out.stem = foreign_text(json, "stem");
  out.run_id = foreign_text(json, "run_id");
  out.policy = foreign_text(json, "policy");
  out.policy_hash = foreign_text(json, "hash");
  out.place = foreign_text(json, "place");
  out.started_utc = foreign_text(json, "started_utc");
  out.database = foreign_text(json, "database");
  if (out.folder.empty() || out.folder[0] != '/' || !is_name(out.stem) || !is_name(out.place)) return std::nullopt;
  const auto runs = json.find("runs");
  if (runs != json.end() && runs->is_array()) {
    for (const Json& run : *runs) {
      if (run.is_string() && out.runs.size() < most_runs) out.runs.push_back(run.get<std::string>());
    }
  }
  const auto files = json.find("files");
  if (files == json.end() || !files->is_array() || files->empty() || files->size() > most_files) return std::nullopt;
  for (const Json& item : *files) {
    if (!item.is_object()) return std::nullopt;
    const FilePlace f{foreign_text(item, "table"), foreign_text(item, "columns"), foreign_text(item, "file"),  foreign_count(item, "end"),
                      foreign_count(item, "rows"), foreign_count(item, "chunks"), foreign_text(item, "sha256")};
    if (!is_file_of(f.file, out) || (f.end > 0 && !is_sha256(f.sha256))) return std::nullopt;
    out.files.push_back(f);
  }
  return out;
}

std::string FileSet::manifest_name() const { return place + "/" + stem + ".manifest.json"; }

Json FileSet::manifest(const std::string& finished_utc) const {
  Json out = {{"schema", "purgekit.archive-manifest/1"},
              {"run_id", run_id},
              {"runs", runs},
              {"policy", policy},
              {"policy_hash", policy_hash},
              {"database", database},
              {"started_utc", started_utc},
              {"finished_utc", finished_utc},
              {"rows", 0},
              {"files", Json::array()}};
  std::int64_t rows = 0;
  for (const FilePlace& f : files) {
    if (f.end == 0) continue;
    rows += f.rows;
    out["files"].push_back({{"table", f.table}, {"file", f.file.substr(place.size() + 1)}, {"bytes", f.end}, {"rows", f.rows}, {"chunks", f.chunks}, {"sha256", f.sha256}});
  }
  out["rows"] = rows;
  return out;
}

std::int64_t FileSet::bytes() const {
  std::int64_t sum = 0;
  for (const FilePlace& f : files) sum += f.end;
  return sum;
}

Json left_files(const Json& document, bool taken_up, bool finished) {
  Json out = Json::array();
  const auto own = document.find("files");
  if (own != document.end() && !taken_up && !finished) out.push_back(*own);
  const auto earlier = document.find("left_files");
  if (earlier == document.end() || !earlier->is_array()) return out;
  for (const Json& set : *earlier) {
    if (out.size() < most_left) out.push_back(set);
  }
  return out;
}

}  // namespace purgekit
