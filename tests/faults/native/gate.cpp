// A backend plugin that stands in front of the real one of the same name and does harm at named steps.
//
// PURGEKIT_FAULT_PLUGINS   folder of the real plugins
// PURGEKIT_FAULT_STEPS     "before:commit:2=kill;after:begin:1=pause:a;before:lock_run:0=fail:3"; count 0 is every time
// PURGEKIT_FAULT_FOLDER    where a pause leaves NAME.reached and waits for NAME.go
// PURGEKIT_FAULT_ROWS      most rows a delete_range is asked to visit, so that small tables have many chunks
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "purgekit/abi.h"

namespace {

constexpr int pause_bound_ms = 60'000;

struct Step {
  bool after = false;
  std::string verb;
  long count = 0;
  std::string action;
  std::string argument;
};

pk_backend real;
std::vector<Step> steps;
std::map<std::string, long> calls;
std::int64_t most_rows = 0;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::vector<std::string> split(const std::string& text, char mark) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, mark);) parts.push_back(part);
  return parts;
}

void read_steps() {
  for (const std::string& text : split(environment("PURGEKIT_FAULT_STEPS"), ';')) {
    const std::size_t equals = text.find('=');
    const std::vector<std::string> where = split(text.substr(0, equals), ':');
    const std::string what = text.substr(equals + 1);
    const std::size_t colon = what.find(':');
    steps.push_back({where.at(0) == "after", where.at(1), std::strtol(where.at(2).c_str(), nullptr, 10), what.substr(0, colon),
                     colon == std::string::npos ? "" : what.substr(colon + 1)});
  }
  most_rows = std::strtoll(environment("PURGEKIT_FAULT_ROWS").c_str(), nullptr, 10);
}

void touch(const std::string& name) {
  const int file = open((environment("PURGEKIT_FAULT_FOLDER") + "/" + name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
}

void wait_for_go(const std::string& name) {
  touch(name + ".reached");
  const std::string go = environment("PURGEKIT_FAULT_FOLDER") + "/" + name + ".go";
  for (int waited_ms = 0; access(go.c_str(), F_OK) != 0 && waited_ms < pause_bound_ms; ++waited_ms) usleep(1'000);
}

// The process may have this much more memory than it has now.
void starve(long more_bytes) {
  long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  const rlim_t limit = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + more_bytes);
  const rlimit bound{limit, limit};
  setrlimit(RLIMIT_AS, &bound);
}

std::int32_t failed(int code, pk_error* error) {
  if (error == nullptr) return code;
  *error = {};
  error->code = code;
  error->retryable = (code >= PK_LOCK_TIMEOUT && code <= PK_STATEMENT_TIMEOUT) || code == PK_SERVER_RESOURCES;
  error->connection_lost = code == PK_CONNECTION_LOST || code == PK_IN_DOUBT || code == PK_SERVER_SHUTDOWN;
  error->in_doubt = code == PK_IN_DOUBT;
  std::snprintf(error->message, sizeof error->message, "made to fail with code %d", code);
  return code;
}

// PK_OK, or the code that the verb is to return in place of its own.
std::int32_t at(bool after, const std::string& verb, long count, pk_error* error) {
  for (const Step& step : steps) {
    if (step.after != after || step.verb != verb || (step.count != 0 && step.count != count)) continue;
    if (step.action != "pause") touch("fired");
    if (step.action == "kill") raise(SIGKILL);
    if (step.action == "stop") raise(SIGSTOP);
    if (step.action == "sleep") usleep(static_cast<useconds_t>(std::atoi(step.argument.c_str())) * 1'000);
    if (step.action == "pause") wait_for_go(step.argument);
    if (step.action == "starve") starve(std::atol(step.argument.c_str()));
    if (step.action == "fail") return failed(std::atoi(step.argument.c_str()), error);
  }
  return PK_OK;
}

template <class Call>
std::int32_t through(const std::string& verb, pk_error* error, Call call) {
  static std::mutex counting;  // several workers of a purge call at once
  long count = 0;
  {
    const std::scoped_lock lock(counting);
    count = ++calls[verb];
  }
  if (const std::int32_t code = at(false, verb, count, error); code != PK_OK) return code;
  const std::int32_t own = call();
  const std::int32_t code = own == PK_OK ? at(true, verb, count, error) : PK_OK;
  return code != PK_OK ? code : own;
}

template <auto Slot>
struct Gate;

template <class... Args, std::int32_t (*pk_backend::*Slot)(pk_connection*, Args...)>
struct Gate<Slot> {
  static inline const char* verb = nullptr;
  static std::int32_t call(pk_connection* connection, Args... args) {
    pk_error* error = std::get<sizeof...(Args) - 1>(std::tuple<Args...>(args...));
    return through(verb, error, [&] { return (real.*Slot)(connection, args...); });
  }
};

template <auto Slot>
void guard(pk_backend& table, const char* verb) {
  Gate<Slot>::verb = verb;
  if (table.*Slot != nullptr) table.*Slot = Gate<Slot>::call;
}

std::int32_t delete_range(pk_connection* connection, const pk_range* range, pk_deleted* out, pk_error* error) {
  pk_range smaller = *range;
  if (most_rows > 0) smaller.max_rows = std::min(smaller.max_rows, most_rows);
  return through("delete_range", error, [&] { return real.delete_range(connection, &smaller, out, error); });
}

std::string real_path() {
  Dl_info own{};
  static const char anchor = 0;
  dladdr(&anchor, &own);
  const std::string path = own.dli_fname;
  return environment("PURGEKIT_FAULT_PLUGINS") + path.substr(path.rfind('/'));
}

}  // namespace

extern "C" PURGEKIT_EXPORT std::int32_t purgekit_backend_init(std::uint32_t host_abi, pk_backend* out, pk_error* error) {
  void* library = dlopen(real_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto init = library != nullptr ? reinterpret_cast<pk_backend_init>(dlsym(library, PURGEKIT_ENTRY_SYMBOL)) : nullptr;
  if (init == nullptr) return failed(PK_NOT_FOUND, error);
  const std::int32_t code = init(host_abi, out, error);
  if (code != PK_OK) return code;
  real = *out;
  read_steps();
#define GUARD(slot) guard<&pk_backend::slot>(*out, #slot)
  GUARD(connect);
  GUARD(inspect);
  GUARD(describe);
  GUARD(count);
  GUARD(propose);
  GUARD(prepare);
  GUARD(lock_run);
  GUARD(unlock_run);
  GUARD(ledger_find);
  GUARD(ledger_create);
  GUARD(slot_lock);
  GUARD(slot_write);
  GUARD(run_write);
  GUARD(begin);
  GUARD(delete_children);
  GUARD(checkpoint);
  GUARD(commit);
  GUARD(rollback);
  GUARD(fence);
  GUARD(split);
  out->delete_range = delete_range;
  return PK_OK;
}
