// Whether the measured percentiles are true: requests to a server whose answers are delayed, timed
// at the client by the kernel's own receive time stamps (SO_TIMESTAMPNS), beside the histogram.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "netns/harness.h"
#include "report.h"

namespace faultline::bench {
namespace {

using netns_test::Network;

constexpr double kGoalPercent = 2;
constexpr double kDelayMs = 12, kJitterMs = 2;
constexpr int kRequests = 3'000;
constexpr int kConnections = 8;  // sockets that ask at the same time
constexpr uint16_t kPort = 9'990;

sockaddr_in Address(const char* host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

int Socket(const char* host, uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Address(host, port);
  bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const timeval patience{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// Answers whoever asks, until told to stop.
void Serve(int fd, const std::atomic<bool>& stopped) {
  char buffer[64];
  while (!stopped) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t n =
        recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n > 0)
      sendto(fd, buffer, static_cast<size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

// When the kernel took the answer in, Unix nanoseconds; 0 when none came.
int64_t ReceiveStamp(int fd) {
  char buffer[64], control[128];
  iovec io{buffer, sizeof buffer};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(fd, &message, 0) <= 0) return 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec at{};
    std::memcpy(&at, CMSG_DATA(c), sizeof at);
    return int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
  }
  return 0;
}

std::vector<double> AskMs(int fd, int requests) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  const sockaddr_in to = Address(Network::kServer4, kPort);
  std::vector<double> times;
  for (int i = 0; i < requests; ++i) {
    const int64_t sent_ns = UnixNowNs();
    sendto(fd, "ask", 3, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    const int64_t received_ns = ReceiveStamp(fd);
    if (received_ns > 0) times.push_back(static_cast<double>(received_ns - sent_ns) / 1e6);
  }
  return times;
}

class Host : public netns_test::DriverTest {
 public:
  void TestBody() override {}

  int Measure() {
    Report report("p99_truth");
    if (const auto reason = netns_test::WhyNot()) {
      report.Fail(*reason);
      return report.ExitCode();
    }
    SetUp();
    SetTarget(ServerTarget({kPort}));
    const auto [plain, plain_truth] = Run(kRequests);
    auto latency = Latency(kDelayMs);
    latency.set_jitter_ms(kJitterMs);
    Arm(latency);
    const auto [delayed, delayed_truth] = Run(kRequests);
    const auto error = [](const Histogram& histogram, const std::vector<double>& truth, double p) {
      return std::abs(histogram.PercentileNs(p) / 1e6 / Percentile(truth, p) - 1) * 100;
    };
    if (delayed_truth.size() < kRequests * 9 / 10 || delayed.count() < kRequests * 9 / 10) {
      report.Fail("too few answers came");
    } else {
      report.AtMost("p50_error_percent", error(delayed, delayed_truth, 50), "%", kGoalPercent);
      report.AtMost("p99_error_percent", error(delayed, delayed_truth, 99), "%", kGoalPercent);
      report.Beside("p99_ms", delayed.PercentileNs(99) / 1e6, "ms", "SO_TIMESTAMPNS",
                    Percentile(delayed_truth, 99));
      report.Beside("baseline_p50_ms", plain.PercentileNs(50) / 1e6, "ms", "SO_TIMESTAMPNS",
                    Percentile(plain_truth, 50));
    }
    driver_.reset();
    network_.reset();
    return report.ExitCode();
  }

 private:
  // What the driver measured of so many requests, and what the client saw.
  std::pair<Histogram, std::vector<double>> Run(int requests) {
    Sample();  // what was before
    int server = -1;
    network_->InServer([&] { server = Socket(Network::kServer4, kPort); });
    std::atomic<bool> stopped{false};
    std::thread serving([&] { Serve(server, stopped); });
    std::vector<std::vector<double>> times(kConnections);
    std::vector<std::thread> clients;
    for (auto& mine : times) {
      int fd = -1;
      network_->InClient([&] { fd = Socket(Network::kClient4, 0); });
      clients.emplace_back([fd, requests, &mine] {
        mine = AskMs(fd, requests / kConnections);
        close(fd);
      });
    }
    for (auto& client : clients) client.join();
    stopped = true;
    serving.join();
    close(server);
    std::pair<Histogram, std::vector<double>> result;
    result.first.Merge(Sample().latency()).IgnoreError();
    for (const auto& mine : times) {
      result.second.insert(result.second.end(), mine.begin(), mine.end());
    }
    return result;
  }
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Measure(); }
