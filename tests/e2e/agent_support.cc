#include "e2e/agent_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/clock.h"

namespace faultline::e2e {
namespace {

constexpr uint16_t kPort = 9'977;
constexpr const char* kServiceAddress = "10.77.0.1";
constexpr const char* kClientAddress = "10.77.0.2";
constexpr uint64_t kMostBehindNs = 100 * kNanosPerMilli;
constexpr uint64_t kPatienceNs = 60 * kNanosPerSecond;

sockaddr_in Address(const char* host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

// A UDP socket that lives in a namespace; made by a thread of its own, since setns is per thread.
int UdpSocketIn(const std::string& netns, const char* host, uint16_t port) {
  int fd = -1;
  std::thread([&] {
    const int ns = open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) return;
    close(ns);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Address(host, port);
    bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }).join();
  return fd;
}

}  // namespace

std::string WhyNotHere() {
  if (geteuid() != 0) return "needs root";
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "the kernel has no BTF";
  if (access("/dev/net/tun", R_OK) != 0) return "the kernel has no TUN devices";
  return "";
}

TempFolder::TempFolder() {
  char pattern[] = "/tmp/faultline_e2e_XXXXXX";
  path_ = mkdtemp(pattern);
}
TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

std::string Shell(const std::string& command) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  pclose(pipe);
  if (!output.empty() && output.back() == '\n') output.pop_back();
  return output;
}

void Prepare(const std::string& command) {
  const std::string output = Shell(command);
  if (!output.empty()) fmt::print(stderr, "`{}` said: {}\n", command, output);
}

NetPair::NetPair() {
  static std::atomic<int> count{0};
  const std::string id = fmt::format("{}_{}", getpid(), count++);
  service_ = "fls" + id;
  client_ = "flc" + id;
  Prepare("ip netns add " + client_ + " && ip -n " + client_ + " link set lo up");
  MakeService();
}

void NetPair::MakeService() const {
  Prepare("ip netns add " + service_ + " && ip -n " + service_ + " link set lo up");
  Prepare(
      fmt::format("ip -n {} link add svc0 type veth peer name cli0 netns {}", service_, client_));
  Prepare(fmt::format("ip -n {} addr add {}/24 dev svc0", service_, kServiceAddress));
  Prepare(fmt::format("ip -n {} addr add {}/24 dev cli0", client_, kClientAddress));
  Prepare(fmt::format("ip -n {} link set svc0 up; ip -n {} link set cli0 up", service_, client_));
}

void NetPair::RemoveService() const {
  Prepare("ip -n " + client_ + " link del cli0");
  Prepare("ip netns del " + service_);
}

NetPair::~NetPair() {
  for (const auto& name : {service_, client_}) Shell("ip netns del " + name);
}

Process::Process(const std::vector<std::string>& arguments, const std::string& log_path) {
  std::vector<char*> raw;
  for (const std::string& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  if (posix_spawn(&pid_, raw[0], &actions, nullptr, raw.data(), environ) != 0) pid_ = -1;
  posix_spawn_file_actions_destroy(&actions);
}

Process::~Process() {
  if (!Running()) return;
  Signal(SIGCONT);
  Signal(SIGKILL);
  Wait();
}

bool Process::Running() {
  if (pid_ < 0 || exit_code_ >= 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == 0) return true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

void Process::Signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

int Process::Wait() {
  if (exit_code_ >= 0 || pid_ < 0) return exit_code_;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

UdpStream::UdpStream(const NetPair& net, unsigned packets_per_second)
    : packets_(new Packet[kMaxPackets]),
      sender_(UdpSocketIn(net.service(), kServiceAddress, 0)),
      receiver_(UdpSocketIn(net.client(), kClientAddress, kPort)) {
  const sockaddr_in to = Address(kClientAddress, kPort);
  connect(sender_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  const timeval patience{0, 50'000};
  setsockopt(receiver_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  receive_thread_ = std::thread([this] { Receive(); });
  send_thread_ = std::thread([this, packets_per_second] { Send(packets_per_second); });
}

void UdpStream::Stop() {
  stopped_.store(true);
  if (send_thread_.joinable()) send_thread_.join();
}

UdpStream::~UdpStream() {
  Stop();
  receive_thread_.join();
  close(sender_);
  close(receiver_);
}

void UdpStream::Send(unsigned packets_per_second) {
  const uint64_t period_ns = kNanosPerSecond / packets_per_second;
  uint64_t due_ns = MonotonicNowNs();
  for (uint64_t packet = 0; packet < kMaxPackets && !stopped_.load(); ++packet) {
    packets_[packet].sent_ns.store(MonotonicNowNs());
    // A full queue or an unreachable neighbour is a packet that does not arrive.
    if (send(sender_, &packet, sizeof packet, 0) < 0) due_ns = std::max(due_ns, MonotonicNowNs());
    sent_.store(packet + 1);
    // What a starved machine did not send in time is not made up for: that would keep it starved.
    due_ns = std::max(due_ns + period_ns, MonotonicNowNs() - kMostBehindNs);
    const timespec until{static_cast<time_t>(due_ns / kNanosPerSecond),
                         static_cast<long>(due_ns % kNanosPerSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }
}

void UdpStream::Receive() {
  while (!stopped_.load()) {
    uint64_t packet = 0;
    if (recv(receiver_, &packet, sizeof packet, 0) != sizeof packet || packet >= kMaxPackets) {
      continue;
    }
    packets_[packet].received_ns.store(MonotonicNowNs());
  }
}

uint64_t UdpStream::delay_ns(size_t packet) const {
  const uint64_t received_ns = packets_[packet].received_ns.load();
  return received_ns == 0 ? UINT64_MAX : received_ns - packets_[packet].sent_ns.load();
}

uint64_t UdpStream::MedianDelayNs(uint64_t window_ms) const {
  const uint64_t from_ns = MonotonicNowNs() - window_ms * kNanosPerMilli;
  std::vector<uint64_t> delays;
  for (size_t packet = sent(); packet-- > 0;) {
    const uint64_t received_ns = packets_[packet].received_ns.load();
    // Nothing here delays a packet by more than a second.
    if (packets_[packet].sent_ns.load() + kNanosPerSecond < from_ns) break;
    if (received_ns >= from_ns) delays.push_back(delay_ns(packet));
  }
  if (delays.empty()) return UINT64_MAX;
  std::nth_element(delays.begin(), delays.begin() + static_cast<long>(delays.size() / 2),
                   delays.end());
  return delays[delays.size() / 2];
}

uint64_t UdpStream::ShortestDelayNs(size_t first, size_t count) const {
  uint64_t shortest_ns = UINT64_MAX;
  const size_t end = std::min(first + count, sent());
  for (size_t packet = first; packet < end; ++packet) {
    shortest_ns = std::min(shortest_ns, delay_ns(packet));
  }
  return shortest_ns;
}

bool UdpStream::AwaitSlow(uint64_t at_least_ms) const {
  const uint64_t give_up_ns = MonotonicNowNs() + kPatienceNs;
  while (MonotonicNowNs() < give_up_ns) {
    const uint64_t median_ns = MedianDelayNs(50);
    if (median_ns != UINT64_MAX && median_ns >= at_least_ms * kNanosPerMilli) return true;
    usleep(5'000);
  }
  return false;
}

bool UdpStream::AwaitFast(uint64_t at_most_ms, unsigned seconds) const {
  const uint64_t give_up_ns = MonotonicNowNs() + seconds * kNanosPerSecond;
  while (MonotonicNowNs() < give_up_ns) {
    if (MedianDelayNs(50) <= at_most_ms * kNanosPerMilli) return true;
    usleep(5'000);
  }
  return false;
}

std::string WriteAgentConfig(const std::string& folder, const NetPair& net,
                             const std::vector<std::string>& controllers) {
  const std::string path = folder + "/agent.yaml";
  std::ofstream(path) << fmt::format(
      "agent_id: e2e\n"
      "controllers: [{}]\n"
      "state_dir: {}/state\n"
      "socket: {}/run/agent.sock\n"
      "http_listen: off\n"
      "targets:\n"
      "- name: checkout\n"
      "  labels: {{service: checkout, version: v1}}\n"
      "  interface: svc0\n"
      "  netns: {}\n"
      "- name: client\n"
      "  labels: {{service: client}}\n"
      "  interface: cli0\n"
      "  netns: {}\n",
      fmt::join(controllers, ", "), folder, folder, net.service(), net.client());
  return path;
}

}  // namespace faultline::e2e
