// A host is halted by `faultline-agent halt` while it is faulty: what the receiver of a webhook is
// told, and how often.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "e2e/agent_support.h"
#include "http/test_receiver.h"
#include "server/webhook_config.h"
#include "tests/cluster/cluster.h"

namespace faultline::e2e {
namespace {

using cluster::Eventually;
using nlohmann::json;
using testing::ElementsAre;

constexpr char kKey[] = "0123456789abcdef-the-secret";

class HaltedHost : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    const std::string folder = folder_.path();
    std::ofstream(folder + "/secret") << kKey << "\n";
    std::ofstream(folder + "/controller.yaml") << fmt::format(
        "webhooks: [{{name: ops, url: 'http://127.0.0.1:{}/hook', secret_file: {}/secret}}]\n",
        receiver_.port(), folder);
    cluster::Cluster::Options options;
    options.flags[0] = {"--config", folder + "/controller.yaml", "--http-listen", "off"};
    cluster_ = std::make_unique<cluster::Cluster>(options);
    // What happens before is not told.
    ASSERT_TRUE(Eventually([&] {
      return cluster_->process(0).log().find("webhook ops is told of what happens from now on") !=
             std::string::npos;
    }));
    net_ = std::make_unique<NetPair>();
    agent_config_ = WriteAgentConfig(folder, *net_, cluster_->api_addresses());
    agent_ = std::make_unique<Process>(
        std::vector<std::string>{program(), "--config", agent_config_, "run"},
        folder + "/agent.log");
  }

  std::string program() const { return FAULTLINE_BIN_DIR "/faultline-agent"; }

  // A delay on both of the host's targets, until it is active on each.
  void StartSlowing() {
    auto request = cluster::LatencyOn("agent:e2e");
    request.mutable_duration()->set_seconds(600);
    ASSERT_TRUE(Eventually([&] {
      const auto started = cluster_->StartExperiment(0, request);
      if (started.ok()) experiment_ = started->experiment_id();
      return started.ok();
    })) << Shell("cat " + folder_.path() + "/agent.log");
    ASSERT_TRUE(Eventually([&] {
      const auto got = cluster_->Get(0, experiment_);
      return got.ok() &&
             std::all_of(got->targets().begin(), got->targets().end(), [](const auto& pair) {
               return pair.phase() == chaos::v1::TARGET_PHASE_ACTIVE;
             });
    })) << Shell("cat " + folder_.path() + "/agent.log");
  }

  // Types of the events in posts that got this answer, in their order.
  std::vector<std::string> Answered(unsigned status) const {
    std::vector<std::string> types;
    for (const auto& post : receiver_.posts()) {
      if (post.answer == status) types.push_back(json::parse(post.body).at("type"));
    }
    return types;
  }

  const TempFolder folder_;
  http::TestReceiver receiver_;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<NetPair> net_;
  std::string agent_config_, experiment_;
  std::unique_ptr<Process> agent_;
};

TEST_F(HaltedHost, IsToldOnceForItsAgentUntilItIsTakenWithSignaturesThatHold) {
  StartSlowing();
  ASSERT_TRUE(Eventually([&] { return Answered(200) == std::vector<std::string>{"start"}; }));
  receiver_.AnswerWith(503);
  EXPECT_THAT(Shell(program() + " --config " + agent_config_ + " halt"),
              testing::StartsWith("halted: 2 faults disarmed;"));
  ASSERT_TRUE(Eventually([&] { return Answered(503).size() >= 2; }));
  receiver_.AnswerWith(200);
  // The verdict comes behind it: by then nothing of it can be under way.
  ASSERT_TRUE(Eventually([&] { return Answered(200).size() >= 3; }));
  EXPECT_THAT(Answered(200), ElementsAre("start", "halt", "verdict"));
  EXPECT_THAT(Answered(503), testing::Each("halt"));

  std::map<std::string, std::string> bodies;  // by id
  for (const auto& post : receiver_.posts()) {
    const std::string& id = post.headers.at("webhook-id");
    EXPECT_EQ(post.headers.at("webhook-signature"),
              server::SignPost(kKey, id, post.headers.at("webhook-timestamp"), post.body));
    EXPECT_EQ(json::parse(post.body).at("id"), id);
    EXPECT_EQ(bodies.emplace(id, post.body).first->second, post.body) << "the same words each time";
  }
  EXPECT_EQ(bodies.size(), 3u);
  const json halt = json::parse(receiver_.posts()[1].body);
  EXPECT_EQ(halt.at("experiment_id"), experiment_);
  EXPECT_EQ(halt.at("agent_id"), "e2e");
  EXPECT_FALSE(halt.contains("target_id"));
  EXPECT_EQ(halt.at("faults").at(0).at("kind"), "NETWORK_LATENCY");
}

}  // namespace
}  // namespace faultline::e2e
