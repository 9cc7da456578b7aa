#include "netns/network.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/status.h"
#include "bpf/netns.h"
#include "netns/process.h"
#include "netns/sockets.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr char kPrefix[] = "fl-test-";

void RemoveLeftovers() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/run/netns", ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const pid_t owner = std::atoi(name.c_str() + sizeof(kPrefix) - 1);
    int exit_code = 0;
    if (kill(owner, 0) != 0 && errno == ESRCH) RunAnyhow({"ip", "netns", "del", name}, &exit_code);
  }
}

// A socket for datagrams of both families in the calling thread's namespace, and its port.
std::pair<bpf::UniqueFd, uint16_t> DatagramSocket() {
  bpf::UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 own = Address("::", 0);
  socklen_t size = sizeof(own);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), size), 0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size), 0);
  return {std::move(fd), ntohs(own.sin6_port)};
}

// Frames of no protocol that anybody knows, of the calling thread's interface.
class Frames {
 public:
  Frames() : fd_(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_802_EX1))) {
    EXPECT_TRUE(fd_.valid());
    all_.sll_family = AF_PACKET;
    all_.sll_protocol = htons(ETH_P_802_EX1);
    all_.sll_ifindex = static_cast<int>(if_nametoindex(Network::kInterface));
    all_.sll_halen = ETH_ALEN;
    std::fill_n(all_.sll_addr, ETH_ALEN, 0xff);
  }
  void Send() const {
    (void)sendto(fd_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&all_), sizeof(all_));
  }
  bool Come() const { return WaitReadable(fd_.get(), 1ms); }

 private:
  bpf::UniqueFd fd_;
  sockaddr_ll all_{};
};

// Sends a byte.
void SendTo(const bpf::UniqueFd& fd, const sockaddr_in6& to) {
  (void)sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
}

// Whether a processor has packets that have come to a device and are not looked at yet.
bool AnyQueued() {
  constexpr int kQueuedAt = 11;
  std::ifstream file("/proc/net/softnet_stat");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    for (int at = 0; at <= kQueuedAt; ++at) words >> word;
    if (std::stoul(word, nullptr, 16) != 0) return true;
  }
  return false;
}

}  // namespace

void AwaitQueues() {
  EXPECT_TRUE(Eventually([] { return !AnyQueued(); })) << "packets wait and wait";
}

Network::Network() {
  static int number = 0;
  RemoveLeftovers();
  const std::string stem = kPrefix + std::to_string(getpid()) + "-" + std::to_string(++number);
  server_ = stem + "-srv";
  client_ = stem + "-cli";
  RunBatch({"ip"}, {"netns add " + server_, "netns add " + client_});
  Join();
}

void Network::RestartServer() {
  RunBatch({"ip", "-n", client_}, {fmt::format("link del {}", kInterface)}, /*must=*/false);
  RunBatch({"ip"}, {"netns del " + server_, "netns add " + server_});
  Join();
}

void Network::Join() {
  // One call for each namespace: each takes long where a machine is emulated.
  RunBatch({"ip"}, {fmt::format("link add {0} netns {1} type veth peer name {0} netns {2}",
                                kInterface, server_, client_)});
  const struct {
    const std::string& netns;
    const char* v4;
    const char* v6;
  } ends[] = {{server_, kServer4, kServer6}, {client_, kClient4, kClient6}};
  for (const auto& end : ends) {
    RunBatch({"ip", "-n", end.netns},
             {fmt::format("addr add {}/24 dev {}", end.v4, kInterface),
              fmt::format("addr add {}/64 dev {} nodad", end.v6, kInterface), "link set lo up",
              fmt::format("link set {} up", kInterface)});
  }
  // Threads of the kernel's do the rest, late on a busy machine. Who asks for a neighbour before
  // asks again a second later.
  AwaitFrames();
  for (const auto& end : ends) {
    for (const char* address : {end.v4, end.v6}) AwaitAddress(end.netns, address);
  }
  for (const char* address : {kServer4, kServer6}) AwaitAnswer(address);
}

void Network::AwaitFrames() const {
  std::optional<Frames> server, client;
  InServer([&] { server.emplace(); });
  InClient([&] { client.emplace(); });
  for (const auto& [from, to] : {std::pair(&server, &client), std::pair(&client, &server)}) {
    EXPECT_TRUE(Eventually([&] {
      (*from)->Send();
      return (*to)->Come();
    }));
  }
}

void Network::AwaitAddress(const std::string& netns, const char* address) const {
  In(netns, [&] {
    const auto [own, port] = DatagramSocket();
    EXPECT_TRUE(Eventually([&] {
      SendTo(own, Address(address, port));
      return WaitReadable(own.get(), 1ms);
    })) << address;
  });
}

void Network::AwaitAnswer(const char* address) const {
  bpf::UniqueFd server, client;
  uint16_t port = 0;
  InServer([&] { std::tie(server, port) = DatagramSocket(); });
  InClient([&] { client = DatagramSocket().first; });
  EXPECT_TRUE(Eventually([&] {
    SendTo(client, Address(address, port));
    if (!WaitReadable(server.get(), 50ms)) return false;
    sockaddr_in6 peer{};
    socklen_t size = sizeof(peer);
    char byte = 0;
    auto* const from = reinterpret_cast<sockaddr*>(&peer);
    if (recvfrom(server.get(), &byte, 1, 0, from, &size) != 1) return false;
    SendTo(server, peer);
    return WaitReadable(client.get(), 50ms);
  })) << address;
}

Network::~Network() {
  // A test may have removed one itself.
  RunBatch({"ip", "-force"}, {"netns del " + server_, "netns del " + client_}, /*must=*/false);
}

void Network::In(const std::string& netns, const std::function<void()>& work) const {
  const auto fd = bpf::OpenNetns(netns);
  ASSERT_TRUE(fd.ok()) << fd.status();
  const Status status = bpf::InNetns(*fd, [&] {
    work();
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
}

std::vector<std::string> Network::Inside(const std::string& netns,
                                         const std::vector<std::string>& command) {
  std::vector<std::string> whole = {"ip", "netns", "exec", netns};
  whole.insert(whole.end(), command.begin(), command.end());
  return whole;
}

std::vector<std::string> Network::Links(const std::string& netns) const {
  std::istringstream lines(RunProgram({"ip", "-n", netns, "-br", "link"}));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    names.push_back(line.substr(0, line.find_first_of(" @")));
  }
  return names;
}

std::string Network::KernelState(const std::string& netns) const {
  std::string state = RunProgram({"ip", "-n", netns, "-br", "link"});
  state += RunProgram({"tc", "-n", netns, "qdisc", "show"});
  for (const char* side : {"ingress", "egress"}) {
    int no_clsact = 0;
    state += RunAnyhow({"tc", "-n", netns, "filter", "show", "dev", kInterface, side}, &no_clsact);
  }
  int no_bpftool = 0;
  state += RunAnyhow({"ip", "netns", "exec", netns, "bpftool", "net", "show"}, &no_bpftool);
  return state;
}

}  // namespace faultline::netns_test
