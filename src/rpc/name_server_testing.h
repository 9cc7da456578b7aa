// A DNS server for tests, which knows one name or none.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>

namespace faultline::rpc {

class NameServer {
 public:
  // What it says of the name: nothing at all, that there is none, or that it leads to 127.0.0.1.
  enum class Says { kNothing, kNone, kLoopback };

  // `name`: as "peer.test".
  explicit NameServer(const std::string& name) {
    size_t begin = 0;
    while (begin <= name.size()) {
      const size_t end = std::min(name.find('.', begin), name.size());
      name_ += static_cast<char>(end - begin) + name.substr(begin, end - begin);
      begin = end + 1;
    }
    name_ += '\0';
    text_ = name;
    socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(own);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&own), size), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size), 0);
    port_ = ntohs(own.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~NameServer() {
    shutdown(socket_, SHUT_RDWR);  // ends the wait for a question
    thread_.join();
    close(socket_);
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  // The name with that port, as gRPC takes it to ask this server.
  std::string Address(int port) const {
    return "dns://127.0.0.1:" + std::to_string(port_) + "/" + text_ + ":" + std::to_string(port);
  }
  void Say(Says says) { says_ = says; }
  // How often the name was looked up: its IPv4 addresses, that is.
  int asked() const { return asked_; }

 private:
  static constexpr size_t kHeaderBytes = 12;
  static constexpr char kA = 1;

  void Run() {
    std::array<char, 512> buffer;
    for (;;) {
      sockaddr_in from{};
      socklen_t size = sizeof(from);
      const ssize_t got = recvfrom(socket_, buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
      if (got <= 0) return;
      const std::string answer = Answer({buffer.data(), static_cast<size_t>(got)});
      if (answer.empty()) continue;
      sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  // RFC 1035: the header and the one question again, and the address if there is one. Of other
  // names, which resolvers make of it and their search domains, there is none.
  std::string Answer(const std::string& question) {
    const size_t root = question.find('\0', kHeaderBytes);  // ends the name
    if (root == std::string::npos || root + 5 > question.size()) return "";
    const size_t end = root + 5;  // behind type and class
    const bool is_ours = question.compare(kHeaderBytes, name_.size(), name_) == 0;
    const bool is_a = question[root + 2] == kA;
    asked_ += is_ours && is_a;
    const Says says = is_ours ? says_.load() : Says::kNone;
    if (says == Says::kNothing) return "";
    const bool found = says == Says::kLoopback;
    std::string answer = question.substr(0, 2);
    answer += static_cast<char>(0x81);                    // an answer
    answer += static_cast<char>(0x80 | (found ? 0 : 3));  // NXDOMAIN
    answer += std::string("\0\1\0", 3) + static_cast<char>(found && is_a);
    answer += std::string(4, '\0') + question.substr(kHeaderBytes, end - kHeaderBytes);
    if (found && is_a) {
      // The name of the question, A, IN, for no time, four bytes.
      answer += std::string("\xc0\x0c\0\1\0\1\0\0\0\0\0\4", 12) + std::string("\x7f\0\0\1", 4);
    }
    return answer;
  }

  std::string text_, name_;  // as it is written, and on the wire
  int socket_ = -1;
  int port_ = 0;
  std::atomic<Says> says_{Says::kNone};
  std::atomic<int> asked_{0};
  std::thread thread_;
};

}  // namespace faultline::rpc
