// A real Prometheus that scrapes three controllers and an agent of two targets.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "e2e/agent_support.h"
#include "tests/cluster/cluster.h"
#include "tests/ports/free_ports.h"

namespace faultline::e2e {

// A file of deploy/.
inline std::string Deployed(const std::string& name) {
  return FAULTLINE_SOURCE_DIR "/deploy/" + name;
}

class PrometheusTest : public testing::Test {
 protected:
  static constexpr int kNodes = 3;

  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    if (Shell("command -v prometheus").empty() || Shell("command -v promtool").empty()) {
      GTEST_SKIP() << "the package prometheus is not installed";
    }
    const auto ports = FreePorts(kNodes + 2);
    // A webhook, so that its metrics are there; nobody listens.
    std::ofstream(folder_.path() + "/secret") << "0123456789abcdef";
    std::ofstream(folder_.path() + "/controller.yaml") << fmt::format(
        "webhooks: [{{name: nobody, url: 'http://127.0.0.1:9/', secret_file: {}/secret}}]\n",
        folder_.path());
    cluster::Cluster::Options options;
    options.nodes = kNodes;
    for (int node = 0; node < kNodes; ++node) {
      addresses_.push_back(fmt::format("127.0.0.1:{}", ports[static_cast<size_t>(node)]));
      options.flags[node] = {"--http-listen", addresses_.back(), "--config",
                             folder_.path() + "/controller.yaml"};
    }
    cluster_ = std::make_unique<cluster::Cluster>(options);
    agent_address_ = fmt::format("127.0.0.1:{}", ports[kNodes]);
    own_address_ = fmt::format("127.0.0.1:{}", ports[kNodes + 1]);
    net_ = std::make_unique<NetPair>();
    WriteAgentConfig(folder_.path(), *net_, cluster_->api_addresses());
    StartAgent();
    StartPrometheus();
  }

  void StartAgent() {
    agent_ = std::make_unique<Process>(
        std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-agent", "--config",
                                 folder_.path() + "/agent.yaml", "--http-listen", agent_address_,
                                 "run"},
        folder_.path() + "/agent.log");
  }

  void StartPrometheus() {
    const std::string config = folder_.path() + "/prometheus.yml";
    std::ofstream(config) << fmt::format(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n"
        "rule_files: [{}]\n"
        "scrape_configs:\n"
        "- job_name: faultline-controller\n"
        "  static_configs: [{{targets: [\"{}\"]}}]\n"
        "- job_name: faultline-agent\n"
        "  static_configs: [{{targets: [\"{}\"]}}]\n",
        Deployed("prometheus/alerts.yml"), fmt::join(addresses_, "\", \""), agent_address_);
    prometheus_ = std::make_unique<Process>(
        std::vector<std::string>{"/usr/bin/prometheus", "--config.file=" + config,
                                 "--storage.tsdb.path=" + folder_.path() + "/tsdb",
                                 "--web.listen-address=" + own_address_},
        folder_.path() + "/prometheus.log");
  }

  nlohmann::json Ask(const std::string& path, const std::string& parameters = "") const {
    const std::string command = fmt::format("curl -s --max-time 10 -G http://{}/api/v1/{} {}",
                                            own_address_, path, parameters);
    return nlohmann::json::parse(Shell(command), nullptr, /*allow_exceptions=*/false);
  }
  // What a query finds now: of each series its value; nothing when it is refused.
  std::vector<double> Values(const std::string& query) const {
    std::ofstream(folder_.path() + "/query") << query;
    const nlohmann::json answer =
        Ask("query", "--data-urlencode query@" + folder_.path() + "/query");
    std::vector<double> values;
    if (!answer.is_object() || answer.value("status", "") != "success") return values;
    for (const auto& series : answer["data"]["result"]) {
      values.push_back(std::stod(series["value"][1].get<std::string>()));
    }
    return values;
  }
  // Waits until each of the alerts is raised, or its time to wait runs.
  void AwaitAlerts(const std::set<std::string>& wanted) const {
    std::set<std::string> missing;
    EXPECT_TRUE(cluster::Eventually([&] {
      missing = wanted;
      const nlohmann::json answer = Ask("alerts");
      if (!answer.is_object()) return false;
      for (const auto& alert : answer["data"]["alerts"]) {
        missing.erase(alert["labels"]["alertname"].get<std::string>());
      }
      return missing.empty();
    })) << fmt::format("{}", fmt::join(missing, " "))
        << Logs();
  }
  std::string Logs() const { return Shell("tail -n 20 " + folder_.path() + "/*.log"); }

  // On the service's egress a delay of 30 ms, more or less, and, by an experiment of its own, which
  // delays nothing, the loss of every tenth packet.
  void StartFaults() {
    experiment_ = Start("NETWORK_LATENCY", {{"delay_ms", "30"}, {"jitter_ms", "10"}});
    Start("NETWORK_LOSS", {{"loss_percent", "10"}});
    ASSERT_TRUE(cluster::Eventually([&] {
      return Shell("curl -s http://" + agent_address_ + "/metrics")
                 .find("faultline_agent_armed_faults 2\n") != std::string::npos;
    })) << Logs();
  }
  // Its id.
  std::string Start(const char* kind, const std::map<std::string, std::string>& parameters) {
    chaos::v1::StartExperimentRequest request;
    request.set_target("target:e2e/checkout");
    request.set_fault_type(kind);
    request.mutable_parameters()->insert(parameters.begin(), parameters.end());
    request.mutable_duration()->set_seconds(600);
    std::string id;
    EXPECT_TRUE(cluster::Eventually([&] {
      const auto started = cluster_->StartExperiment(0, request);
      if (started.ok()) id = started->experiment_id();
      return started.ok();
    })) << Logs();
    return id;
  }
  std::unique_ptr<Process> Traffic(const char* role, const std::string& netns, const char* own,
                                   const char* peer) const {
    return std::make_unique<Process>(
        std::vector<std::string>{"/usr/sbin/ip", "netns", "exec", netns, "/usr/bin/env", "python3",
                                 FAULTLINE_SOURCE_DIR "/tests/e2e/traffic.py", role, own, peer},
        folder_.path() + "/traffic.log");
  }

  const TempFolder folder_;
  std::vector<std::string> addresses_;
  std::string agent_address_, own_address_, experiment_;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<Process> agent_, prometheus_;
};

}  // namespace faultline::e2e
