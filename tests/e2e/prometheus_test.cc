// A real Prometheus that scrapes three controllers and an agent: the dashboard's queries find
// numbers, and the alerts in deploy/ notice what is wrong. When alerts are raised is told by
// deploy/alerts_test.cc.
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <thread>

#include "chaos/v1/chaos.grpc.pb.h"
#include "e2e/prometheus_fixture.h"

namespace faultline::e2e {
namespace {

using nlohmann::json;

struct PanelQuery {
  std::string panel;
  std::string text;  // as it stands in the dashboard
};

std::vector<PanelQuery> DashboardQueries() {
  std::vector<PanelQuery> queries;
  const json dashboard = json::parse(std::ifstream(Deployed("grafana/faultline.json")));
  for (const auto& panel : dashboard["panels"]) {
    if (!panel.contains("targets")) continue;
    for (const auto& target : panel["targets"]) queries.push_back({panel["title"], target["expr"]});
  }
  return queries;
}

// With Grafana's variables filled in.
std::string Filled(const std::string& query) {
  return std::regex_replace(query, std::regex(R"(\$__rate_interval)"), "30s");
}

// What finds nothing but zeros in this system, and why; all else finds something above.
const std::map<std::string, std::string> kZero = {
    {"max by (job, cluster) (increase(faultline_raft_leader_changes_total[$__rate_interval]))",
     "the leader stays in office"},
    {"max by (job, cluster, member) (faultline_raft_follower_lag_entries)",
     "members on one host keep up"},
    {"sum by (instance) (rate(faultline_raft_proposals_refused_total[$__rate_interval]))",
     "no leader loses its office"},
    {"sum by (operation, result) (increase(faultline_raft_snapshots_total[$__rate_interval]))",
     "the log is too short for a snapshot"},
    {"sum by (reason) (increase(faultline_raft_refused_peers_total[$__rate_interval]))",
     "nobody knocks who does not belong here"},
    {"sum by (limit) (rate(faultline_limit_refused_total[$__rate_interval]))",
     "few calls are under way"},
    {"sum by (target) (rate(faultline_target_events_lost_total[$__rate_interval]))",
     "there is room for every event"},
    {"sum by (instance) (rate(faultline_agent_connections_met_midway_total[$__rate_interval]))",
     "every connection is seen to begin"},
};

// Clients of the cluster: one that reads the measurements once a second, so that most of them are
// merged, and one that writes in vain: its stops are committed, and fail.
class Clients {
 public:
  explicit Clients(cluster::Cluster* cluster)
      : reader_([this, stub = std::shared_ptr(cluster->Stub(0))] {
          chaos::v1::SubscribeToMetricsRequest request;
          request.set_all(true);
          request.set_rate_hz(1);
          const auto stream = stub->SubscribeToMetrics(&reading_, request);
          chaos::v1::MetricUpdate update;
          while (stream->Read(&update)) continue;
        }),
        writer_([this, cluster] {
          while (!ending_) {
            EXPECT_FALSE(cluster->Stop(0, "exp-none", 0).ok());
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
          }
        }) {}
  ~Clients() {
    ending_ = true;
    reading_.TryCancel();
    reader_.join();
    writer_.join();
  }

 private:
  grpc::ClientContext reading_;
  std::atomic<bool> ending_{false};
  std::thread reader_, writer_;
};

TEST_F(PrometheusTest, FindsANumberForEachQueryOfTheDashboard) {
  StartFaults();
  const auto server = Traffic("serve", net_->service(), "10.77.0.1", "10.77.0.2");
  const auto client = Traffic("ask", net_->client(), "10.77.0.2", "10.77.0.1");
  const UdpStream datagrams(*net_, 200);
  const Clients clients(cluster_.get());
  const auto queries = DashboardQueries();
  EXPECT_GE(queries.size(), 10u);
  std::set<std::string> asked;
  for (const auto& [panel, text] : queries) {
    asked.insert(text);
    std::vector<double> values;
    EXPECT_TRUE(cluster::Eventually([&, query = text] {
      values = Values(Filled(query));
      const bool numbers =
          !values.empty() &&
          std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
      const auto zero = [](double value) { return value == 0; };
      return numbers && (kZero.contains(query) || !std::all_of(values.begin(), values.end(), zero));
    })) << panel
        << ": " << text << "\nfound " << fmt::format("{}", fmt::join(values, " ")) << "\n"
        << Logs();
  }
  for (const auto& [text, why] : kZero) EXPECT_TRUE(asked.contains(text)) << text;
}

TEST_F(PrometheusTest, RaisesNoAlertInAHealthySystemAndFindsWhatAlertsLookAt) {
  StartFaults();
  const UdpStream datagrams(*net_, 200);
  const std::regex name(R"((faultline|process)_\w+|\bup\b)");
  std::set<std::string> names;
  const auto loaded = [&] {
    const json rules = Ask("rules");
    return rules.is_object() && !rules["data"]["groups"].empty() &&
           rules["data"]["groups"][0]["rules"][0]["health"] == "ok";
  };
  ASSERT_TRUE(cluster::Eventually(loaded)) << Logs();
  const json rules = Ask("rules");
  for (const auto& group : rules["data"]["groups"]) {
    for (const auto& rule : group["rules"]) {
      EXPECT_EQ(rule["health"], "ok") << rule.dump();
      const std::string query = rule["query"];
      for (std::sregex_iterator found(query.begin(), query.end(), name), end; found != end;
           ++found) {
        names.insert(found->str());
      }
    }
  }
  EXPECT_GE(names.size(), 10u);
  names.erase("faultline_certificate_not_after_timestamp_seconds");  // there is no TLS here
  for (const std::string& metric : names) {
    EXPECT_TRUE(cluster::Eventually([&] { return !Values(metric).empty(); })) << metric;
  }
  // What a scrape missed while the programs began is forgotten by then. The disk of a busy machine
  // is slow indeed.
  json alerts;
  EXPECT_TRUE(cluster::Eventually([&] {
    alerts = Ask("alerts");
    if (!alerts.is_object() || alerts.value("status", "") != "success") return false;
    const json& all = alerts["data"]["alerts"];
    return std::all_of(all.begin(), all.end(), [](const json& alert) {
      return alert["labels"]["alertname"] == "FaultlineSlowDisk";
    });
  })) << alerts.dump();
}

TEST_F(PrometheusTest, NoticesWhatIsWrong) {
  ASSERT_TRUE(cluster::Eventually([&] { return Values("up == 1").size() == kNodes + 1; }))
      << Logs();
  ASSERT_TRUE(cluster::Eventually([&] {
    return Values("faultline_agent_lease_seconds > 0").size() == 1;
  })) << Logs();
  Shell(fmt::format("{} --config {}/agent.yaml halt", FAULTLINE_BIN_DIR "/faultline-agent",
                    folder_.path()));
  net_->RemoveService();
  AwaitAlerts({"FaultlineAgentHalted", "FaultlineTargetProblem"});
  agent_->Signal(SIGKILL);
  agent_->Wait();
  AwaitAlerts({"FaultlineDown", "FaultlineAgentsDisconnected"});
  net_->MakeService();
  StartAgent();
  ASSERT_TRUE(cluster::Eventually([&] {
    return Values("faultline_agent_lease_seconds > 0").size() == 1;
  })) << Logs();
  cluster_->process(1).Kill();
  cluster_->process(2).Kill();
  AwaitAlerts({"FaultlineDown", "FaultlineNoLeader", "FaultlineAgentWithoutLease"});
}

TEST_F(PrometheusTest, AcceptsTheAgentsMetricsAndTheRules) {
  StartFaults();
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
  const auto becomes = [&](const std::string& readiness) {
    return cluster::Eventually(
        [&] { return Shell("curl -s http://" + agent_address_ + "/readyz") == readiness; });
  };
  EXPECT_TRUE(becomes("ok"));
  Shell(fmt::format("{} --config {}/agent.yaml halt", FAULTLINE_BIN_DIR "/faultline-agent",
                    folder_.path()));
  EXPECT_TRUE(becomes("halted: nothing is armed until faultline-agent resume"));
  EXPECT_EQ(Shell("curl -s http://" + agent_address_ + "/healthz"), "ok");
}

}  // namespace
}  // namespace faultline::e2e
