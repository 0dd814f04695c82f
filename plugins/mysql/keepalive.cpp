#include "keepalive.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>

namespace purgekit::mysql {
namespace {

// The same as the PostgreSQL backend asks of libpq.
constexpr int idle_s = 30;
constexpr int interval_s = 10;
constexpr int probes = 3;
constexpr int unanswered_ms = 60'000;

int peer_port(int descriptor) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return -1;
  if (peer.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &peer, sizeof address);
    return ntohs(address.sin_port);
  }
  if (peer.ss_family == AF_INET6) {
    sockaddr_in6 address{};
    std::memcpy(&address, &peer, sizeof address);
    return ntohs(address.sin6_port);
  }
  return -1;
}

void set(int descriptor, int level, int name, int value) { static_cast<void>(::setsockopt(descriptor, level, name, &value, sizeof value)); }

}  // namespace

std::set<int> open_sockets() {
  std::set<int> out;
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return out;
  while (const dirent* entry = ::readdir(folder)) {
    char* end = nullptr;
    const long number = std::strtol(entry->d_name, &end, 10);
    struct stat facts {};
    if (end != entry->d_name && ::fstat(static_cast<int>(number), &facts) == 0 && S_ISSOCK(facts.st_mode)) out.insert(static_cast<int>(number));
  }
  ::closedir(folder);
  return out;
}

void watch_new_lines(const std::set<int>& before, int port) noexcept {
  try {
    for (const int descriptor : open_sockets()) {
      if (before.count(descriptor) != 0 || peer_port(descriptor) != port) continue;
      set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(__linux__)
      set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
      set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
      set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, probes);
      set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, unanswered_ms);
#endif
    }
  } catch (const std::exception&) {
    // Without it the line works as well; only its death is noticed later.
  }
}

}  // namespace purgekit::mysql
