#include "tests/cluster/sites.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>

namespace faultline::cluster {
namespace {

// Its output; a status other than 0 is part of it, with the command.
std::string Shell(const std::string& command) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4'096> buffer;
  while (const size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), size);
  }
  const int status = pclose(pipe);
  if (status == 0) return output;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return fmt::format("`{}` ended with {}: {}", command, code, output);
}

// Commands without which the test shows nothing, and that print nothing.
void Must(std::initializer_list<std::string> commands) {
  for (const std::string& command : commands) EXPECT_EQ(Shell(command), "");
}

std::atomic<int> objects_made{0};

}  // namespace

std::string Sites::EnterOwnNamespace() {
  static const std::string why = [] {
    if (geteuid() != 0) return std::string("needs root");
    if (unshare(CLONE_NEWNET) != 0) return std::string("cannot make a network namespace");
    return Shell("ip link set lo up");
  }();
  return why;
}

std::string Sites::Name(int node) const {
  return fmt::format("flc{}_{}_{}", getpid(), object_, node);
}
std::string Sites::Link(int node) const { return fmt::format("s{}_{}", object_, node); }
std::string Sites::Bridge() const { return fmt::format("br{}", object_); }
std::string Sites::Address(int node) const { return fmt::format("10.79.{}.{}", object_, node); }
std::string Sites::api_address(int node) const { return Address(node) + ":7400"; }

std::vector<std::string> Sites::api_addresses() const {
  std::vector<std::string> addresses;
  for (int node = 1; node <= size(); ++node) addresses.push_back(api_address(node));
  return addresses;
}

std::string Sites::SyncFile(int node) const {
  return fmt::format("{}/sync-delay-{}", directory_.path(), node);
}

Sites::Sites(Options options) : object_(objects_made++), options_(std::move(options)) {
  nodes_.resize(static_cast<size_t>(options_.nodes));
  MakeLinks();
  MakeCertificates();
  for (int node = 1; node <= size(); ++node) {
    SlowDisk(node, 0);
    if (options_.start) Start(node);
  }
}

Sites::~Sites() {
  for (auto& node : nodes_) node.reset();
  for (int node = 1; node <= size(); ++node) {
    // The link first: what is left in a namespace goes some time after it.
    Must({"ip link del " + Link(node), "ip netns del " + Name(node)});
  }
  Must({"ip link del " + Bridge()});
}

void Sites::MakeLinks() {
  const std::string bridge = Bridge();
  Must({"ip link add " + bridge + " type bridge",
        fmt::format("ip addr add {}/24 dev {}", Address(kTest), bridge),
        "ip link set " + bridge + " up"});
  for (int node = 1; node <= size(); ++node) {
    const std::string name = Name(node), link = Link(node);
    Must({"ip netns add " + name,
          fmt::format("ip link add {} type veth peer name up0 netns {}", link, name),
          fmt::format("ip link set {} master {} up", link, bridge),
          fmt::format("ip -n {} link set lo up", name),
          fmt::format("ip -n {} addr add {}/24 dev up0", name, Address(node)),
          fmt::format("ip -n {} link set up0 up", name)});
  }
}

void Sites::MakeCertificates() {
  std::string names = "subjectAltName=IP:127.0.0.1";
  for (int node = 1; node <= size(); ++node) names += ",IP:" + Address(node);
  const std::string output = Shell(fmt::format(
      "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "-subj /CN=test-ca -keyout ca.key -out ca.pem && "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout "
      "node.key -out node.csr && printf '{}' > ext && "
      "openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
      "-extfile ext -out node.pem && echo made",
      directory_.path(), names));
  EXPECT_NE(output.find("made"), std::string::npos) << output;
  tls_ = {directory_.path() + "/ca.pem", directory_.path() + "/node.pem",
          directory_.path() + "/node.key"};
}

void Sites::Start(int node) {
  std::string members;
  for (int each = 1; each <= size(); ++each) {
    members += fmt::format("{}{}={}:7401", each == 1 ? "" : ",", each, Address(each));
  }
  const std::string dir = directory_.path();
  std::vector<std::string> command = {"/usr/bin/nsenter", "--net=/run/netns/" + Name(node)};
  if (options_.may_slow) {
    command.insert(command.end(), {"/usr/bin/env", "LD_PRELOAD=" FAULTLINE_SLOW_SYNC,
                                   "FAULTLINE_SYNC_DELAY_FILE=" + SyncFile(node)});
  }
  command.insert(
      command.end(),
      {FAULTLINE_BIN_DIR "/faultline-controller", "--id", std::to_string(node), "--data-dir",
       fmt::format("{}/data-{}", dir, node), "--api-listen", api_address(node), "--peer-listen",
       Address(node) + ":7401", "--members", members, "--tls-ca", tls_.ca_file, "--tls-cert",
       tls_.cert_file, "--tls-key", tls_.key_file});
  if (!options_.lease.empty()) command.insert(command.end(), {"--lease", options_.lease});
  nodes_[static_cast<size_t>(node - 1)] =
      std::make_unique<Process>(command, fmt::format("{}/node-{}.log", dir, node));
}

bool Sites::Serves(int node) const {
  const std::string log = nodes_[static_cast<size_t>(node - 1)]->own_log();
  return log.find(" serves on ") != std::string::npos;
}

std::string Sites::Logs() const { return Shell("tail -n 15 " + directory_.path() + "/*.log"); }

void Sites::Cut(int from, int to) {
  // A neighbour that is not there: packets leave, and arrive nowhere.
  Must({fmt::format("ip -n {} neigh replace {} lladdr 02:00:00:00:ff:ff nud permanent dev up0",
                    Name(from), Address(to))});
}

void Sites::Unplug(int node) { Must({"ip link set " + Link(node) + " down"}); }

void Sites::Mend() {
  for (int from = 1; from <= size(); ++from) {
    Must({"ip link set " + Link(from) + " up"});
    for (int to = 1; to <= size(); ++to) ForgetCut(from, to);
    ForgetCut(from, kTest);
  }
}

void Sites::ForgetCut(int from, int to) const {
  // Most are not there.
  Shell(fmt::format("ip -n {} neigh del {} dev up0", Name(from), Address(to)));
}

void Sites::SlowDisk(int node, unsigned delay_us) {
  std::ofstream(SyncFile(node)) << delay_us << "\n";
}

}  // namespace faultline::cluster
