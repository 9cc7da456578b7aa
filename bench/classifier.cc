// What the classifier costs with 1, 16, 256 and 4,096 rules, measuring on.
//
// By BPF_PROG_TEST_RUN of the driver's own programs, as they are attached: a packet that belongs to
// no target (miss), one of a target that matches none of its rules (target_miss), and one that
// matches a rule and is chosen by it (hit). All rules ask for the target's port, a peer's port and
// a peer's network.
//
// By real packets from one end of a veth pair to the other: what 256 rules add to a packet that
// matches none of them, here and by the same rules in nftables (one after another, and as a set)
// and tc's flower and u32, as far as the kernel has them; in turns in one run. Time is the sender's
// on a processor, in which the receiving end's work is.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "base/clock.h"
#include "bpf/fd.h"
#include "driver_bench.h"
#include "faults/network/datapath.h"
#include "filter_peers.h"
#include "netns/harness.h"

namespace faultline::bench {
namespace {

namespace pb = ::network::v1;
using netns_test::Network;

constexpr int kRuns = 15;
constexpr int kRepeats = 200'000;
constexpr unsigned kRulesBeside = 256;  // those of other tools
constexpr int kRounds = 24;
constexpr int kBursts = 250;
constexpr int kBurst = 64;
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

// A TCP acknowledgement of 64 more bytes from the server to that peer of the rule.
std::array<uint8_t, 54> Packet(uint16_t local_port, uint16_t peer_port, const std::string& peer) {
  std::array<uint8_t, 54> packet{};
  packet[12] = 0x08;  // IPv4
  uint8_t* ip = packet.data() + 14;
  ip[0] = 0x45;
  ip[3] = 40;  // total length
  ip[8] = 64;
  ip[9] = IPPROTO_TCP;
  inet_pton(AF_INET, Network::kServer4, ip + 12);
  inet_pton(AF_INET, peer.c_str(), ip + 16);
  uint8_t* tcp = ip + 20;
  tcp[0] = static_cast<uint8_t>(local_port >> 8);
  tcp[1] = static_cast<uint8_t>(local_port);
  tcp[2] = static_cast<uint8_t>(peer_port >> 8);
  tcp[3] = static_cast<uint8_t>(peer_port);
  tcp[12] = 5 << 4;
  tcp[13] = 0x10;  // ACK
  return packet;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

uint64_t ThreadNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNanosPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

class Host : public DriverBench {
 public:
  Host() : DriverBench("classifier") {}

 private:
  void Measure() override {
    TestRuns();
    RealPackets();
  }

  // The first `rules` rules and what they need; the driver has none before.
  bool ArmRules(unsigned rules, pb::Direction direction) {
    std::vector<chaos::v1::Target> targets;
    for (unsigned rule = 0; rule < rules; rule += FL_MAX_RULES_PER_TARGET) {
      targets.push_back(ServerTarget({LocalPort(rule)}));
      targets.back().set_target_id(fmt::format("t{}", rule / FL_MAX_RULES_PER_TARGET));
    }
    for (const Status& status : driver_->SetTargets(targets)) {
      if (!status.ok()) return Refused(status);
    }
    for (unsigned rule = 0; rule < rules; ++rule) {
      // A chance so small that the packet goes on.
      auto loss = Loss(1e-7, direction);
      loss.mutable_filter()->add_local_port(std::to_string(LocalPort(rule)));
      loss.mutable_filter()->add_peer_port(std::to_string(PeerPort(rule)));
      loss.mutable_filter()->add_peer_cidr(PeerNet(rule));
      faults::ArmRequest request;
      request.key = {"e", rule % FL_MAX_RULES_PER_TARGET,
                     fmt::format("t{}", rule / FL_MAX_RULES_PER_TARGET)};
      request.config.PackFrom(loss);
      request.deadline_boottime_ns = UINT64_MAX;
      if (const Status armed = driver_->Arm(request); !armed.ok()) return Refused(armed);
    }
    return true;
  }
  bool Refused(const Status& status) {
    report_.Fail(ToString(status.message()));
    return false;
  }

  // The program that the driver has attached to the server's egress.
  bpf::UniqueFd FindAttached() const {
    uint32_t id = 0;
    network_->InServer([&] {
      const auto found = bpf::FindInterface(Network::kInterface);
      LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = &id, .prog_cnt = 1);
      bpf_prog_query_opts(found->index, kTcxEgress, &query);
    });
    return bpf::UniqueFd(bpf_prog_get_fd_by_id(id));
  }

  // Median over the runs of the kernel's own mean per run.
  template <typename Bytes>
  double TestRunNs(const bpf::UniqueFd& program, Bytes packet) {
    std::vector<double> means;
    for (int run = 0; run < kRuns; ++run) {
      LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(),
                  .data_size_in = packet.size(), .repeat = kRepeats);
      if (bpf_prog_test_run_opts(program.get(), &options) != 0) {
        report_.Fail("the programs cannot be run by BPF_PROG_TEST_RUN");
        return 0;
      }
      means.push_back(options.duration);
    }
    return Median(means);
  }

  void TestRuns() {
    struct Costs {
      double miss_ns, target_miss_ns, hit_ns;
    };
    std::map<unsigned, Costs> costs;
    for (const unsigned rules : {1u, 16u, 256u, 4'096u}) {
      if (!ArmRules(rules, pb::DIRECTION_EGRESS)) return;
      const bpf::UniqueFd program = FindAttached();
      const unsigned last = rules - 1;
      const std::string address = PeerNet(last).substr(0, PeerNet(last).rfind('.')) + ".9";
      const auto hit = Packet(LocalPort(last), PeerPort(last), address);
      if (const auto matched = Matched(last); matched != 0) report_.Fail("counted before");
      Costs& cost = costs[rules];
      cost.hit_ns = TestRunNs(program, hit);
      if (Matched(last) < uint64_t{kRuns} * kRepeats) report_.Fail("the rule was not hit");
      cost.miss_ns = TestRunNs(program, Packet(6'380, 49'152, Network::kClient4));
      cost.target_miss_ns =
          TestRunNs(program, Packet(LocalPort(last), PeerPort(last), Network::kClient4));
      const auto name = [&](const char* metric) { return fmt::format("{}_ns_{}", metric, rules); };
      report_.AtMost(name("miss"), cost.miss_ns, "ns",
                     rules == 1 ? std::optional(80.0) : std::nullopt);
      report_.AtMost(name("target_miss"), cost.target_miss_ns, "ns", std::nullopt);
      report_.AtMost(name("hit"), cost.hit_ns, "ns",
                     rules == 4'096 ? std::optional(200.0) : std::nullopt);
      driver_->SetTargets({});
    }
    report_.AtMost("miss_ratio_4096", costs[4'096].miss_ns / costs[1].miss_ns, "", 1.5);
    report_.AtMost("target_miss_ratio_4096", costs[4'096].target_miss_ns / costs[1].target_miss_ns,
                   "", 1.5);
    report_.AtMost("hit_ratio_4096", costs[4'096].hit_ns / costs[1].hit_ns, "", std::nullopt);
  }

  // Packets that the rule has matched since it was armed.
  uint64_t Matched(unsigned rule) {
    std::vector<chaos::v1::TargetSample> samples;
    driver_->ReadSamples(&samples);
    uint64_t matched = 0;
    for (const auto& sample : samples) {
      if (sample.target_id() != fmt::format("t{}", rule / FL_MAX_RULES_PER_TARGET)) continue;
      for (const auto& counters : sample.faults()) {
        if (counters.fault_index() == rule % FL_MAX_RULES_PER_TARGET) matched = counters.matched();
      }
    }
    return matched;
  }

  // A means of filtering: how it is put on, and taken off.
  struct Means {
    std::string name;
    std::function<bool()> on;
    std::function<void()> off;
    std::vector<double> added_ns{};
  };

  std::vector<Means> AllMeans() {
    std::vector<Means> all = {{"ours",
                               [this] { return ArmRules(kRulesBeside, pb::DIRECTION_INGRESS); },
                               [this] { driver_->SetTargets({}); }}};
    for (const FilterPeer& peer : FilterPeers(kRulesBeside)) {
      all.push_back({peer.name, [this, peer] { return PutOn(peer, network_->server_netns()); },
                     [this, peer] { TakeOff(peer, network_->server_netns()); }});
    }
    return all;
  }

  // Mean of one round, in ns a packet.
  double PacketNs(int sender, int receiver) {
    std::array<char, 64> bytes{};
    uint64_t spent_ns = 0;
    for (int burst = 0; burst < kBursts; ++burst) {
      const uint64_t begin_ns = ThreadNs();
      for (int i = 0; i < kBurst; ++i) send(sender, bytes.data(), bytes.size(), 0);
      spent_ns += ThreadNs() - begin_ns;
      while (recv(receiver, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) ++received_;
    }
    return static_cast<double>(spent_ns) / (kBursts * kBurst);
  }

  void RealPackets() {
    bpf::UniqueFd sender, receiver;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9'000);
    inet_pton(AF_INET, Network::kServer4, &to.sin_addr);
    network_->InServer([&] { receiver = bpf::UniqueFd(socket(AF_INET, SOCK_DGRAM, 0)); });
    network_->InClient([&] { sender = bpf::UniqueFd(socket(AF_INET, SOCK_DGRAM, 0)); });
    if (bind(receiver.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0 ||
        connect(sender.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
      report_.Fail("no sockets");
      return;
    }
    std::vector<Means> means = AllMeans();
    std::erase_if(means, [](Means& m) {
      const bool works = m.on();
      m.off();
      if (!works) std::fprintf(stderr, "classifier: this kernel has no %s\n", m.name.c_str());
      return !works;
    });
    PacketNs(sender.get(), receiver.get());
    std::vector<double> bare_ns;
    received_ = 0;
    for (int round = 0; round < kRounds; ++round) {
      for (size_t i = 0; i < means.size(); ++i) {
        Means& turn = means[(i + static_cast<size_t>(round)) % means.size()];
        // Before and after, so that what the machine does besides concerns both alike.
        const double before_ns = PacketNs(sender.get(), receiver.get());
        turn.on();
        const double with_ns = PacketNs(sender.get(), receiver.get());
        turn.off();
        const double after_ns = PacketNs(sender.get(), receiver.get());
        turn.added_ns.push_back(with_ns - (before_ns + after_ns) / 2);
        bare_ns.insert(bare_ns.end(), {before_ns, after_ns});
      }
    }
    const uint64_t sent = uint64_t{kRounds} * means.size() * 3 * kBursts * kBurst;
    if (received_ != sent) report_.Fail(fmt::format("{} of {} packets came", received_, sent));
    Compare(means, Median(bare_ns));
  }

  void Compare(std::vector<Means>& means, double bare_ns) {
    report_.AtMost("packet_ns", bare_ns, "ns", std::nullopt);
    double ours = 0, best = 0;
    for (const Means& one : means) {
      const double added = Median(one.added_ns);
      if (one.name == "ours") {
        ours = added;
        report_.AtMost("added_ns_256", added, "ns", std::nullopt);
        continue;
      }
      if (best == 0 || added < best) best = added;
      report_.Beside("added_ns_256", ours, "ns", one.name, added);
      if (one.name == "nft_sequential") {
        report_.AtMost("added_ratio_nft_sequential_256", ours / added, "", 0.05);
      }
    }
    report_.AtMost("added_ratio_best_peer_256", ours / best, "", 1);
  }

  uint64_t received_ = 0;
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Main(); }
