// What a fault leaves alone: of another flow on the same link every packet arrives once, in order
// and as it was, and the fault counts none of them.
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr uint16_t kPort = 7001, kHitPort = 7002;
constexpr int kPackets = 500;

struct Fault {
  const char* kind;
  std::map<std::string, std::string> parameters;
};

class BesideTest : public DriverTest, public testing::WithParamInterface<Fault> {
 protected:
  // On how many packets the fault acted.
  static uint64_t Acted(const chaos::v1::FaultCounters& counters) {
    return counters.delayed() + counters.queued() + counters.duplicated() + counters.corrupted() +
           counters.reordered();
  }
  // What the client sends meets the target's fault on its way.
  void ExpectOnlyOneFlowHit(const chaos::v1::Target& target, const std::string& direction,
                            const std::string& port_parameter, const std::string& address) {
    SCOPED_TRACE(direction + " " + address);
    SetTarget(target);
    auto parameters = GetParam().parameters;
    parameters.insert({{"direction", direction},
                       {"protocol", "udp"},
                       {port_parameter, std::to_string(kHitPort)}});
    ArmKind(GetParam().kind, parameters);
    Sink sink(*network_, kPort), hit_sink(*network_, kHitPort);
    Client client(*network_, Protocol::kUdp, address, kPort);
    Client hit_client(*network_, Protocol::kUdp, address, kHitPort);
    std::vector<std::string> sent;
    client.SendInOrder(kPackets, [&](int i) {
      sent.push_back(fmt::format("{:06}", i) + std::string(60, 'p'));
      hit_client.Send(sent.back());
      return sent.back();
    });
    EXPECT_EQ(TakeAll(&sink, 2 * kPackets), sent);
    const auto counters = SettledCounters();
    EXPECT_EQ(counters.matched(), static_cast<uint64_t>(kPackets));
    EXPECT_GT(Acted(counters), 0u);
    EXPECT_EQ(counters.lease_expired() + counters.left_alone(), 0u);
    Disarm();
    (void)Sample();
  }
};

TEST_P(BesideTest, AnotherFlowArrivesOnceInOrderAndUnchanged) {
  ExpectOnlyOneFlowHit(ServerTarget(), "ingress", "local_port", Network::kServer4);
  ExpectOnlyOneFlowHit(ClientTarget(), "egress", "peer_port", Network::kServer6);
}

const Fault kFaults[] = {
    {"NETWORK_LATENCY", {{"delay_ms", "200"}}},
    {"NETWORK_BANDWIDTH", {{"rate_bps", "2mbps"}, {"queue_bytes", "20000"}}},
    {"NETWORK_DUPLICATE", {{"duplicate_percent", "50"}}},
    {"NETWORK_CORRUPT", {{"corrupt_percent", "50"}}},
    {"NETWORK_REORDER", {{"reorder_percent", "50"}, {"hold_ms", "200"}}},
};

INSTANTIATE_TEST_SUITE_P(Kinds, BesideTest, testing::ValuesIn(kFaults), [](const auto& fault) {
  std::string name = fault.param.kind;
  std::erase(name, '_');
  return name;
});

}  // namespace
}  // namespace faultline::netns_test
