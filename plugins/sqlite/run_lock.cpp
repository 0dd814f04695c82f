#include "run_lock.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "purgekit/sdk/error.hpp"
#include "text_hash.hpp"

namespace purgekit::sqlite {

void RunLocks::acquire(dev_t device, ino_t inode, const std::string& key) {
  if (sockets_.count(key) != 0) return;
#if defined(__linux__)
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A name that starts with NUL is abstract: it lives in the kernel only.
  const int length = std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "purgekit-sqlite-%llx-%llx-%s",
                                   static_cast<unsigned long long>(device), static_cast<unsigned long long>(inode), hash_hex(key).c_str());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw sdk::Error(PK_SERVER_RESOURCES, std::string("no socket for the run lock: ") + std::strerror(errno));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    const int problem = errno;
    ::close(descriptor);
    if (problem == EADDRINUSE) {
      throw sdk::Error(PK_LOCK_TIMEOUT, "another purge of this table is running on this machine; nothing was changed, run again when it has ended");
    }
    throw sdk::Error(PK_NOT_SUPPORTED, std::string("no run lock on this system: ") + std::strerror(problem));
  }
  sockets_[key] = descriptor;
#else
  (void)device;
  (void)inode;
  throw sdk::Error(PK_NOT_SUPPORTED, "run locks need Linux; the ledger still keeps two purges of one table apart");
#endif
}

void RunLocks::release(const std::string& key) noexcept {
  const auto found = sockets_.find(key);
  if (found == sockets_.end()) return;
  ::close(found->second);
  sockets_.erase(found);
}

void RunLocks::release_all() noexcept {
  for (const auto& [key, descriptor] : sockets_) ::close(descriptor);
  sockets_.clear();
}

}  // namespace purgekit::sqlite
