/// \file log.hpp
/// The engine's log: spdlog to standard error when asked for, and to a sink of the host program. Never holds values or secrets.
///
/// Thread rule: everything here may be called from any thread. The log level never changes what is deleted.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace purgekit {

/// The one logger, named "purgekit". Starts at the level of PURGEKIT_LOG, else warning, and writes nowhere until told to.
spdlog::logger& log();

/// "trace", "debug", "info", "warning", "error", "critical", "off". \throws EngineError (policy) naming the nearest.
void set_log_level(const std::string& level);

/// Records go to standard error, or no longer.
void log_to_stderr(bool on);

/// `sink(level, message)` gets each record; an empty function removes it. Called on the thread that logs.
void set_log_sink(std::function<void(const std::string&, const std::string&)> sink);

}  // namespace purgekit
