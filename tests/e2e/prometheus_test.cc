// A real Prometheus that scrapes three controllers and an agent: the dashboard's queries and the
// alerts in deploy/ find what they ask for.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "chaos/v1/chaos.grpc.pb.h"
#include "e2e/agent_support.h"
#include "tests/cluster/cluster.h"
#include "tests/ports/free_ports.h"

namespace faultline::e2e {
namespace {

using nlohmann::json;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Deployed(const std::string& name) { return FAULTLINE_SOURCE_DIR "/deploy/" + name; }

// The dashboard's queries by panel, with Grafana's variables filled in.
std::vector<std::pair<std::string, std::string>> DashboardQueries() {
  std::vector<std::pair<std::string, std::string>> queries;
  const json dashboard = json::parse(ReadFile(Deployed("grafana/faultline.json")));
  for (const auto& panel : dashboard["panels"]) {
    if (!panel.contains("targets")) continue;
    for (const auto& target : panel["targets"]) {
      std::string query = target["expr"];
      query = std::regex_replace(query, std::regex(R"(\$__rate_interval)"), "30s");
      queries.emplace_back(panel["title"], query);
    }
  }
  return queries;
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
    agent_ = std::make_unique<Process>(
        std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-agent", "--config",
                                 WriteAgentConfig(folder_.path(), *net_, cluster_->api_addresses()),
                                 "--http-listen", agent_address_, "run"},
        folder_.path() + "/agent.log");
    StartPrometheus();
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

  json Ask(const std::string& path, const std::string& parameters = "") const {
    const std::string command = fmt::format("curl -s --max-time 10 -G http://{}/api/v1/{} {}",
                                            own_address_, path, parameters);
    return json::parse(Shell(command), nullptr, /*allow_exceptions=*/false);
  }
  // Series that a query finds now; -1 when it is refused.
  int Series(const std::string& query) const {
    std::ofstream(folder_.path() + "/query") << query;
    const json answer = Ask("query", "--data-urlencode query@" + folder_.path() + "/query");
    if (!answer.is_object() || answer.value("status", "") != "success") return -1;
    return static_cast<int>(answer["data"]["result"].size());
  }
  std::string Logs() const { return Shell("tail -n 20 " + folder_.path() + "/*.log"); }

  // A delay of 5 ms on the service's egress.
  void StartSlowing() {
    auto request = cluster::LatencyOn("target:e2e/checkout");
    (*request.mutable_parameters())["delay_ms"] = "5";
    request.mutable_duration()->set_seconds(600);
    const auto accepts = [&] {
      const auto started = cluster_->StartExperiment(0, request);
      if (started.ok()) experiment_ = started->experiment_id();
      return started.ok();
    };
    ASSERT_TRUE(cluster::Eventually(accepts)) << Logs();
    ASSERT_TRUE(cluster_->WaitForPhase(0, experiment_, chaos::v1::TARGET_PHASE_ACTIVE)) << Logs();
  }

  const TempFolder folder_;
  std::vector<std::string> addresses_;
  std::string agent_address_, own_address_, experiment_;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<Process> agent_, prometheus_;
};

TEST_F(PrometheusTest, FindsWhatTheDashboardAndTheAlertsAskFor) {
  StartSlowing();
  const UdpStream traffic(*net_, 200);
  for (const auto& [panel, query] : DashboardQueries()) {
    EXPECT_TRUE(cluster::Eventually([&, text = query] { return Series(text) > 0; }))
        << panel << ": " << query << "\n"
        << Logs();
  }
  // A healthy system raises no alert; what they look at is there.
  const std::regex name(R"((faultline|process)_\w+|\bup\b)");
  std::set<std::string> names;
  const json rules = Ask("rules");
  for (const auto& group : rules["data"]["groups"]) {
    for (const auto& rule : group["rules"]) {
      EXPECT_EQ(rule["health"], "ok") << rule.dump();
      EXPECT_EQ(rule["state"], "inactive") << rule.dump();
      const std::string query = rule["query"];
      for (std::sregex_iterator found(query.begin(), query.end(), name), end; found != end;
           ++found) {
        names.insert(found->str());
      }
    }
  }
  EXPECT_GE(names.size(), 10u);
  for (const std::string& metric : names) {
    EXPECT_TRUE(cluster::Eventually([&] { return Series(metric) > 0; })) << metric;
  }
}

TEST_F(PrometheusTest, RaisesAlertsForWhatIsWrong) {
  ASSERT_TRUE(cluster::Eventually([&] { return Series("up == 1") == kNodes + 1; })) << Logs();
  cluster_->process(1).Kill();
  cluster_->process(2).Kill();
  std::set<std::string> raised;
  EXPECT_TRUE(cluster::Eventually([&] {
    const json answer = Ask("alerts");
    for (const auto& alert : answer["data"]["alerts"]) {
      raised.insert(alert["labels"]["alertname"].get<std::string>());
    }
    return raised.contains("FaultlineDown") && raised.contains("FaultlineNoLeader");
  })) << fmt::format("{}", fmt::join(raised, " "));
}

TEST_F(PrometheusTest, AcceptsTheAgentsMetricsAndTheRules) {
  StartSlowing();
  const auto metrics = [&] { return Shell("curl -s http://" + agent_address_ + "/metrics"); };
  const std::string matched = fmt::format(
      "faultline_fault_packets_matched_total{{experiment=\"{}\",fault=\"0\",target=\"e2e/"
      "checkout\"}}",
      experiment_);
  const UdpStream traffic(*net_, 200);
  EXPECT_TRUE(cluster::Eventually([&] {
    const std::string text = metrics();
    const size_t at = text.find(matched);
    return at != std::string::npos && std::stod(text.substr(at + matched.size())) > 0;
  })) << metrics();
  std::ofstream(folder_.path() + "/metrics") << metrics() << "\n";
  EXPECT_EQ(Shell("promtool check metrics < " + folder_.path() + "/metrics; echo $?"), "0");
  EXPECT_NE(Shell("promtool check rules " + Deployed("prometheus/alerts.yml") + "; echo $?")
                .find("SUCCESS"),
            std::string::npos);
  EXPECT_EQ(Shell("curl -s http://" + agent_address_ + "/readyz"), "ok");
  Shell(fmt::format("{} --config {}/agent.yaml halt", FAULTLINE_BIN_DIR "/faultline-agent",
                    folder_.path()));
  EXPECT_EQ(Shell("curl -s http://" + agent_address_ + "/readyz"),
            "halted: nothing is armed until faultline-agent resume");
  EXPECT_EQ(Shell("curl -s http://" + agent_address_ + "/healthz"), "ok");
}

}  // namespace
}  // namespace faultline::e2e
