#include "netns/sockets.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "tests/eventually.h"

namespace faultline::netns_test {

bool Eventually(const std::function<bool()>& holds) {
  return HoldsWithin(kPatience, std::chrono::milliseconds(1), holds);
}

sockaddr_in6 Address(const std::string& text, uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  const std::string mapped = text.find(':') == std::string::npos ? "::ffff:" + text : text;
  EXPECT_EQ(inet_pton(AF_INET6, mapped.c_str(), &address.sin6_addr), 1) << text;
  return address;
}

bool WaitReadable(int fd, std::chrono::milliseconds patience) {
  pollfd wait{fd, POLLIN, 0};
  return poll(&wait, 1, static_cast<int>(patience.count())) > 0;
}

int ErrorOf(int fd, std::chrono::milliseconds patience) {
  if (!WaitReadable(fd, patience)) return ETIMEDOUT;
  char byte = 0;
  return recv(fd, &byte, 1, 0) < 0 ? errno : 0;
}

std::string Receive(int fd, size_t bytes, std::chrono::milliseconds patience) {
  std::string text;
  char buffer[65536];
  while (text.size() < bytes && WaitReadable(fd, patience)) {
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

}  // namespace faultline::netns_test
