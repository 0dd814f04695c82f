/// \file keepalive.hpp
/// A line whose other end vanished without a word. The connector offers no way to its socket, so it is found by looking.
#pragma once

#include <set>

namespace purgekit::mysql {

/// Descriptors of this process that are sockets.
std::set<int> open_sockets();

/// Let the kernel give a TCP line to `port` up after a minute of silence on it, among the sockets opened since `before`. Without this a
/// read from a host that lost its power waits for hours.
void watch_new_lines(const std::set<int>& before, int port) noexcept;

}  // namespace purgekit::mysql
