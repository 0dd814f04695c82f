#include "purgekit/registry.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>

#include "loader.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/sdk/adapter.hpp"
#include "purgekit/sdk/trusted_path.hpp"

namespace purgekit {
namespace {

namespace fs = std::filesystem;

struct Loaded {
  BackendInfo info;
  pk_backend table{};
};

struct Owned {
  std::unique_ptr<sdk::Backend> backend;
  std::string name;
  std::string version;
  std::string schemes;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, Loaded> loaded;         // by name; nodes never move
  std::map<std::string, std::string> by_path;   // canonical path → name
  std::vector<BackendInfo> refused;
  std::deque<Owned> in_process;
};

// Never destroyed: plugins are never unloaded, and sessions may end after static destructors.
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

// Under the mutex.
std::string add(Registry& r, const pk_backend& table, const std::string& source) {
  std::string name = table.name;
  if (const auto found = r.loaded.find(name); found != r.loaded.end()) return name;
  Loaded entry;
  entry.table = table;
  entry.info = {name, table.version, sdk::abi_text(table.abi), source, words(table.schemes), "ok"};
  r.loaded.emplace(name, std::move(entry));
  return name;
}

std::string found_so_far(const Registry& r) {
  std::string out;
  for (const auto& [name, loaded] : r.loaded) out += (out.empty() ? " Found: " : ", ") + name;
  if (out.empty()) out = " None was found";
  for (const BackendInfo& info : r.refused) out += "; " + info.source + ": " + info.status;
  return out;
}

}  // namespace

std::string load_backend(const std::string& path, Origin origin) {
  // By the path as named: what its links lead to is looked at as well.
  const std::string reason = origin == Origin::own ? "" : sdk::distrust(path, sdk::Trust::code);
  if (!reason.empty()) throw sdk::Error(PK_PRIVILEGE, "plugin " + path + " is not loaded: " + reason);
  Registry& r = registry();
  const std::scoped_lock lock(r.mutex);
  std::error_code problem;
  const std::string canonical = fs::canonical(path, problem).string();
  if (problem) throw sdk::Error(PK_NOT_FOUND, "plugin " + path + ": " + problem.message());
  if (const auto known = r.by_path.find(canonical); known != r.by_path.end()) return known->second;
  const pk_backend table = load_plugin(canonical);
  std::string name = add(r, table, canonical);
  r.by_path[canonical] = name;
  return name;
}

void find_backends(const std::string& directory, Origin origin) {
  if (const std::string reason = origin == Origin::own ? "" : sdk::distrust(directory, sdk::Trust::code); !reason.empty()) {
    log().warn("plugin folder {} is not searched: {}", directory, reason);
    note_refused(directory, "not searched: " + reason);
    return;
  }
  std::error_code problem;
  std::vector<std::string> paths;
  for (fs::directory_iterator it(directory, problem), end; !problem && it != end; it.increment(problem)) {
    const std::string file = it->path().filename().string();
    if (file.starts_with("purgekit_backend_") && file.ends_with(".so")) paths.push_back(it->path().string());
  }
  if (problem) {
    note_refused(directory, problem.message());
    return;
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    try {
      load_backend(path, origin);
    } catch (const sdk::Error& e) {
      // Whoever named the folder wanted it used, and another of the same name may serve instead.
      if (origin == Origin::operators) log().warn("{}", e.message());
      note_refused(path, e.message());
    }
  }
}

void note_refused(const std::string& source, const std::string& reason) {
  Registry& r = registry();
  const std::scoped_lock lock(r.mutex);
  for (const BackendInfo& info : r.refused) {
    if (info.source == source && info.status == reason) return;
  }
  std::string name = fs::path(source).stem().string();
  if (name.starts_with("purgekit_backend_")) name.erase(0, 17);
  r.refused.push_back({name, "", "", source, {}, reason});
}

void register_backend(std::unique_ptr<sdk::Backend> backend, const std::string& name, const std::string& version, const std::string& schemes) {
  Registry& r = registry();
  const std::scoped_lock lock(r.mutex);
  Owned& owned = r.in_process.emplace_back(Owned{std::move(backend), name, version, schemes});
  pk_backend table{};
  table.struct_size = sizeof table;
  table.abi = PURGEKIT_ABI_VERSION;
  table.name = owned.name.c_str();
  table.version = owned.version.c_str();
  table.schemes = owned.schemes.c_str();
  table.maturity = "experimental";
  sdk::fill_verbs(table, *owned.backend);
  // A notebook cell runs again: the newest registration of a name wins for in-process backends.
  if (const auto found = r.loaded.find(name); found != r.loaded.end()) {
    if (found->second.info.source != "python") throw sdk::Error(PK_INVALID_ARGUMENT, "a native backend named " + name + " is registered already; choose another name");
    found->second.table = table;
    found->second.info.version = version;
    found->second.info.schemes = words(schemes);
    return;
  }
  add(r, table, "python");
}

std::vector<BackendInfo> backends() {
  Registry& r = registry();
  const std::scoped_lock lock(r.mutex);
  std::vector<BackendInfo> out;
  for (const auto& [name, loaded] : r.loaded) out.push_back(loaded.info);
  out.insert(out.end(), r.refused.begin(), r.refused.end());
  return out;
}

const pk_backend& backend_named(const std::string& name) {
  Registry& r = registry();
  const std::scoped_lock lock(r.mutex);
  if (const auto found = r.loaded.find(name); found != r.loaded.end()) return found->second.table;
  std::vector<std::string> names;
  for (const auto& [known, loaded] : r.loaded) names.push_back(known);
  throw EngineError(ErrorKind::policy, "unknown_backend", "no backend named " + name + did_you_mean(name, names) + "." + found_so_far(r));
}

std::string backend_for_scheme(const std::string& scheme) {
  Registry& r = registry();
  const std::scoped_lock lock(r.mutex);
  std::vector<std::string> schemes;
  for (const auto& [name, loaded] : r.loaded) {
    for (const std::string& known : loaded.info.schemes) {
      if (known == scheme) return name;
      schemes.push_back(known);
    }
  }
  throw EngineError(ErrorKind::policy, "unknown_backend", "no backend serves URLs of the form " + scheme + "://" + did_you_mean(scheme, schemes) + "." + found_so_far(r));
}

}  // namespace purgekit
