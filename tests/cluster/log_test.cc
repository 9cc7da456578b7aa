// What controllers log of experiments.
#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/json_log.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

constexpr char kSelector[] = "service:checkout,version:v1";
constexpr char kSecret[] = "s3cr3t-value";

Cluster::Options InJson(int nodes) {
  Cluster::Options options;
  options.nodes = nodes;
  for (int node = 0; node < nodes; ++node) {
    options.flags[node] = {"--log-format", "json", "--log-level", "debug"};
  }
  return options;
}

LogLines AllLines(Cluster& cluster) {
  LogLines all;
  for (int node = 0; node < cluster.size(); ++node) {
    const LogLines lines = ReadLog(cluster.process(node).log());
    all.insert(all.end(), lines.begin(), lines.end());
  }
  return all;
}

TEST(Logs, TellARefusalOnceWithItsRequestAndWithoutTheValuesThatWereGiven) {
  Cluster cluster(InJson(3));
  const int follower = cluster.Follower();
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster.Agents(follower);
    return agents.ok() && agents->agents_size() > 0;
  }));
  auto invalid = LatencyOn(kSelector, "r-invalid");
  (*invalid.mutable_parameters())["delay_ms"] = kSecret;
  EXPECT_EQ(cluster.StartExperiment(follower, invalid).status().code(),
            StatusCode::kInvalidArgument);
  const auto nowhere = LatencyOn("service:nowhere", "r-nowhere");
  EXPECT_EQ(cluster.StartExperiment(follower, nowhere).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(cluster.Stop(follower, "exp-7777", 0).status().code(), StatusCode::kNotFound);
  LogLines starts, stops;
  EXPECT_TRUE(Eventually([&] {
    starts = Saying(AllLines(cluster), "info", "a start on ");
    stops = Saying(AllLines(cluster), "info", "a stop by local is refused: ");
    return starts.size() >= 2 && !stops.empty();
  }));
  ASSERT_EQ(starts.size(), 2u);
  EXPECT_EQ(starts[0]["message"],
            "a start on service:checkout,version:v1 by local is refused: INVALID_PARAMETER: "
            "parameters.delay_ms");
  EXPECT_EQ(FieldOf(starts[0], "request_id"), "r-invalid");
  EXPECT_EQ(starts[1]["message"],
            "a start on service:nowhere by local is refused: NO_TARGET_MATCHES: target");
  EXPECT_EQ(FieldOf(starts[1], "request_id"), "r-nowhere");
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(FieldOf(stops[0], "experiment_id"), "exp-7777");
  for (int node = 0; node < cluster.size(); ++node) {
    EXPECT_EQ(cluster.process(node).log().find(kSecret), std::string::npos);
  }
}

TEST(Logs, OfANodeThatIsStartedAnewDoNotTellThePastAgain) {
  Cluster cluster(InJson(1));
  TestAgent agent({.controllers = cluster.api_addresses()});
  const auto live = [&](const std::string& request_id) {
    std::string id;
    EXPECT_TRUE(Eventually([&] {
      const auto started = cluster.StartExperiment(0, LatencyOn(kSelector, request_id));
      if (started.ok()) id = started->experiment_id();
      return started.ok();
    }));
    EXPECT_TRUE(cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE));
    EXPECT_TRUE(cluster.Stop(0, id, 20).ok());
    EXPECT_TRUE(Eventually([&] {
      return !Saying(AllLines(cluster), "info", "experiment " + id + " has ended").empty();
    }));
    return id;
  };
  const std::string first = live("r-1");
  cluster.process(0).Kill();
  cluster.Start(0);
  const std::string second = live("r-2");
  const LogLines lines = AllLines(cluster);
  for (const auto& [id, request] : {std::pair(first, "r-1"), std::pair(second, "r-2")}) {
    for (const char* what : {" is accepted: NETWORK_LATENCY on ", " is active", " is to stop, ",
                             " has ended: completed (stopped): "}) {
      const LogLines found = Saying(lines, "info", "experiment " + id + what);
      ASSERT_EQ(found.size(), 1u) << id << what;
      EXPECT_EQ(FieldOf(found[0], "experiment_id"), id);
      EXPECT_EQ(FieldOf(found[0], "request_id"), request);
    }
  }
  EXPECT_EQ(Saying(lines, "debug", "experiment " + first + " has ended").size(), 1u)
      << "what the log brought back";
}

}  // namespace
}  // namespace faultline::cluster
