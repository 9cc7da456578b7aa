// Three controllers whose wall clocks can be set, an agent on each, and what must hold of
// experiments whatever the clocks show.
#pragma once

#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "client/client.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/http_get.h"
#include "tests/cluster/test_agent.h"
#include "tests/cluster/wall_clock.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {

inline constexpr int kNodes = 3;
inline constexpr std::chrono::seconds kBrief{7}, kLong{600}, kLease{10};
inline constexpr std::chrono::hours kFar{5};
// What a time may be off by: a node hears late of what another one has done. Less than passes while
// there is a brief experiment.
inline constexpr double kSlackS = 5;

inline uint64_t Nanos(std::chrono::nanoseconds ns) { return static_cast<uint64_t>(ns.count()); }
inline double Seconds(uint64_t ns) { return static_cast<double>(ns) / kNanosPerSecond; }
inline double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(google::protobuf::util::TimeUtil::DurationToMilliseconds(duration)) /
         1e3;
}

// An experiment on all targets: between which times it was made, on CLOCK_MONOTONIC.
struct Asked {
  std::string id;
  std::chrono::seconds duration;
  uint64_t called_ns = 0, returned_ns = 0;
};

// One agent on each node.
class WallClocks : public ::testing::Test {
 protected:
  void SetUp() override {
    Cluster::Options options{.nodes = kNodes, .lease = fmt::format("{}s", kLease.count())};
    client::Options reach{.timeout = kPatience};
    for (int node = 0; node < kNodes; ++node) {
      options.flags[node] = {"--http-listen", fmt::format("127.0.0.1:{}", port(node))};
      options.environment[node] = clock(node).environment();
    }
    cluster_ = std::make_unique<Cluster>(options);
    reach.addresses = fmt::format("{}", fmt::join(cluster_->api_addresses(), ","));
    client_ = *client::Client::Create(reach);
    for (int node = 0; node < kNodes; ++node) {
      started_s_.push_back(SaysItStarted(node));
      agents_.push_back(std::make_unique<TestAgent>(TestAgent::Options{
          .id = fmt::format("on-{}", node), .controllers = {cluster_->api_address(node)}}));
    }
    for (const auto& agent : agents_) {
      ASSERT_TRUE(Eventually([&] { return agent->grants() > 0; })) << agent->target_id();
    }
  }
  void TearDown() override {
    for (int node = 0; HasFailure() && node < kNodes; ++node) {
      std::cerr << "node " << node << ":\n" << cluster_->process(node).log();
    }
  }

  int port(int node) const { return ports_[static_cast<size_t>(node)]; }
  WallClock& clock(int node) { return clocks_[static_cast<size_t>(node)]; }
  TestAgent& agent(int node) { return *agents_[static_cast<size_t>(node)]; }

  // When the process began, by its wall clock: a step of that moves it.
  double SaysItStarted(int node) const {
    constexpr std::string_view kName = "\nprocess_start_time_seconds ";
    const std::string all = Get(port(node), "/metrics").body;
    const size_t at = all.find(kName);
    EXPECT_NE(at, std::string::npos) << all;
    return at == std::string::npos ? 0 : std::strtod(all.c_str() + at + kName.size(), nullptr);
  }
  // Sets a node's clock, and holds that its process goes by it.
  void Set(int node, std::chrono::hours ahead) {
    clock(node).Set(ahead);
    const double ahead_s = SaysItStarted(node) - started_s_[static_cast<size_t>(node)];
    ASSERT_NEAR(ahead_s, static_cast<double>(std::chrono::seconds(ahead).count()), 60);
  }

  chaos::v1::GetClusterResponse View() {
    const auto cluster = client_->GetCluster({});
    return cluster.ok() ? *cluster : chaos::v1::GetClusterResponse();
  }
  int Leader() {
    int leader = -1;
    EXPECT_TRUE(Eventually([&] {
      const auto cluster = View();
      leader = cluster.has_quorum() ? static_cast<int>(cluster.leader_id()) - 1 : -1;
      return leader >= 0;
    }));
    return leader;
  }
  int Follower() { return (Leader() + 1) % kNodes; }

  Asked Start(std::chrono::seconds duration) {
    auto request = LatencyOn("service:checkout");
    request.mutable_duration()->set_seconds(duration.count());
    Asked asked{.duration = duration, .called_ns = MonotonicNowNs()};
    const auto started = client_->StartExperiment(request);
    asked.returned_ns = MonotonicNowNs();
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) asked.id = started->experiment_id();
    return asked;
  }
  chaos::v1::Experiment Look(const std::string& id) {
    chaos::v1::GetExperimentRequest request;
    request.set_experiment_id(id);
    const auto got = client_->GetExperiment(request);
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? got->experiment() : chaos::v1::Experiment();
  }
  bool IsActive(const Asked& asked) {
    const auto targets = Look(asked.id).targets();
    return targets.size() == kNodes && std::ranges::all_of(targets, [](const auto& target) {
             return target.phase() == chaos::v1::TARGET_PHASE_ACTIVE;
           });
  }

  // Of one that has ended, at `earliest_ns` at the earliest.
  void ExpectTimesFit(const chaos::v1::Experiment& over, const Asked& asked, uint64_t earliest_ns) {
    const uint64_t now_ns = MonotonicNowNs();
    EXPECT_EQ((over.ends_at() - over.created_at()).seconds(), asked.duration.count());
    const double lasted_s = Seconds(over.ended_at() - over.created_at());
    EXPECT_GE(lasted_s, Seconds(earliest_ns - asked.returned_ns) - kSlackS);
    EXPECT_LE(lasted_s, Seconds(now_ns - asked.called_ns) + kSlackS);
    for (const auto& target : over.targets()) {
      EXPECT_GE(Seconds(target.phase_since() - over.created_at()), -kSlackS) << over.DebugString();
      EXPECT_GE(Seconds(over.ended_at() - target.phase_since()), -kSlackS) << over.DebugString();
    }
  }
  void ExpectExpiresInTime(const Asked& asked) {
    chaos::v1::Experiment over;
    EXPECT_TRUE(Eventually([&] { return (over = Look(asked.id)).has_ended_at(); }))
        << "its time is up, and it has not ended: " << over.DebugString();
    // To the milliseconds in which its times are.
    EXPECT_GE(Seconds(MonotonicNowNs() - asked.called_ns) + 0.01, asked.duration.count());
    EXPECT_EQ(over.phase(), "expired");
    ExpectTimesFit(over, asked, asked.returned_ns + Nanos(asked.duration));
  }
  void Stop(const Asked& asked) {
    const uint64_t called_ns = MonotonicNowNs();
    chaos::v1::StopExperimentRequest request;
    request.set_experiment_id(asked.id);
    request.mutable_wait()->set_seconds(kPatience.count());
    const auto stopped = client_->StopExperiment(request);
    ASSERT_TRUE(stopped.ok()) << stopped.status();
    EXPECT_EQ(stopped->experiments(0).phase(), "stopped");
    ExpectTimesFit(stopped->experiments(0), asked, called_ns);
  }
  // Told of another experiment, every agent is told again of this one: with the time that is left.
  void ExpectTimeLeftIsTold(const Asked& asked) {
    const uint64_t before_ns = MonotonicNowNs();
    const Asked other = Start(kLong);
    for (const auto& agent : agents_) {
      chaos::v1::DesiredState desired;
      const auto find = [&](const std::string& id) {
        return std::ranges::find(desired.faults(), id, &chaos::v1::DesiredFault::experiment_id);
      };
      ASSERT_TRUE(Eventually([&] {
        desired = agent->last_desired();
        return find(other.id) != desired.faults().end();
      })) << agent->target_id()
          << " is not told of an experiment that has just begun";
      const uint64_t now_ns = MonotonicNowNs();
      const auto fault = find(asked.id);
      ASSERT_NE(fault, desired.faults().end()) << agent->target_id() << " is not to have it longer";
      const double left_s = Seconds(fault->remaining()), all_s = asked.duration.count();
      EXPECT_LE(left_s, all_s - Seconds(before_ns - asked.returned_ns) + kSlackS);
      EXPECT_GE(left_s, all_s - Seconds(now_ns - asked.called_ns) - kSlackS);
    }
    Stop(other);
  }
  // How many leases each agent has lost, as far as it has been granted another since.
  std::vector<size_t> Lapses() const {
    std::vector<size_t> lapses;
    for (const auto& agent : agents_) lapses.push_back(agent->lapses());
    return lapses;
  }
  bool LeasesGoOn() const {
    return std::ranges::all_of(agents_, [](const auto& agent) {
      const size_t before = agent->grants();
      return Eventually([&] { return agent->grants() > before + 5; });
    });
  }
  // `step` sets a clock so far ahead: far forwards, and then as far to the other side.
  void ExpectAsIfNothingWere(const std::function<void(std::chrono::hours)>& step) {
    const Asked lasting = Start(kLong);
    ASSERT_TRUE(Eventually([&] { return IsActive(lasting); })) << Look(lasting.id).DebugString();
    const std::vector<size_t> lapses = Lapses();
    for (const auto ahead : {kFar, -kFar}) {
      const Asked before = Start(kBrief);
      ASSERT_NO_FATAL_FAILURE(step(ahead));
      const Asked after = Start(kBrief);
      ExpectExpiresInTime(before);
      ExpectExpiresInTime(after);
      EXPECT_TRUE(IsActive(lasting)) << Look(lasting.id).DebugString();
      ASSERT_NO_FATAL_FAILURE(ExpectTimeLeftIsTold(lasting));
    }
    Stop(lasting);
    EXPECT_TRUE(LeasesGoOn());
    EXPECT_EQ(Lapses(), lapses) << "an agent has lost a lease";
  }

  const std::vector<int> ports_ = FreePorts(kNodes);
  std::array<WallClock, kNodes> clocks_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<client::Client> client_;
  std::vector<double> started_s_;  // right ones, by node
  std::vector<std::unique_ptr<TestAgent>> agents_;
};

}  // namespace faultline::cluster
