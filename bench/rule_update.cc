// A thousand rules changed while packets pass, measuring on.
//
// ms: from the first to the last of them, median over the rounds; each round changes all of them,
// their filters and what they do, by the driver that the agent uses. half_rule_packets: packets
// that met neither the old nor the new rule, or something of both. Rules of even number lose what
// comes from their peer's port before and after the change, so nothing may arrive; those of odd
// number turn from {port P, DSCP 8} to {ports P and Q, DSCP 16} and back, so what comes from Q with
// DSCP 8 must always arrive. (rules_per_s: the same as a rate.)
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "bpf/fd.h"
#include "driver_bench.h"
#include "faults/network/datapath.h"
#include "netns/harness.h"

namespace faultline::bench {
namespace {

namespace pb = ::network::v1;
using netns_test::Network;

constexpr unsigned kRules = 1'000;
constexpr unsigned kTargets = kRules / FL_MAX_RULES_PER_TARGET;
constexpr unsigned kRounds = 40;
constexpr unsigned kWatched = 16;  // rules, evenly spread, whose packets are sent
constexpr int kOldDscp = 8;
constexpr int kNewDscp = 16;

unsigned WatchedRule(unsigned i) { return i * (kRules / kWatched) + i % 2; }
uint16_t LocalPort(unsigned rule) { return static_cast<uint16_t>(20'000 + rule / 8); }
uint16_t PeerPort(unsigned rule) { return static_cast<uint16_t>(30'000 + rule); }
uint16_t OtherPort(unsigned rule) { return static_cast<uint16_t>(40'000 + rule); }

sockaddr_in Address(const char* address, uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address, &to.sin_addr);
  return to;
}

// Sends for one rule, and counts what comes of it.
struct Flow {
  bool must_arrive = false;
  bpf::UniqueFd sender, receiver;
  uint64_t sent = 0, came = 0;
};

class Host : public DriverBench {
 public:
  Host() : DriverBench("rule_update") {}

 private:
  void Measure() override {
    if (SetAllTargets() && Change(false) && OpenFlows()) Run();
    flows_.clear();
  }

  bool SetAllTargets() {
    std::vector<chaos::v1::Target> targets;
    for (unsigned target = 0; target < kTargets; ++target) {
      targets.push_back(ServerTarget({LocalPort(target * FL_MAX_RULES_PER_TARGET)}));
      targets.back().set_target_id(fmt::format("t{}", target));
    }
    for (const Status& status : driver_->SetTargets(targets)) {
      if (status.ok()) continue;
      report_.Fail(ToString(status.message()));
      return false;
    }
    for (const bool fresh : {false, true}) {
      for (unsigned rule = 0; rule < kRules; ++rule) {
        requests_[fresh].push_back(Request(rule, fresh));
      }
    }
    return true;
  }

  static faults::ArmRequest Request(unsigned rule, bool fresh) {
    faults::ArmRequest request;
    request.key = {"e", rule % FL_MAX_RULES_PER_TARGET,
                   fmt::format("t{}", rule / FL_MAX_RULES_PER_TARGET)};
    request.deadline_boottime_ns = UINT64_MAX;
    pb::NetworkLoss loss;
    pb::NetworkBlackhole hole;
    pb::TrafficFilter* filter =
        fresh && rule % 2 == 0 ? hole.mutable_filter() : loss.mutable_filter();
    loss.set_loss_percent(100);
    filter->set_direction(pb::DIRECTION_INGRESS);
    filter->set_protocol(pb::PROTOCOL_UDP);
    filter->add_local_port(std::to_string(LocalPort(rule)));
    filter->add_peer_port(std::to_string(PeerPort(rule)));
    if (fresh) filter->add_peer_port(std::to_string(OtherPort(rule)));
    if (rule % 2 != 0) filter->add_dscp(fresh ? kNewDscp : kOldDscp);
    // What the packets match before and after is told by another network each time.
    filter->add_peer_cidr(fresh ? "10.209.0.0/24" : "10.0.0.0/8");
    if (fresh && rule % 2 == 0) {
      request.config.PackFrom(hole);
    } else {
      request.config.PackFrom(loss);
    }
    return request;
  }

  bool Change(bool fresh) {
    for (const faults::ArmRequest& request : requests_[fresh]) {
      if (const Status armed = driver_->Arm(request); !armed.ok()) {
        report_.Fail(ToString(armed.message()));
        return false;
      }
    }
    return true;
  }

  bool OpenFlows() {
    bool open = true;
    for (unsigned i = 0; i < kWatched; ++i) {
      const unsigned rule = WatchedRule(i);
      Flow& flow = flows_.emplace_back();
      flow.must_arrive = rule % 2 != 0;
      const int tos = kOldDscp << 2, much = 4 << 20;
      const auto to = Address(Network::kServer4, LocalPort(rule));
      const auto from =
          Address(Network::kClient4, flow.must_arrive ? OtherPort(rule) : PeerPort(rule));
      network_->InServer([&] { flow.receiver = bpf::UniqueFd(socket(AF_INET, SOCK_DGRAM, 0)); });
      network_->InClient([&] { flow.sender = bpf::UniqueFd(socket(AF_INET, SOCK_DGRAM, 0)); });
      setsockopt(flow.receiver.get(), SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof(much));
      setsockopt(flow.sender.get(), IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
      open &=
          bind(flow.receiver.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
          bind(flow.sender.get(), reinterpret_cast<const sockaddr*>(&from), sizeof(from)) == 0 &&
          connect(flow.sender.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
    }
    if (!open) report_.Fail("no sockets");
    return open;
  }

  void Drain(Flow* flow) {
    std::array<char, 64> bytes{};
    while (recv(flow->receiver.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) ++flow->came;
  }

  void Run() {
    std::atomic<bool> ends{false};
    std::thread traffic([&] {
      while (!ends) {
        for (Flow& flow : flows_) flow.sent += send(flow.sender.get(), "", 1, 0) == 1 ? 1 : 0;
        for (Flow& flow : flows_) Drain(&flow);
      }
    });
    std::vector<double> times_ms;
    bool changed = true;
    for (unsigned round = 0; changed && round < kRounds; ++round) {
      const uint64_t begin_ns = MonotonicNowNs();
      changed = Change(round % 2 == 0);
      times_ms.push_back(static_cast<double>(MonotonicNowNs() - begin_ns) / 1e6);
      std::vector<chaos::v1::TargetSample> samples;
      driver_->ReadSamples(&samples);  // as the agent does
    }
    ends = true;
    traffic.join();
    uint64_t sent = 0, half = 0;
    for (Flow& flow : flows_) {
      Drain(&flow);
      sent += flow.sent;
      half += flow.must_arrive ? flow.sent - flow.came : flow.came;
    }
    std::nth_element(times_ms.begin(), times_ms.begin() + kRounds / 2, times_ms.end());
    const double ms = times_ms[kRounds / 2];
    report_.AtMost("ms", ms, "ms", 10);
    report_.AtMost("half_rule_packets", static_cast<double>(half), "", 0);
    report_.AtMost("packets", static_cast<double>(sent), "", std::nullopt);
    report_.AtMost("rules_per_s", kRules / ms * 1e3, "1/s", std::nullopt);
  }

  std::array<std::vector<faults::ArmRequest>, 2> requests_;
  std::vector<Flow> flows_;
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Main(); }
