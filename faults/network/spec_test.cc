#include "faults/network/spec.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "faults/network/filter_spec.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using Parameters = std::map<std::string, std::string>;

std::string ErrorOf(const std::string& kind, const Parameters& parameters) {
  const auto config = faults::ParseParameters(kind, parameters);
  EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
  return ToString(config.status().message());
}

std::string ErrorOf(Parameters parameters) {
  parameters.emplace("delay_ms", "10");
  return ErrorOf("NETWORK_LATENCY", parameters);
}

bool IsAllowed(const std::string& kind, const Parameters& parameters) {
  const auto config = faults::ParseParameters(kind, parameters);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok();
}

TEST(NetworkParameters, JitterIsAtMostTheDelay) {
  EXPECT_EQ(ErrorOf({{"jitter_ms", "10.5"}}),
            "parameters.jitter_ms: '10.5' is not allowed: at most the delay, 10 ms");
}

TEST(NetworkParameters, AUniformJitterEndsWithTheLongestDelay) {
  const std::string allowed =
      " ms with distribution uniform: no packet is held for more than 60000 ms, and the delay is ";
  EXPECT_EQ(ErrorOf({{"delay_ms", "60s"}, {"jitter_ms", "60s"}}),
            "parameters.jitter_ms: '60000' is not allowed: at most 0" + allowed + "60000 ms");
  EXPECT_EQ(ErrorOf({{"delay_ms", "40s"}, {"jitter_ms", "20001"}}),
            "parameters.jitter_ms: '20001' is not allowed: at most 20000" + allowed + "40000 ms");
  EXPECT_TRUE(IsAllowed("NETWORK_LATENCY", {{"delay_ms", "40s"}, {"jitter_ms", "20s"}}));
  EXPECT_TRUE(IsAllowed("NETWORK_LATENCY", {{"delay_ms", "60s"}}));
  // The others may be cut off.
  for (const char* shape : {"normal", "pareto", "table"}) {
    Parameters parameters{{"delay_ms", "40s"}, {"jitter_ms", "20001"}, {"distribution", shape}};
    if (shape == std::string("table")) parameters["table_us"] = "1,2";
    EXPECT_TRUE(IsAllowed("NETWORK_LATENCY", parameters)) << shape;
  }
}

TEST(NetworkParameters, ARateIsAtLeastAPacketASecond) {
  EXPECT_EQ(ErrorOf("NETWORK_BANDWIDTH", {{"rate_bps", "11999"}}),
            "parameters.rate_bps: '11999' is not allowed: 12000 to 10000000000 bps");
  EXPECT_TRUE(IsAllowed("NETWORK_BANDWIDTH", {{"rate_bps", "12kbps"}}));
}

TEST(NetworkParameters, AQueueHoldsAPacketAndAtMostAMinute) {
  const std::string allowed =
      "' is not allowed: 0, or 1514 (one packet) to 90000 bytes (what 12000 bps send in 60 s)";
  for (const char* wrong : {"1513", "90001"}) {
    EXPECT_EQ(ErrorOf("NETWORK_BANDWIDTH", {{"rate_bps", "12kbps"}, {"queue_bytes", wrong}}),
              std::string("parameters.queue_bytes: '") + wrong + allowed);
  }
  EXPECT_TRUE(IsAllowed("NETWORK_BANDWIDTH", {{"rate_bps", "12kbps"}, {"queue_bytes", "1514"}}));
}

TEST(NetworkParameters, ATableGoesWithItsDistributionAndHasTwoDifferentValues) {
  const std::string few = "' is not allowed: 2 to 512 values, not all the same";
  for (const char* wrong : {"", "7", "7,7,7"}) {
    EXPECT_EQ(ErrorOf({{"distribution", "table"}, {"table_us", wrong}}),
              std::string("parameters.table_us: '") + wrong + few);
  }
  EXPECT_EQ(ErrorOf({{"table_us", "1,2"}}),
            "parameters.table_us: '1,2' is not allowed: nothing unless distribution is table");
  std::string many = "1";
  for (int i = 2; i <= 512; ++i) many += fmt::format(",{}", i);
  EXPECT_TRUE(IsAllowed("NETWORK_LATENCY",
                        {{"delay_ms", "1"}, {"distribution", "table"}, {"table_us", many}}));
  EXPECT_EQ(ErrorOf({{"distribution", "table"}, {"table_us", many + ",513"}}),
            "parameters.table_us: '" + Shown(many + ",513") + few);
}

TEST(NetworkParameters, LossEveryNthIsAHundredDividedByAWholeNumber) {
  for (const char* right : {"100", "50", "33.3", "14.28", "0.01"}) {
    EXPECT_TRUE(IsAllowed("NETWORK_LOSS", {{"loss_percent", right}, {"model", "every_nth"}}));
  }
  for (const char* wrong : {"0", "30", "67"}) {
    EXPECT_EQ(ErrorOf("NETWORK_LOSS", {{"loss_percent", wrong}, {"model", "every_nth"}}),
              std::string("parameters.loss_percent: '") + wrong +
                  "' is not allowed: 100 divided by a whole number, such as 50, 33.3, 25, 20 or 1, "
                  "with model every_nth");
  }
}

TEST(NetworkParameters, LossInPeriodsMustBeWithinReach) {
  const auto with = [](Parameters more) {
    more.emplace("loss_percent", "20");
    more.emplace("model", "gilbert_elliott");
    return more;
  };
  EXPECT_TRUE(IsAllowed("NETWORK_LOSS", with({})));
  EXPECT_EQ(ErrorOf("NETWORK_LOSS", with({{"bad_loss_percent", "20"}})),
            "parameters.loss_percent: '20' is not allowed: 0 to less than 20 %, the shares lost in "
            "good and in bad periods");
  EXPECT_EQ(ErrorOf("NETWORK_LOSS", with({{"good_loss_percent", "21"}})),
            "parameters.loss_percent: '20' is not allowed: 21 to less than 100 %, the shares lost "
            "in good and in bad periods");
  EXPECT_EQ(ErrorOf("NETWORK_LOSS", with({{"good_loss_percent", "9"}, {"bad_loss_percent", "9"}})),
            "parameters.good_loss_percent: '9' is not allowed: less than bad_loss_percent, 9 %");
  EXPECT_EQ(
      ErrorOf("NETWORK_LOSS", with({{"bad_loss_percent", "25"}, {"burst_packets", "3.9"}})),
      "parameters.burst_packets: '3.9' is not allowed: at least 4.000, or the share asked is out "
      "of reach");
  EXPECT_EQ(ErrorOf("NETWORK_LOSS", with({{"correlation_percent", "5"}})),
            "parameters.correlation_percent: '5' is not allowed: 0 unless model is random");
}

TEST(NetworkParameters, APartitionHasTwoGroupsApart) {
  const auto error = [](const std::string& groups) {
    return ErrorOf("NETWORK_PARTITION", {{"groups", groups}});
  };
  EXPECT_TRUE(
      IsAllowed("NETWORK_PARTITION", {{"groups", "10.0.0.1+fd00::1,10.0.0.2,10.1.0.0/16"}}));
  EXPECT_EQ(
      error("10.0.0.1"),
      "parameters.groups: '10.0.0.1' is not allowed: two groups or more, separated by commas");
  EXPECT_EQ(
      error("10.0.0.1+,10.0.0.2"),
      "parameters.groups: '10.0.0.1+,10.0.0.2' is not allowed: groups of addresses or networks "
      "joined by '+', such as 10.0.0.1+10.0.0.2,10.0.1.0/24");
  EXPECT_EQ(error("10.0.0.0/8,10.0.0.2"),
            "parameters.groups: '10.0.0.0/8,10.0.0.2' is not allowed: groups without an address in "
            "common");
  std::string many = "10.1.0.0";
  for (int i = 1; i < 64; ++i) many += fmt::format("+10.1.0.{}", i);
  EXPECT_EQ(error(many + ",10.0.0.1"), "parameters.groups: '" + Shown(many + ",10.0.0.1") +
                                           "' is not allowed: at most 64 networks");
  EXPECT_EQ(
      ErrorOf("NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2,10.0.0.3"}, {"ways", "forward"}}),
      "parameters.ways: 'forward' is not allowed: both, or else two groups exactly");
}

TEST(NetworkParameters, APartitionHasTheFiltersThatItsGroupsAndWaysDoNotSay) {
  const std::string known =
      "groups, ways, protocol, local_port, peer_port, tcp_flags, dscp, min_packet_bytes, "
      "max_packet_bytes, packet_percent, flow_percent, peer_percent, payload_prefix, "
      "connections, include_protected";
  for (const auto& [name, value] : Parameters{{"direction", "egress"},
                                              {"peer_cidr", "10.0.0.0/8"},
                                              {"peer_host", "db"},
                                              {"exclude_peer_cidr", "10.0.0.1"},
                                              {"exclude_peer_host", "db"}}) {
    EXPECT_EQ(ErrorOf("NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2"}, {name, value}}),
              fmt::format("parameters.{}: '{}' is not allowed: the parameters of "
                          "NETWORK_PARTITION are {}",
                          name, value, known));
  }
  EXPECT_EQ(ErrorOf("NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2"}, {"local_port", "22"}}),
            "parameters.local_port: '22' is not allowed: a port that is not SSH's, which is "
            "protected; or include_protected=true");
  EXPECT_EQ(ErrorOf("NETWORK_PARTITION",
                    {{"groups", "10.0.0.1,10.0.0.2"}, {"protocol", "udp"}, {"tcp_flags", "syn"}}),
            "parameters.tcp_flags: 'syn' is not allowed: no flags with another protocol than tcp");
}

TEST(NetworkParameters, AShareOfNothingIsRefusedOfAPartitionToo) {
  EXPECT_EQ(ErrorOf("NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2"}, {"flow_percent", "0"}}),
            "parameters.flow_percent: '0' is not allowed: more than 0, up to 100 %");
}

TEST(NetworkParameters, APartitionsFilterIsATrafficFilter) {
  const auto config = faults::ParseParameters("NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2"},
                                                                    {"protocol", "tcp"},
                                                                    {"local_port", "80,8000-8100"},
                                                                    {"peer_port", "443"},
                                                                    {"tcp_flags", "psh"},
                                                                    {"dscp", "46"},
                                                                    {"min_packet_bytes", "100"},
                                                                    {"max_packet_bytes", "200"},
                                                                    {"packet_percent", "10"},
                                                                    {"flow_percent", "20"},
                                                                    {"peer_percent", "30"},
                                                                    {"payload_prefix", "GET"},
                                                                    {"connections", "new"},
                                                                    {"include_protected", "true"}});
  ASSERT_TRUE(config.ok()) << config.status();
  v1::NetworkPartition partition;
  ASSERT_TRUE(config->UnpackTo(&partition));
  v1::TrafficFilter expected;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(protocol: PROTOCOL_TCP local_port: "80" local_port: "8000-8100" peer_port: "443"
         tcp_flags: "psh" dscp: 46 min_packet_bytes: 100 max_packet_bytes: 200 packet_percent: 10
         flow_percent: 20 peer_percent: 30 payload_prefix: "GET" connections: CONNECTIONS_NEW include_protected: true)",
      &expected));
  EXPECT_EQ(FilterOf(partition).SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(
      faults::ParseParameters("NETWORK_PARTITION", faults::ParametersToText(*config))->value(),
      config->value());
}

TEST(NetworkParameters, FieldsOfAPartitionsFilterAreTheOnesOfTrafficFilter) {
  const auto* whole = v1::TrafficFilter::descriptor();
  const auto* part = v1::PartitionFilter::descriptor();
  for (int i = 0; i < part->field_count(); ++i) {
    const auto* same = whole->FindFieldByName(part->field(i)->name());
    ASSERT_NE(same, nullptr) << part->field(i)->name();
    EXPECT_EQ(part->field(i)->DebugString(), same->DebugString());
  }
}

// As an older controller has stored it.
TEST(NetworkParameters, APartitionWithoutAFilterIsWhatItWas) {
  v1::NetworkPartition partition;
  partition.add_groups("10.0.0.1");
  partition.add_groups("10.0.0.2");
  partition.set_ways(v1::PARTITION_WAYS_BOTH);
  partition.set_protocol(v1::PROTOCOL_UDP);
  google::protobuf::Any config;
  config.PackFrom(partition);
  EXPECT_EQ(faults::ParametersToText(config),
            (Parameters{{"groups", "10.0.0.1,10.0.0.2"}, {"ways", "both"}, {"protocol", "udp"}}));
  v1::TrafficFilter expected;
  expected.set_protocol(v1::PROTOCOL_UDP);
  EXPECT_EQ(FilterOf(partition).SerializeAsString(), expected.SerializeAsString());
}

}  // namespace
}  // namespace faultline::network
