#include "tests/ports/free_ports.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace faultline {
namespace {

constexpr int kFirst = 10'000;
constexpr int kCount = 20'000;  // the kernel's own begin at 32,768

// Binds a name in the abstract namespace of sockets, which lasts as long as this process, and is
// nobody else's until then.
bool Reserve(int port) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string text = fmt::format("faultline-test-port-{}", port);
  std::memcpy(name.sun_path + 1, text.data(), text.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0) return true;
  close(fd);
  return false;
}

bool NobodyListens(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  const int reuse = 1;  // what a server just gone leaves behind is no obstacle
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

}  // namespace

int FreePort() {
  static std::mutex mutex;
  static int next = getpid() * 31;
  const std::lock_guard lock(mutex);
  for (int tried = 0; tried < kCount; ++tried) {
    const int port = kFirst + next++ % kCount;
    if (NobodyListens(port) && Reserve(port)) return port;
  }
  fmt::print(stderr, "no port from {} to {} is free\n", kFirst, kFirst + kCount - 1);
  std::abort();
}

std::vector<int> FreePorts(int count) {
  std::vector<int> ports;
  for (int i = 0; i < count; ++i) ports.push_back(FreePort());
  return ports;
}

}  // namespace faultline
