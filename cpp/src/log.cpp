#include "purgekit/log.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/error.hpp"

namespace purgekit {
namespace {

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void set(std::function<void(const std::string&, const std::string&)> function) {
    const std::scoped_lock lock(mutex_);
    function_ = std::move(function);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!function_) return;
    const auto level = spdlog::level::to_string_view(message.level);
    function_(std::string(level.data(), level.size()), std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

 private:
  std::function<void(const std::string&, const std::string&)> function_;
};

struct Log {
  std::shared_ptr<FunctionSink> function = std::make_shared<FunctionSink>();
  std::shared_ptr<spdlog::sinks::stderr_sink_mt> standard_error = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  std::shared_ptr<spdlog::logger> logger;

  Log() {
    standard_error->set_level(spdlog::level::off);
    const std::vector<spdlog::sink_ptr> sinks = {function, standard_error};
    logger = std::make_shared<spdlog::logger>("purgekit", sinks.begin(), sinks.end());
    logger->set_level(spdlog::level::warn);
    if (const char* level = std::getenv("PURGEKIT_LOG"); level != nullptr) logger->set_level(spdlog::level::from_str(level));
  }
};

// Never destroyed: threads of the host may log while static destructors run.
Log& instance() {
  static Log* log = new Log;
  return *log;
}

}  // namespace

spdlog::logger& log() { return *instance().logger; }

void set_log_level(const std::string& level) {
  static const std::vector<std::string> levels = {"trace", "debug", "info", "warning", "error", "critical", "off"};
  const std::string wanted = level == "warn" ? "warning" : level == "err" ? "error" : level;
  if (std::find(levels.begin(), levels.end(), wanted) == levels.end()) bad_policy("unknown log level " + level + did_you_mean(level, levels));
  instance().logger->set_level(spdlog::level::from_str(wanted));
}

void log_to_stderr(bool on) { instance().standard_error->set_level(on ? spdlog::level::trace : spdlog::level::off); }

void set_log_sink(std::function<void(const std::string&, const std::string&)> sink) { instance().function->set(std::move(sink)); }

}  // namespace purgekit
