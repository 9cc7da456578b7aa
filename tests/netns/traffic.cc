#include "netns/traffic.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "netns/one_processor.h"

namespace faultline::netns_test {
namespace {

constexpr uint8_t kEchoRequest4 = 8, kEchoReply4 = 0, kEchoRequest6 = 128, kEchoReply6 = 129;

bpf::UniqueFd Listen(int type, uint16_t port) {
  bpf::UniqueFd fd(socket(AF_INET6, type | SOCK_CLOEXEC, 0));
  const int off = 0, on = 1;
  setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in6 any = Address("::", port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)), 0)
      << std::strerror(errno);
  if (type == SOCK_STREAM) listen(fd.get(), 64);
  // A server that is slow to read for a while loses nothing.
  constexpr int kBuffer = 32 << 20;
  if (type == SOCK_DGRAM) {
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof(kBuffer));
  }
  return fd;
}

uint16_t Checksum(const std::string& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += static_cast<uint8_t>(bytes[i]) |
           static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + 1])) << 8;
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// A look is worth while then too: this thread may have stood still meanwhile.
std::chrono::milliseconds LeftUntil(std::chrono::steady_clock::time_point deadline) {
  const auto left = deadline - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0));
}

// What becomes of a connection that is being opened: as TryConnect.
int OutcomeOf(int fd, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    pollfd wait{fd, POLLOUT, 0};
    if (poll(&wait, 1, static_cast<int>(LeftUntil(deadline).count())) <= 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || (wait.revents & POLLOUT) != 0) return error;
    if (std::chrono::steady_clock::now() >= deadline) return ETIMEDOUT;
    // An ICMP error is in the socket's queue, which poll tells, a moment before the
    // connection ends by it.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

EchoServer::EchoServer(const Network& network, uint16_t port) {
  network.InServer([&] {
    udp_ = Listen(SOCK_DGRAM, port);
    tcp_ = Listen(SOCK_STREAM, port);
  });
  stop_ = bpf::UniqueFd(eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this] { Serve(); });
}

EchoServer::~EchoServer() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void EchoServer::Serve() {
  std::vector<bpf::UniqueFd> connections;
  std::vector<char> buffer(256 * 1024);
  while (true) {
    std::vector<pollfd> waits{
        {stop_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
    for (const auto& connection : connections) waits.push_back({connection.get(), POLLIN, 0});
    poll(waits.data(), waits.size(), -1);
    if (waits[0].revents != 0) return;
    if (waits[1].revents != 0) {
      sockaddr_in6 peer{};
      socklen_t size = sizeof(peer);
      const ssize_t got = recvfrom(udp_.get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&peer), &size);
      if (got >= 0) {
        sendto(udp_.get(), buffer.data(), static_cast<size_t>(got), 0,
               reinterpret_cast<sockaddr*>(&peer), size);
      }
    }
    for (size_t i = waits.size(); i-- > 3;) {
      if (waits[i].revents == 0) continue;
      const ssize_t got = recv(waits[i].fd, buffer.data(), buffer.size(), 0);
      if (got > 0) {
        send(waits[i].fd, buffer.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
      } else {
        connections.erase(connections.begin() + static_cast<long>(i) - 3);
      }
    }
    if (waits[2].revents != 0) {
      connections.emplace_back(accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const int on = 1;
      setsockopt(connections.back().get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
  }
}

Acceptor::Acceptor(const Network& network, uint16_t port) {
  network.InServer([&] { socket_ = Listen(SOCK_STREAM, port); });
}

bpf::UniqueFd Acceptor::Accept() {
  EXPECT_TRUE(WaitReadable(socket_.get(), kPatience));
  bpf::UniqueFd accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int on = 1;
  setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return accepted;
}

std::string DnsQuery() {
  constexpr char kQuery[] =
      "\x12\x34\1\0\0\1\0\0\0\0\0\0"
      "\2db\7example\3com\0"
      "\0\1\0\1";
  return std::string(kQuery, sizeof(kQuery) - 1);
}

int TryConnect(const Network& network, const std::string& address, uint16_t port,
               std::chrono::milliseconds patience, const std::string& netns) {
  int error = ETIMEDOUT;
  network.In(netns.empty() ? network.client_netns() : netns, [&] {
    const bpf::UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in6 peer = Address(address, port);
    const int begun = connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer));
    // What connect itself tells is not told again.
    if (begun != 0 && errno != EINPROGRESS) {
      error = errno;
      return;
    }
    error = OutcomeOf(fd.get(), patience);
  });
  return error;
}

Sink::Sink(const Network& network, uint16_t port) {
  network.InServer([&] { socket_ = Listen(SOCK_DGRAM, port); });
}

std::vector<std::string> Sink::Take(size_t most, std::chrono::milliseconds quiet) {
  std::vector<std::string> datagrams;
  std::string buffer(65536, '\0');
  while (datagrams.size() < most && WaitReadable(socket_.get(), quiet)) {
    const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) continue;
    datagrams.push_back(buffer.substr(0, static_cast<size_t>(got)));
    last_ns_ = BoottimeNowNs();
  }
  return datagrams;
}

Client::Client(const Network& network, Protocol protocol, const std::string& address, uint16_t port,
               uint16_t local_port, const std::string& netns)
    : protocol_(protocol), ipv6_(address.find(':') != std::string::npos) {
  network.In(netns.empty() ? network.client_netns() : netns, [&] {
    const int type = protocol == Protocol::kTcp   ? SOCK_STREAM
                     : protocol == Protocol::kUdp ? SOCK_DGRAM
                                                  : SOCK_RAW;
    const int family = protocol == Protocol::kIcmp && !ipv6_ ? AF_INET : AF_INET6;
    const int echo = ipv6_ ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP};
    const int number = protocol == Protocol::kIcmp ? echo : 0;
    socket_ = bpf::UniqueFd(socket(family, type | SOCK_CLOEXEC, number));
    ASSERT_TRUE(socket_.valid()) << std::strerror(errno);
    if (local_port != 0) {
      const sockaddr_in6 local = Address("::", local_port);
      ASSERT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)), 0);
    }
    int result = 0;
    if (family == AF_INET) {
      sockaddr_in peer{};
      peer.sin_family = AF_INET;
      inet_pton(AF_INET, address.c_str(), &peer.sin_addr);
      result = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer));
    } else {
      const sockaddr_in6 peer = Address(address, protocol == Protocol::kIcmp ? uint16_t{0} : port);
      result = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer));
    }
    ASSERT_EQ(result, 0) << std::strerror(errno);
  });
  // Room for what a test sends before it reads.
  const int on = 1, buffer = 8 << 20;
  if (protocol == Protocol::kUdp) {
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
  }
  if (protocol == Protocol::kTcp) {
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
}

std::string Client::Request() {
  ++turn_;
  std::string bytes(16, '\0');
  std::memcpy(bytes.data() + 8, "payload!", 8);
  std::memcpy(bytes.data() + 6, &turn_, sizeof(turn_));
  if (protocol_ == Protocol::kIcmp) {
    bytes[0] = static_cast<char>(ipv6_ ? kEchoRequest6 : kEchoRequest4);
    // The kernel writes an ICMPv6 checksum itself.
    const uint16_t checksum = Checksum(bytes);
    if (!ipv6_) std::memcpy(bytes.data() + 2, &checksum, sizeof(checksum));
  }
  return bytes;
}

std::optional<Milliseconds> Client::RoundTrip(std::chrono::milliseconds patience) {
  const auto began = std::chrono::steady_clock::now();
  const std::string request = Request();
  Send(request);
  while (true) {
    if (!WaitReadable(socket_.get(), LeftUntil(began + patience))) return std::nullopt;
    char buffer[2048];
    const ssize_t got = recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (got < 16) continue;
    const char* tail = buffer + got - 16;
    const bool reply = protocol_ != Protocol::kIcmp ||
                       static_cast<uint8_t>(tail[0]) == (ipv6_ ? kEchoReply6 : kEchoReply4);
    if (reply && std::memcmp(tail + 6, request.data() + 6, 10) == 0) {
      return std::chrono::steady_clock::now() - began;
    }
  }
}

bool Client::AnswersBefore(double limit_ms) {
  constexpr int kAttempts = 10;
  for (int i = 0; i < kAttempts; ++i) {
    const auto time = RoundTrip();
    if (time && time->count() < limit_ms) return true;
  }
  return false;
}

void Client::Send(const std::string& bytes) {
  EXPECT_EQ(send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()))
      << std::strerror(errno);
}

void Client::SendInOrder(int count, const std::function<std::string(int)>& make) {
  const OneProcessor in_order;
  for (int i = 0; i < count; ++i) {
    Send(make(i));
    if (i % 20 != 0) continue;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    AwaitQueues();
  }
  AwaitQueues();
}

std::string Client::Receive(size_t bytes, std::chrono::milliseconds patience) {
  return netns_test::Receive(socket_.get(), bytes, patience);
}

}  // namespace faultline::netns_test
