// Small clients and servers for tests with real packets. Addresses are text, IPv4 or IPv6.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bpf/fd.h"
#include "netns/harness.h"
#include "netns/sockets.h"

namespace faultline::netns_test {

using Milliseconds = std::chrono::duration<double, std::milli>;

enum class Protocol { kTcp, kUdp, kIcmp };

// Answers every UDP datagram and every burst of TCP bytes with the same bytes, on `port` of all
// addresses of the server's namespace, until destroyed.
class EchoServer {
 public:
  EchoServer(const Network& network, uint16_t port);
  ~EchoServer();

 private:
  void Serve();

  bpf::UniqueFd udp_;
  bpf::UniqueFd tcp_;
  bpf::UniqueFd stop_;
  std::thread thread_;
};

// A TCP port of the server.
class Acceptor {
 public:
  Acceptor(const Network& network, uint16_t port);
  // The next connection's socket.
  bpf::UniqueFd Accept();

 private:
  bpf::UniqueFd socket_;
};

// A DNS query for the address of db.example.com.
std::string DnsQuery();

// What becomes of an attempt to connect to the server, from the client's namespace unless another
// is named: 0, an errno, ETIMEDOUT for nothing within `patience`.
int TryConnect(const Network& network, const std::string& address, uint16_t port,
               std::chrono::milliseconds patience = kPatience, const std::string& netns = "");

// Takes datagrams on a port of the server and keeps them, in the order in which they came.
class Sink {
 public:
  Sink(const Network& network, uint16_t port);

  // What has come, once nothing has for `quiet`, or `most` are there.
  std::vector<std::string> Take(size_t most,
                                std::chrono::milliseconds quiet = std::chrono::milliseconds{700});

  // When the last of them was taken, CLOCK_BOOTTIME.
  uint64_t last_ns() const { return last_ns_; }

 private:
  bpf::UniqueFd socket_;
  uint64_t last_ns_ = 0;
};

// A socket that is connected to the server, in the client's namespace unless another is named.
class Client {
 public:
  Client(const Network& network, Protocol protocol, const std::string& address, uint16_t port,
         uint16_t local_port = 0, const std::string& netns = "");

  // Time until the answer to one small request has come; none when it has not within `patience`.
  std::optional<Milliseconds> RoundTrip(std::chrono::milliseconds patience = kPatience);
  // Whether one of several requests is answered sooner than that: what is not delayed is, also on a
  // machine that is slow now and then.
  bool AnswersBefore(double limit_ms);
  // Requests without waiting.
  void Send(const std::string& bytes);
  // So many, each made from its number: in order as far as the lane, and none lost before it
  // (AwaitQueues).
  void SendInOrder(int count, const std::function<std::string(int)>& make);
  // Bytes that have come, at least `bytes` of them unless patience ends.
  std::string Receive(size_t bytes, std::chrono::milliseconds patience = kPatience);
  int fd() const { return socket_.get(); }

 private:
  std::string Request();

  Protocol protocol_;
  bool ipv6_;
  bpf::UniqueFd socket_;
  uint16_t turn_ = 0;
};

}  // namespace faultline::netns_test
