// `faultline report` of a real experiment on a real service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/agent_system.h"
#include "e2e/cli_support.h"

namespace faultline::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr double kDelayMs = 100;

// A redis in the service's namespace, asked fifty times a second from the client's.
class Redis {
 public:
  Redis(const NetPair& net, const std::string& folder)
      : client_log_(folder + "/client.log"),
        server_({"/usr/sbin/ip", "netns", "exec", net.service(), "/usr/bin/redis-server", "--port",
                 "9979", "--bind", "10.77.0.1", "--protected-mode", "no", "--save", "",
                 "--appendonly", "no", "--dir", folder},
                folder + "/redis.log"),
        client_({"/usr/sbin/ip", "netns", "exec", net.client(), "/bin/sh", "-c",
                 "until redis-cli -h 10.77.0.1 -p 9979 ping; do sleep 0.1; done; "
                 "exec redis-cli -h 10.77.0.1 -p 9979 -r -1 -i 0.02 ping"},
                client_log_) {}

  // Whether it has answered its client yet.
  bool Answers() const { return Shell("cat " + client_log_).find("PONG") != std::string::npos; }

 private:
  const std::string client_log_;
  Process server_, client_;
};

double Percentile(const json& measured, double percent, const char* field = "value_ms") {
  for (const auto& p : measured["percentiles"]) {
    if (p["percent"] == percent) return p[field];
  }
  return -1;
}

class Report : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    net_ = std::make_unique<NetPair>();
    system_ = std::make_unique<AgentSystem>(*net_);
    redis_ = std::make_unique<Redis>(*net_, folder_.path());
    const Status agent = system_->StartAgent();
    ASSERT_TRUE(agent.ok()) << agent;
  }
  CliResult Run(const std::vector<std::string>& arguments) const {
    return Faultline(system_->address(), arguments);
  }
  // Starts a delay on the service, and waits until it is armed; its id.
  std::string Slow(const std::string& duration) const {
    const auto started = Run({"start", "NETWORK_LATENCY", "--target", "target:e2e/checkout",
                              "--delay-ms", "100", "--duration", duration, "--wait", "--json"});
    EXPECT_EQ(started.exit_code, 0) << started.err << system_->Logs();
    const json answer = json::parse(started.out, nullptr, /*allow_exceptions=*/false);
    return answer.is_object() ? answer.value("experiment_id", "") : "";
  }

  const TempFolder folder_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<AgentSystem> system_;
  std::unique_ptr<Redis> redis_;
};

TEST_F(Report, ComparesAskedWithMeasuredAndBeforeWithDuringAndAfter) {
  ASSERT_TRUE(Eventually([&] { return redis_->Answers(); }, std::chrono::minutes(1)));
  usleep(3'000'000);  // something must have been measured before
  const std::string id = Slow("60s");
  ASSERT_NE(id, "");
  const auto early = Run({"report", id});
  EXPECT_EQ(early.exit_code, 5);
  EXPECT_THAT(early.err, HasSubstr("has not ended yet"));
  usleep(4'000'000);
  EXPECT_EQ(Run({"stop", id, "--wait", "--wait-time", "60s"}).exit_code, 0) << system_->Logs();
  const auto printed = Run({"report", id, "--json", "--wait", "60s"});
  ASSERT_EQ(printed.exit_code, 0) << printed.err << system_->Logs();
  const json report = json::parse(printed.out);
  const auto& delay = report["parameters"][0];
  EXPECT_EQ(delay["name"], "delay_ms");
  EXPECT_EQ(delay["asked"], "100 ms");
  EXPECT_GE(delay["value"], kDelayMs * 0.95);  // what is held at the end is let out at once
  EXPECT_LE(delay["low"], delay["value"]);
  EXPECT_GE(delay["high"], delay["value"]);
  EXPECT_GT(Percentile(report["before"], 50), 0) << printed.out;
  EXPECT_LT(Percentile(report["before"], 50), kDelayMs) << printed.out;
  EXPECT_GE(Percentile(report["during"], 50), kDelayMs * 0.98) << printed.out;
  EXPECT_LT(Percentile(report["after"], 50), kDelayMs) << printed.out;
  EXPECT_LE(Percentile(report["during"], 99, "low_ms"), Percentile(report["during"], 99));
  std::set<std::string> events;
  for (const auto& event : report["events"]) events.insert(event["what"]);
  for (const char* word : {"created", "active", "reverted", "completed"}) {
    EXPECT_TRUE(events.contains(word)) << word;
  }
  EXPECT_EQ(report["targets"][0]["missing_batches"], "0");
  EXPECT_TRUE(report["unmeasured_targets"].empty());

  const std::string path = folder_.path() + "/report.html";
  EXPECT_EQ(Run({"report", id, "--html", path}).exit_code, 0);
  std::ifstream file(path);
  std::stringstream html;
  html << file.rdbuf();
  EXPECT_THAT(html.str(), HasSubstr("<svg "));
  if (const char* keep = getenv("FAULTLINE_KEEP_REPORT")) std::ofstream(keep) << html.str();
  EXPECT_THAT(Run({"report", id, "--markdown"}).out, HasSubstr("## Asked and measured"));
  EXPECT_THAT(Run({"report", id}).out, HasSubstr("NETWORK_LATENCY  delay_ms"));
  const auto course = Run({"metrics", id, "--live"});
  EXPECT_EQ(course.exit_code, 0) << course.err;
  EXPECT_THAT(course.out, testing::ContainsRegex("[a-z]  p50 1[0-9.]+ ms  p99 .* requests "));
}

TEST_F(Report, OfAnUnknownExperimentIsNotFound) {
  EXPECT_EQ(Run({"report", "exp-none"}).exit_code, 4);
  EXPECT_EQ(Run({"report", "exp-none", "--json", "--markdown"}).exit_code, 2);
}

TEST_F(Report, TellsOfAnAgentThatWasLost) {
  const std::string id = Slow("60s");
  ASSERT_NE(id, "");
  usleep(1'000'000);
  system_->agent().Signal(SIGKILL);
  EXPECT_EQ(Run({"stop", id, "--wait", "--wait-time", "60s"}).exit_code, 0) << system_->Logs();
  const auto printed = Run({"report", id, "--wait", "60s"});
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_THAT(printed.out, HasSubstr("Refused or lost"));
  EXPECT_THAT(printed.out, HasSubstr("lost"));
}

}  // namespace
}  // namespace faultline::e2e
