// What faults occupy on a target, and what they add up to.
#include "faults/network/stacking_spec.h"

#include <gtest/gtest.h>

#include "faults/network/packet_kinds_testing.h"

namespace faultline::network {
namespace {

using Names = std::vector<std::string>;
using Parameters = std::map<std::string, std::string>;
using Sum = faults::Effect::Sum;

google::protobuf::Any Parsed(const std::string& kind, const Parameters& parameters) {
  const auto config = faults::ParseParameters(kind, parameters);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : google::protobuf::Any();
}

Names OccupiedBy(const std::string& kind, const Parameters& parameters) {
  return faults::Occupies(Parsed(kind, parameters));
}

faults::StackedFault Stacked(const std::string& kind, const Parameters& parameters) {
  const auto stacked = faults::StackingOf(Parsed(kind, parameters));
  EXPECT_TRUE(stacked);
  return stacked.value_or(faults::StackedFault{});
}

TEST(Stacking, WhatChangesPacketsOccupiesNothing) {
  for (const auto& [kind, parameters] : kPacketKinds) {
    EXPECT_EQ(OccupiedBy(kind, parameters), Names{}) << kind;
  }
}

TEST(Stacking, TwoAnswersToTheSamePacketsContradictEachOther) {
  EXPECT_EQ(OccupiedBy("CONNECT_FAIL", {{"failure", "refused"}}), Names{"network/egress/connects"});
  EXPECT_EQ(OccupiedBy("CONNECT_FAIL", {{"failure", "timed_out"}, {"direction", "both"}}),
            (Names{"network/egress/connects", "network/ingress/connects"}));
  EXPECT_EQ(OccupiedBy("CONNECT_FAIL", {{"peer_port", "5432"}}),
            Names{"network/egress/connects [peer_port: \"5432\"]"});
  EXPECT_EQ(OccupiedBy("DNS_FAULT", {{"names", "B.example.com.,*.a"}, {"answer", "servfail"}}),
            (Names{"network/egress/dns of *.a", "network/egress/dns of b.example.com"}));
  EXPECT_EQ(OccupiedBy("HTTP_FAULT", {{"status", "500"}, {"path_prefix", "/a"}}),
            OccupiedBy("HTTP_FAULT", {{"failure", "reset"}, {"path_prefix", "/a"}}));
  EXPECT_EQ(OccupiedBy("HTTP_FAULT", {{"path_prefix", "/a"}, {"local_port", "80"}}),
            Names{"network/egress/http requests [path_prefix: \"/a\" local_port: \"80\"]"});
  EXPECT_EQ(OccupiedBy("HTTP_FAULT", {{"direction", "ingress"}}),
            Names{"network/ingress/http requests"});
}

TEST(Stacking, FaultsActOnTheirDirection) {
  const Names both = {"network/egress", "network/ingress"};
  const auto loss = [](const char* direction) {
    return Stacked("NETWORK_LOSS", {{"loss_percent", "1"}, {"direction", direction}}).acts_on;
  };
  EXPECT_EQ(loss("egress"), Names{"network/egress"});
  EXPECT_EQ(loss("ingress"), Names{"network/ingress"});
  EXPECT_EQ(loss("both"), both);
  EXPECT_EQ(
      Stacked("NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2"}, {"ways", "forward"}}).acts_on,
      both);
}

TEST(Stacking, LossesComeFirstAndAnswersLast) {
  const auto place = [](const char* kind, const Parameters& parameters) {
    return Stacked(kind, parameters).place;
  };
  const int order[] = {place("NETWORK_BLACKHOLE", {}),
                       place("NETWORK_BANDWIDTH", {{"rate_bps", "1mbps"}}),
                       place("NETWORK_DUPLICATE", {{"duplicate_percent", "1"}}),
                       place("NETWORK_CORRUPT", {{"corrupt_percent", "1"}}),
                       place("NETWORK_REORDER", {{"reorder_percent", "1"}}),
                       place("NETWORK_LATENCY", {{"delay_ms", "1"}}),
                       place("TCP_RESET", {}),
                       place("CONNECT_FAIL", {}),
                       place("HTTP_FAULT", {}),
                       place("DNS_FAULT", {{"names", "a"}})};
  EXPECT_TRUE(std::ranges::is_sorted(order, std::ranges::less_equal()));
  EXPECT_EQ(place("NETWORK_LOSS", {{"loss_percent", "1"}}), order[0]);
}

TEST(Stacking, EffectsSayHowTheyAddUp) {
  const auto effect = [](const char* kind, const Parameters& parameters) {
    const auto effects = Stacked(kind, parameters).effects;
    EXPECT_EQ(effects.size(), 1u) << kind;
    return effects.empty() ? faults::Effect{} : effects[0];
  };
  const auto delay = effect("NETWORK_LATENCY", {{"delay_ms", "20"}});
  EXPECT_EQ(delay.name, "delay_ms");
  EXPECT_EQ(delay.sum, Sum::kAdd);
  EXPECT_EQ(delay.value, 20);
  const auto rate = effect("NETWORK_BANDWIDTH", {{"rate_bps", "1mbps"}});
  EXPECT_EQ(rate.sum, Sum::kLeast);
  EXPECT_EQ(rate.value, 1e6);
  EXPECT_EQ(effect("NETWORK_LOSS", {{"loss_percent", "3"}}).sum, Sum::kShares);
  EXPECT_EQ(effect("NETWORK_BLACKHOLE", {}).value, 100);
  EXPECT_EQ(effect("NETWORK_DUPLICATE", {{"duplicate_percent", "3"}}).sum, Sum::kAdd);
  EXPECT_EQ(effect("NETWORK_CORRUPT", {{"corrupt_percent", "3"}}).sum, Sum::kShares);
  EXPECT_EQ(effect("NETWORK_REORDER", {{"reorder_percent", "3"}}).value, 3);
  EXPECT_TRUE(Stacked("CONNECT_FAIL", {}).effects.empty());
}

}  // namespace
}  // namespace faultline::network
