#include "netns/network.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "base/status.h"
#include "bpf/netns.h"
#include "netns/process.h"

namespace faultline::netns_test {
namespace {

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

}  // namespace

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
