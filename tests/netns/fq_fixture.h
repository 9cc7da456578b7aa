// For tests of delays that the kernel holds, where it has fq.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "bpf/probe.h"
#include "netns/traffic.h"

namespace faultline::netns_test {

// A driver that was asked for fq.
class FqTest : public DriverTest {
 protected:
  static constexpr char kFqPair[] = "fl-fq0";

  void SetUp() override {
    if (const Status has = bpf::RequireFeature("fq"); !has.ok() && !WhyNot()) {
      GTEST_SKIP() << ToString(has.message());
    }
    DriverTest::SetUp();
    if (driver_) MakeDriver({.lane = "fq"});
  }
  std::vector<std::string> Links() const { return network_->Links(network_->server_netns()); }
  // Packets that have waited in fq.
  int Waited() const {
    std::istringstream words(RunProgram(
        {"tc", "-n", network_->server_netns(), "-s", "qdisc", "show", "dev", kFqPair, "root"}));
    std::string word;
    int packets = -1;
    while (words >> word && word != "bytes") continue;
    words >> packets;
    return packets;
  }
  // Of datagrams: the kernel's own packets of IPv6 stay out of the count.
  static ::network::v1::NetworkLatency UdpLatency(double delay_ms) {
    auto latency = Latency(delay_ms);
    latency.mutable_filter()->set_protocol(::network::v1::PROTOCOL_UDP);
    return latency;
  }
  double RoundTripMs(uint16_t port) const {
    Client client(*network_, Protocol::kUdp, Network::kServer4, port);
    const auto time = client.RoundTrip();
    return time ? time->count() : -1;
  }
};

}  // namespace faultline::netns_test
