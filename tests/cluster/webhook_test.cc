// Webhooks for real: three controllers, a receiver over HTTP, and leaders that die in the middle.
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/clock.h"
#include "http/test_receiver.h"
#include "server/webhook_config.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/http_get.h"
#include "tests/cluster/test_agent.h"
#include "tests/cluster/wall_clock.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

using http::TestReceiver;
using Json = nlohmann::json;

constexpr char kKey[] = "0123456789abcdef-the-secret";
constexpr int kNodes = 3;

class Webhooks : public ::testing::Test {
 protected:
  Webhooks() : ports_(FreePorts(kNodes)), receiver_port_(static_cast<uint16_t>(FreePorts(1)[0])) {
    std::ofstream(directory_.path() + "/secret") << kKey << "\n";
  }

  // `more`: of the YAML list, beside the webhook "ops" at the receiver's port. With the default
  // lease no busy machine loses the agent.
  void StartCluster(const std::string& more = "", const std::string& lease = "10s") {
    const std::string config = directory_.path() + "/controller.yaml";
    std::ofstream(config) << fmt::format(
        "webhooks:\n- {{name: ops, url: 'http://127.0.0.1:{}/hook', secret_file: {}/secret}}\n{}",
        receiver_port_, directory_.path(), more);
    Cluster::Options options;
    options.nodes = kNodes;
    options.lease = lease;
    for (int node = 0; node < kNodes; ++node) {
      options.flags[node] = {"--config", config, "--http-listen",
                             fmt::format("127.0.0.1:{}", ports_[static_cast<size_t>(node)])};
      if (clocks_) options.environment[node] = clocks_->at(static_cast<size_t>(node)).environment();
    }
    cluster_ = std::make_unique<Cluster>(options);
    agent_ =
        std::make_unique<TestAgent>(TestAgent::Options{.controllers = cluster_->api_addresses()});
    ASSERT_TRUE(Eventually([&] { return agent_->grants() > 0; }));
    // Once the leader has recorded where it begins, nothing is lost any more.
    ASSERT_TRUE(Eventually([&] {
      const int leader = cluster_->Leader();
      return leader >= 0 &&
             cluster_->process(leader).log().find(
                 "webhook ops is told of what happens from now on") != std::string::npos;
    }));
  }
  std::string Metrics(int node) const {
    return Get(ports_[static_cast<size_t>(node)], "/metrics").body;
  }
  // What all nodes show of a series, added up: each of them may have led.
  double Count(const std::string& series) const {
    double count = 0;
    for (int node = 0; node < kNodes; ++node) {
      const std::string metrics = "\n" + Metrics(node);
      const size_t at = metrics.find("\n" + series + " ");
      if (at != std::string::npos) count += std::stod(metrics.substr(at + series.size() + 2));
    }
    return count;
  }
  void Listen() { receiver_ = std::make_unique<TestReceiver>(receiver_port_); }

  // An experiment that was active and is over.
  std::string RunOne(int node) {
    const auto request = LatencyOn("service:checkout", fmt::format("run-{}", ++runs_));
    StatusOr<chaos::v1::Experiment> started;
    EXPECT_TRUE(Eventually([&] {
      started = cluster_->StartExperiment(node, request);
      return started.ok();
    })) << started.status();
    if (!started.ok()) return "";
    const std::string id = started->experiment_id();
    EXPECT_TRUE(cluster_->WaitForPhase(node, id, chaos::v1::TARGET_PHASE_ACTIVE));
    EXPECT_TRUE(cluster_->Stop(node, id, 30).ok());
    return id;
  }

  // By experiment: types, in the order in which each id came first.
  std::map<std::string, std::vector<std::string>> Told() const {
    std::map<std::string, std::vector<std::string>> told;
    std::set<std::string> seen;
    for (const auto& post : receiver_->posts()) {
      const Json event = Json::parse(post.body);
      if (!seen.insert(event.at("id")).second) continue;
      told[event.at("experiment_id")].push_back(event.at("type"));
    }
    return told;
  }
  bool IsTold(const std::string& experiment, const std::vector<std::string>& types) const {
    return Eventually([&] {
      const auto told = Told();
      return told.contains(experiment) && told.at(experiment) == types;
    });
  }

  const std::vector<int> ports_;
  const uint16_t receiver_port_;
  TempDir directory_;
  int runs_ = 0;
  std::unique_ptr<std::array<WallClock, kNodes>> clocks_;  // made by tests that set them
  std::unique_ptr<TestReceiver> receiver_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<TestAgent> agent_;
};

TEST_F(Webhooks, AreToldOfEachEventOnceWithASignatureThatHolds) {
  Listen();
  StartCluster();
  std::vector<TestReceiver::Post> posts;
  // A leader that is elected meanwhile, as on a busy machine, tells again what is not recorded yet.
  ASSERT_TRUE(Eventually([&] {
    const long term = cluster_->Term();
    const std::string id = RunOne(0);
    EXPECT_TRUE(IsTold(id, {"start", "stop", "verdict"})) << Json(Told());
    posts = receiver_->posts();
    std::erase_if(
        posts, [&](const auto& post) { return Json::parse(post.body).at("experiment_id") != id; });
    return cluster_->Term() == term || HasFailure();
  }));
  ASSERT_EQ(posts.size(), 3u);
  for (const auto& post : posts) {
    const Json event = Json::parse(post.body);
    EXPECT_EQ(post.target, "/hook");
    EXPECT_EQ(post.headers.at("content-type"), "application/json");
    EXPECT_EQ(post.headers.at("webhook-id"), event.at("id").get<std::string>());
    const std::string& timestamp = post.headers.at("webhook-timestamp");
    EXPECT_NEAR(std::stod(timestamp), static_cast<double>(UnixNowNs()) / 1e9, 120);
    EXPECT_EQ(post.headers.at("webhook-signature"),
              server::SignPost(kKey, event.at("id").get<std::string>(), timestamp, post.body));
    EXPECT_EQ(event.at("target"), "service:checkout");
    EXPECT_EQ(event.at("faults").at(0).at("kind"), "NETWORK_LATENCY");
  }
  const Json verdict = Json::parse(posts[2].body);
  EXPECT_EQ(verdict.at("status"), "completed");
  EXPECT_EQ(verdict.at("targets").at("reverted"), 1);
  EXPECT_TRUE(Eventually([&] {
    return Count("faultline_webhook_events_total{webhook=\"ops\",result=\"delivered\"}") >= 3;
  }));
  EXPECT_LE(Count("faultline_webhook_events_total{webhook=\"ops\",result=\"delivered\"}"),
            static_cast<double>(receiver_->posts().size()));
}

TEST_F(Webhooks, NothingIsLostWhenLeadersDieWhileTheReceiverIsAway) {
  StartCluster();
  const std::string first = RunOne(0);
  const int leader = cluster_->WaitForLeader();
  EXPECT_TRUE(Eventually([&] {
    const std::string metrics = Metrics(leader);
    const size_t at = metrics.find("faultline_webhook_failures_total{webhook=\"ops\"} ");
    return at != std::string::npos && metrics[metrics.find(' ', at) + 1] != '0';
  })) << Metrics(leader);
  cluster_->process(leader).Kill();
  const int next = cluster_->WaitForLeader(leader);
  ASSERT_NE(next, -1);
  const std::string second = RunOne(next);
  Listen();
  EXPECT_TRUE(IsTold(first, {"start", "stop", "verdict"})) << Json(Told());
  EXPECT_TRUE(IsTold(second, {"start", "stop", "verdict"})) << Json(Told());

  // What was taken is remembered: the third leader repeats at most what had not been recorded.
  cluster_->Start(leader);
  const std::string third = RunOne(next);
  ASSERT_TRUE(IsTold(third, {"start", "stop", "verdict"}));
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster_->Agents(leader);
    return agents.ok();
  }));
  std::this_thread::sleep_for(std::chrono::seconds(8));  // a cursor is recorded each second
  const size_t before = receiver_->posts().size();
  cluster_->process(next).Kill();
  const int last = cluster_->WaitForLeader(next);
  ASSERT_NE(last, -1);
  const std::string fourth = RunOne(last);
  ASSERT_TRUE(IsTold(fourth, {"start", "stop", "verdict"}));
  std::set<std::string> again;
  const auto posts = receiver_->posts();
  for (size_t i = before; i < posts.size(); ++i) {
    again.insert(Json::parse(posts[i].body).at("experiment_id").get<std::string>());
  }
  EXPECT_EQ(again, (std::set<std::string>{fourth}));
}

TEST_F(Webhooks, ALeaderThatDiesInTheMiddleOfAPostIsFollowedByOneThatPostsItAgain) {
  Listen();
  receiver_->AnswerWith(503);  // takes the posts in, and says that it did not
  StartCluster();
  const std::string id = RunOne(0);
  ASSERT_TRUE(Eventually([&] { return !receiver_->posts().empty(); }));
  const int leader = cluster_->WaitForLeader();
  cluster_->process(leader).Kill();
  receiver_->AnswerWith(200);
  EXPECT_TRUE(IsTold(id, {"start", "stop", "verdict"})) << Json(Told());
  const auto posts = receiver_->posts();
  ASSERT_GE(posts.size(), 4u);
  // The same event from both: the same words under the same id.
  EXPECT_EQ(posts.front().headers.at("webhook-id"),
            Json::parse(posts.front().body).at("id").get<std::string>());
  const auto same = std::count_if(posts.begin(), posts.end(), [&](const auto& post) {
    return post.headers.at("webhook-id") == posts.front().headers.at("webhook-id");
  });
  EXPECT_GE(same, 2);
  for (const auto& post : posts) {
    if (post.headers.at("webhook-id") == posts.front().headers.at("webhook-id")) {
      EXPECT_EQ(Json::parse(post.body), Json::parse(posts.front().body));
    }
  }
}

TEST_F(Webhooks, AReceiverThatRefusesOrIsGoneHoldsUpNoOther) {
  const auto gone = FreePorts(1)[0];
  TestReceiver refuses;
  refuses.AnswerWith(400);
  Listen();
  StartCluster(fmt::format(
      "- {{name: gone, url: 'http://127.0.0.1:{0}/', secret_file: {2}/secret}}\n"
      "- {{name: picky, url: 'http://127.0.0.1:{1}/', secret_file: {2}/secret, events: [stop]}}\n",
      gone, refuses.port(), directory_.path()));
  const long term = cluster_->Term();
  const std::string id = RunOne(0);
  EXPECT_TRUE(IsTold(id, {"start", "stop", "verdict"}));
  ASSERT_TRUE(Eventually([&] { return !refuses.posts().empty(); }));
  EXPECT_TRUE(Eventually([&] {
    return Count("faultline_webhook_events_total{webhook=\"picky\",result=\"refused\"}") >= 1 &&
           Count("faultline_webhook_oldest_event_seconds{webhook=\"gone\"}") > 0;
  }));
  // By each leader at the most once, and on a busy machine there may be another one.
  EXPECT_LE(refuses.posts().size(), static_cast<size_t>(1 + cluster_->Term() - term));
  EXPECT_EQ(Json::parse(refuses.posts()[0].body).at("type"), "stop");
}

// An event is stamped by the clock that experiments are on, which does not follow a step.
TEST_F(Webhooks, AreToldOfWhatEndsAfterEveryUnixClockWasSetAheadByMoreThanADay) {
  Listen();
  clocks_ = std::make_unique<std::array<WallClock, kNodes>>();
  StartCluster();
  const auto started = cluster_->StartExperiment(0, LatencyOn("service:checkout"));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string& id = started->experiment_id();
  ASSERT_TRUE(IsTold(id, {"start"})) << Json(Told());
  for (WallClock& clock : *clocks_) clock.Set(std::chrono::hours(25));
  EXPECT_TRUE(cluster_->Stop(0, id, 30).ok());
  EXPECT_TRUE(IsTold(id, {"start", "stop", "verdict"})) << Json(Told());
  EXPECT_EQ(Count("faultline_webhook_events_total{webhook=\"ops\",result=\"given_up\"}"), 0);
}

TEST_F(Webhooks, AreToldOfALostTarget) {
  Listen();
  StartCluster("", "3s");
  const auto started = cluster_->StartExperiment(0, LatencyOn("service:checkout"));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string& id = started->experiment_id();
  ASSERT_TRUE(cluster_->WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE));
  const std::string target = agent_->target_id();
  agent_.reset();
  EXPECT_TRUE(IsTold(id, {"start", "lost_target", "verdict"})) << Json(Told());
  for (const auto& post : receiver_->posts()) {
    const Json event = Json::parse(post.body);
    if (event.at("type") != "lost_target") continue;
    EXPECT_EQ(event.at("target_id"), target);
    EXPECT_EQ(event.at("agent_id"), "host");
  }
}

}  // namespace
}  // namespace faultline::cluster
