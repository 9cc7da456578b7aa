// swift_system: waits on loopback for a test program that says what to do, line by line, and
// answers each with a line of JSON (system.h). Prints its port; ends, with all it has started, when
// its standard input does, or at SIGTERM.
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "tests/swift/system.h"

namespace {

volatile sig_atomic_t ending = 0;
void End(int) { ending = 1; }

// A listener on a free port of loopback.
int Listen(int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, raw, size) != 0 || listen(fd, 1) != 0 || getsockname(fd, raw, &size) != 0) return -1;
  *port = ntohs(address.sin_port);
  return fd;
}

bool Answer(faultline::swift::System& system, const std::string& line, int to) {
  std::string answer = system.Do(line).dump() + "\n";
  std::string_view left = answer;
  while (!left.empty()) {
    const ssize_t n = send(to, left.data(), left.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    left.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Serves one connection until it or this program ends.
void Serve(faultline::swift::System& system, int connection) {
  std::string unread;
  std::array<pollfd, 2> fds{{{connection, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  while (!ending) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) ending = 1;
    if (ending || fds[0].revents == 0) continue;
    char buffer[4096];
    const ssize_t n = read(connection, buffer, sizeof buffer);
    if (n <= 0) return;
    unread.append(buffer, static_cast<size_t>(n));
    for (size_t end; (end = unread.find('\n')) != std::string::npos;) {
      const std::string line = unread.substr(0, end);
      unread.erase(0, end + 1);
      if (!Answer(system, line, connection)) return;
    }
  }
}

}  // namespace

int main() {
  struct sigaction action{};
  action.sa_handler = End;  // without SA_RESTART: poll returns
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  int port = 0;
  const int listener = Listen(&port);
  if (listener < 0) return 1;
  std::printf("%d\n", port);
  std::fflush(stdout);
  faultline::swift::System system;
  std::array<pollfd, 2> fds{{{listener, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  while (!ending) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) break;
    const int connection = accept(listener, nullptr, nullptr);
    if (connection < 0) continue;
    Serve(system, connection);
    close(connection);
  }
  return 0;
}
