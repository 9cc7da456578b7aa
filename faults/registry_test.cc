#include "faults/registry.h"

#include <gtest/gtest.h>

#include "network/v1/parameters.pb.h"

namespace faultline::faults {
namespace {

using Parameters = std::map<std::string, std::string>;

network::v1::NetworkLatency Latency(const Parameters& parameters) {
  const auto config = ParseParameters("NETWORK_LATENCY", parameters);
  EXPECT_TRUE(config.ok()) << config.status();
  network::v1::NetworkLatency latency;
  if (config.ok()) config->UnpackTo(&latency);
  return latency;
}

std::string ErrorOf(std::string_view kind, const Parameters& parameters,
                    std::string_view prefix = "parameters.") {
  const auto config = ParseParameters(kind, parameters, prefix);
  EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
  return ToString(config.status().message());
}

TEST(Parameters, DefaultsAreFilledIn) {
  const auto latency = Latency({{"delay_ms", "100"}});
  EXPECT_EQ(latency.delay_ms(), 100);
  EXPECT_EQ(latency.jitter_ms(), 0);
  EXPECT_EQ(latency.distribution(), network::v1::DISTRIBUTION_UNIFORM);
  EXPECT_EQ(latency.filter().direction(), network::v1::DIRECTION_EGRESS);
  EXPECT_EQ(latency.filter().protocol(), network::v1::PROTOCOL_ANY);
  EXPECT_EQ(latency.filter().peer_port_size(), 0);
}

TEST(Parameters, TakeAnyUnitOfTheirDimension) {
  EXPECT_EQ(Latency({{"delay_ms", "100ms"}}).delay_ms(), 100);
  EXPECT_EQ(Latency({{"delay_ms", "0.1s"}}).delay_ms(), 100);
  EXPECT_EQ(Latency({{"delay_ms", "250us"}}).delay_ms(), 0.25);
}

TEST(Parameters, OfANestedMessageAreNamedByThemselves) {
  const auto latency = Latency({{"delay_ms", "1"},
                                {"direction", "both"},
                                {"protocol", "tcp"},
                                {"peer_cidr", "10.0.0.0/8, 2001:db8::1"},
                                {"local_port", "80,443"}});
  EXPECT_EQ(latency.filter().direction(), network::v1::DIRECTION_BOTH);
  EXPECT_EQ(latency.filter().protocol(), network::v1::PROTOCOL_TCP);
  ASSERT_EQ(latency.filter().peer_cidr_size(), 2);
  EXPECT_EQ(latency.filter().peer_cidr(1), "2001:db8::1");
  ASSERT_EQ(latency.filter().local_port_size(), 2);
  EXPECT_EQ(latency.filter().local_port(1), "443");
}

TEST(Parameters, ComeBackAsTextThatParsesToTheSameMessage) {
  const auto config = ParseParameters("NETWORK_LATENCY", {{"delay_ms", "0.1s"},
                                                          {"jitter_ms", "2.5"},
                                                          {"peer_port", "6379,6380"},
                                                          {"direction", "both"}});
  ASSERT_TRUE(config.ok());
  const Parameters text = ParametersToText(*config);
  EXPECT_EQ(text, (Parameters{{"delay_ms", "100"},
                              {"jitter_ms", "2.5"},
                              {"distribution", "uniform"},
                              {"correlation_percent", "0"},
                              {"direction", "both"},
                              {"protocol", "any"},
                              {"peer_port", "6379,6380"}}));
  EXPECT_EQ(ParseParameters("NETWORK_LATENCY", text)->value(), config->value());
}

TEST(Parameters, OfAnUnknownKindAreRefusedListingTheKinds) {
  std::vector<std::string> names;
  for (const auto& kind : DescribeAll()) names.push_back(kind.name());
  const std::string known = fmt::format("is not allowed: one of {}", fmt::join(names, ", "));
  EXPECT_EQ(ErrorOf("DISK_FULL", {}), "fault_type: 'DISK_FULL' " + known);
  EXPECT_EQ(ErrorOf("DISK_FULL", {}, "faults[1].parameters."),
            "faults[1].kind: 'DISK_FULL' " + known);
  const auto status = ParseParameters("DISK_FULL", {}).status();
  EXPECT_EQ(DetailOf(status)->reason(), "UNKNOWN_FAULT_KIND");
}

TEST(Parameters, UnknownOnesAreRefusedListingTheKnown) {
  EXPECT_EQ(
      ErrorOf("NETWORK_LOSS", {{"loss_percent", "5"}, {"los", "1"}}),
      "parameters.los: '1' is not allowed: the parameters of NETWORK_LOSS are loss_percent, "
      "model, correlation_percent, burst_packets, bad_loss_percent, good_loss_percent, "
      "direction, protocol, peer_cidr, local_port, peer_port, exclude_peer_cidr, tcp_flags, dscp, "
      "min_packet_bytes, max_packet_bytes, packet_percent, flow_percent, peer_percent, "
      "peer_host, exclude_peer_host, payload_prefix, connections, include_protected, whole_host");
}

TEST(Parameters, OutOfRangeAreRefusedWithTheRange) {
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {{"delay_ms", "70000"}}),
            "parameters.delay_ms: '70000' is not allowed: 0 to 60000 ms");
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {{"delay_ms", "2m"}}),
            "parameters.delay_ms: '2m' is not allowed: 0 to 60000 ms");
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {{"delay_ms", "-1"}}, "faults[0].parameters."),
            "faults[0].parameters.delay_ms: '-1' is not allowed: 0 to 60000 ms");
  EXPECT_EQ(ErrorOf("NETWORK_LOSS", {{"loss_percent", "100.5"}}),
            "parameters.loss_percent: '100.5' is not allowed: 0 to 100 %");
}

TEST(Parameters, OfAForeignUnitAreRefusedNamingTheUnits) {
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {{"delay_ms", "5 parsecs"}}),
            "parameters.delay_ms: '5 parsecs' is not allowed: 0 to 60000 ms (a number, or one with "
            "ns, us, ms, s, m, h)");
}

TEST(Parameters, RequiredOnesMustBeGiven) {
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {}),
            "parameters.delay_ms: '' is not allowed: it must be given: 0 to 60000 ms");
}

TEST(Parameters, ChoicesAreRefusedListingTheAllowed) {
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {{"delay_ms", "1"}, {"distribution", "square"}}),
            "parameters.distribution: 'square' is not allowed: one of uniform, normal, "
            "pareto, table");
  EXPECT_EQ(ErrorOf("NETWORK_LATENCY", {{"delay_ms", "1"}, {"direction", "unspecified"}}),
            "parameters.direction: 'unspecified' is not allowed: one of egress, ingress, both");
}

TEST(Parameters, ListItemsAreCheckedOneByOne) {
  const std::string allowed = "' is not allowed: a whole number from 0 to 63";
  for (const auto& [list, wrong] :
       Parameters{{"8,64", "64"}, {"8,,10", ""}, {"8,", ""}, {"-1", "-1"}, {"8,ef", "ef"}}) {
    EXPECT_EQ(ErrorOf("NETWORK_LOSS", {{"loss_percent", "1"}, {"dscp", list}}),
              "parameters.dscp: '" + wrong + allowed);
  }
}

TEST(Kinds, AreDescribedForFormsAndFlags) {
  const auto kinds = DescribeAll();
  ASSERT_FALSE(kinds.empty());
  EXPECT_EQ(kinds[0].name(), "NETWORK_LATENCY");
  EXPECT_EQ(kinds[0].capabilities_size(), 2);
  const auto& delay = kinds[0].parameters(0);
  EXPECT_EQ(delay.name(), "delay_ms");
  EXPECT_EQ(delay.type(), "number");
  EXPECT_EQ(delay.unit(), "ms");
  EXPECT_TRUE(delay.required());
  EXPECT_EQ(delay.max(), 60000);
  const auto& direction = kinds[0].parameters(5);
  EXPECT_EQ(direction.name(), "direction");
  EXPECT_EQ(direction.type(), "choice");
  EXPECT_EQ(direction.default_value(), "egress");
  EXPECT_EQ(direction.choices_size(), 3);
  EXPECT_EQ(kinds[0].parameters(7).type(), "text list");
  EXPECT_EQ(kinds[0].parameters(12).name(), "dscp");
  EXPECT_EQ(kinds[0].parameters(12).type(), "integer list");
}

// What a report says of each fault.
TEST(Kinds, SayWhatMeasuresEachParameterOrWhyNothingDoes) {
  const auto is_counter = [](const std::string& name) {
    if (name == "given") return true;  // FaultEffect's histogram of delays
    const auto* field = chaos::v1::FaultCounters::descriptor()->FindFieldByName(name);
    return field != nullptr &&
           field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT64;
  };
  for (const Group& group : Groups()) {
    for (const Kind& kind : group.kinds) {
      const auto described = Describe(kind);
      const auto* effect = CountedEffectOf(kind);
      bool measured = effect != nullptr;
      if (measured) {
        EXPECT_TRUE(is_counter(effect->measured_by())) << described.name();
      }
      for (const auto& parameter : described.parameters()) {
        const std::string what = described.name() + " " + parameter.name();
        const std::string why = WhyNotMeasured(kind, parameter.name());
        EXPECT_NE(parameter.measured_by().empty(), why.empty()) << what;
        if (parameter.measured_by().empty()) continue;
        measured = true;
        EXPECT_TRUE(is_counter(parameter.measured_by())) << what;
      }
      EXPECT_TRUE(measured) << described.name();
    }
  }
}

TEST(Kinds, KnowTheirGroup) {
  EXPECT_EQ(GroupOf("NETWORK_LOSS"), "network");
  EXPECT_EQ(GroupOf("NO_SUCH"), "");
}

TEST(Kinds, OfAnUnknownTypeAreNotUnpacked) {
  google::protobuf::Any config;
  config.PackFrom(network::v1::TrafficFilter());
  EXPECT_EQ(Unpack(config), nullptr);
  EXPECT_TRUE(Occupies(config).empty());
  EXPECT_TRUE(ParametersToText(config).empty());
}

}  // namespace
}  // namespace faultline::faults
