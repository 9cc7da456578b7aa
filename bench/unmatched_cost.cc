// What a packet pays that matches no rule: the driver's own programs, as they are attached, run by
// BPF_PROG_TEST_RUN with one rule armed, then with 256, and the measuring
// on, beside an empty program.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "bpf/fd.h"
#include "faults/network/datapath.h"
#include "netns/harness.h"
#include "report.h"

namespace faultline::bench {
namespace {

namespace pb = ::network::v1;
using netns_test::Network;

constexpr double kGoalNs = 80;
constexpr uint16_t kTargetPort = 6379;
constexpr uint16_t kOtherPort = 6380;
// 32 targets with 8 rules each.
constexpr unsigned kTargets = 32;
constexpr int kRuns = 15;
constexpr int kRepeats = 400'000;
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

// A TCP segment with 64 bytes of payload, from that port of the server to the client.
std::array<uint8_t, 118> Packet(uint16_t local_port) {
  std::array<uint8_t, 118> packet{};
  packet[12] = 0x08;  // IPv4
  uint8_t* ip = packet.data() + 14;
  ip[0] = 0x45;
  ip[3] = 104;  // total length
  ip[8] = 64;
  ip[9] = IPPROTO_TCP;
  inet_pton(AF_INET, Network::kServer4, ip + 12);
  inet_pton(AF_INET, Network::kClient4, ip + 16);
  uint8_t* tcp = ip + 20;
  tcp[0] = static_cast<uint8_t>(local_port >> 8);
  tcp[1] = static_cast<uint8_t>(local_port);
  tcp[2] = 0xc0;  // peer port 49152
  tcp[12] = 5 << 4;
  tcp[13] = 0x18;  // PSH, ACK
  return packet;
}

// Median over the runs of the kernel's own mean per run; negative when it cannot be run.
double MeasureNs(int program_fd, uint16_t local_port) {
  auto packet = Packet(local_port);
  std::vector<double> means;
  for (int run = 0; run < kRuns; ++run) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = packet.size(),
                .repeat = kRepeats);
    if (bpf_prog_test_run_opts(program_fd, &options) != 0) return -1;
    means.push_back(options.duration);
  }
  std::nth_element(means.begin(), means.begin() + kRuns / 2, means.end());
  return means[kRuns / 2];
}

bpf::UniqueFd LoadEmpty() {
  bpf_insn code[2]{};
  code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  code[0].imm = -1;
  code[1].code = BPF_JMP | BPF_EXIT;
  return bpf::UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fl_empty", "GPL", code, 2, nullptr));
}

// The program that the driver has attached to the server's egress.
bpf::UniqueFd FindAttached(const Network& network) {
  uint32_t id = 0;
  network.InServer([&] {
    const auto found = bpf::FindInterface(Network::kInterface);
    LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = &id, .prog_cnt = 1);
    bpf_prog_query_opts(found->index, kTcxEgress, &query);
  });
  return bpf::UniqueFd(bpf_prog_get_fd_by_id(id));
}

class Host : public netns_test::DriverTest {
 public:
  void TestBody() override {}

  int Measure() {
    Report report("unmatched_cost");
    if (const auto reason = netns_test::WhyNot()) {
      report.Fail(*reason);
      return report.ExitCode();
    }
    SetUp();
    for (const Status& status : driver_->SetTargets(Targets())) {
      if (!status.ok()) report.Fail(ToString(status.message()));
    }
    const Status armed = ArmRule(0, 0);
    const bpf::UniqueFd program = FindAttached(*network_);
    const bpf::UniqueFd empty = LoadEmpty();
    const double empty_ns = MeasureNs(empty.get(), kOtherPort);
    const double one_ns = MeasureNs(program.get(), kOtherPort);
    const double one_target_ns = MeasureNs(program.get(), kTargetPort);
    const Status all_armed = ArmAll();
    const double all_ns = MeasureNs(program.get(), kOtherPort);
    const double all_target_ns = MeasureNs(program.get(), kTargetPort);
    if (!armed.ok() || !all_armed.ok()) {
      report.Fail(ToString((armed.ok() ? all_armed : armed).message()));
    } else if (std::min({empty_ns, one_ns, one_target_ns, all_ns, all_target_ns}) < 0) {
      report.Fail("the programs cannot be run by BPF_PROG_TEST_RUN");
    } else {
      report.AtMost("classifier_ns", one_ns, "ns", kGoalNs);
      report.AtMost("classifier_ns_256", all_ns, "ns", std::nullopt);
      report.AtMost("empty_ns", empty_ns, "ns", std::nullopt);
      report.Beside("classifier_beside_empty_ns", one_ns, "ns", "empty program", empty_ns);
      report.Beside("target_unmatched_ns", one_target_ns, "ns", "empty program", empty_ns);
      report.Beside("target_unmatched_ns_256", all_target_ns, "ns", "with one rule", one_target_ns);
    }
    driver_.reset();
    network_.reset();
    return report.ExitCode();
  }

 private:
  // The first target has the port that packets come from; all are on the same interface.
  static unsigned PortOf(unsigned target) { return target == 0 ? kTargetPort : 20'000 + target; }
  std::vector<chaos::v1::Target> Targets() const {
    std::vector<chaos::v1::Target> targets;
    for (unsigned i = 0; i < kTargets; ++i) {
      targets.push_back(ServerTarget({PortOf(i)}));
      targets.back().set_target_id(fmt::format("t{}", i));
    }
    return targets;
  }
  // A rule that matches nothing here: by the peer's port, every other one by its address.
  Status ArmRule(unsigned target, unsigned index) {
    const unsigned number = target * FL_MAX_RULES_PER_TARGET + index;
    auto latency = Latency(100);
    if (number % 2 == 0) {
      latency.mutable_filter()->add_local_port(std::to_string(PortOf(target)));
      latency.mutable_filter()->add_peer_port(std::to_string(1 + number));
    } else {
      latency.mutable_filter()->add_peer_cidr(fmt::format("10.99.{}.0/24", number));
    }
    faults::ArmRequest request;
    request.key = {"e", index, fmt::format("t{}", target)};
    request.config.PackFrom(latency);
    request.deadline_boottime_ns = UINT64_MAX;
    return driver_->Arm(request);
  }
  Status ArmAll() {
    for (unsigned target = 0; target < kTargets; ++target) {
      for (unsigned index = 0; index < FL_MAX_RULES_PER_TARGET; ++index) {
        if (target + index > 0) FL_RETURN_IF_ERROR(ArmRule(target, index));
      }
    }
    return absl::OkStatus();
  }
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Measure(); }
