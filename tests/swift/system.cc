#include "tests/swift/system.h"

#include <fstream>
#include <sstream>

#include "tests/ports/free_ports.h"

namespace faultline::swift {
namespace {

using nlohmann::json;

std::string Text(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

rpc::TlsFiles MakeCertificates(const std::string& folder, const std::string& name) {
  e2e::Shell(fmt::format(
      "cd {0} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "-subj /CN={1}-ca -keyout {1}-ca.key -out {1}-ca.pem && "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={1} "
      "-keyout {1}.key -out {1}.csr && printf 'subjectAltName=IP:127.0.0.1' > {1}.ext && "
      "openssl x509 -req -in {1}.csr -CA {1}-ca.pem -CAkey {1}-ca.key -CAcreateserial -days 2 "
      "-extfile {1}.ext -out {1}.pem",
      folder, name));
  return {folder + "/" + name + "-ca.pem", folder + "/" + name + ".pem",
          folder + "/" + name + ".key"};
}

json Error(const std::string& text) { return {{"error", text}}; }

}  // namespace

// Two namespaces; the agent outside of them.
struct System::Host {
  Host(const std::string& folder, const std::vector<std::string>& controllers) {
    const std::string config = folder + "/agent.yaml";
    std::ofstream(config) << fmt::format(
        "agent_id: host-a\n"
        "controllers: [{}]\n"
        "state_dir: {}/state\n"
        "socket: {}/agent.sock\n"
        "http_listen: off\n"
        "targets:\n"
        "- name: checkout\n"
        "  labels: {{service: checkout, version: v1}}\n"
        "  interface: svc0\n"
        "  netns: {}\n"
        "  ports: [6379]\n",
        fmt::join(controllers, ", "), folder, folder, net.service());
    const auto start = [&](const std::string& name, std::vector<std::string> command) {
      return std::make_unique<cluster::Process>(std::move(command), folder + "/" + name + ".log");
    };
    redis =
        start("redis", {"/usr/sbin/ip", "netns", "exec", net.service(), "redis-server", "--port",
                        "6379", "--save", "", "--protected-mode", "no", "--dir", folder});
    agent = start("agent", {FAULTLINE_BIN_DIR "/faultline-agent", "--config", config, "run"});
    load = start("load", {"/usr/sbin/ip", "netns", "exec", net.client(), "/usr/bin/env", "python3",
                          FAULTLINE_SOURCE_DIR "/tools/redis_load.py", "10.77.0.1", "6379", "4",
                          "10", folder + "/load.out"});
  }

  const e2e::NetPair net;
  std::unique_ptr<cluster::Process> redis, agent, load;
};

System::System() = default;
System::~System() = default;

json System::StartCluster(cluster::Cluster::Options options) {
  flood_.reset();
  host_.reset();
  cluster_.reset();
  http_.clear();
  for (int i = 0; i < options.nodes; ++i) {
    http_.push_back(fmt::format("127.0.0.1:{}", FreePort()));
    options.flags[i] = {"--http-listen", http_.back()};
  }
  cluster_ = std::make_unique<cluster::Cluster>(std::move(options));
  return {{"addresses", fmt::format("{}", fmt::join(cluster_->api_addresses(), ","))}};
}

json System::StartTls() {
  const rpc::TlsFiles tls = MakeCertificates(folder_.path(), "ours");
  const rpc::TlsFiles other = MakeCertificates(folder_.path(), "stranger");
  json facts = StartCluster({.tls = tls});
  facts["ca"] = Text(tls.ca_file);
  facts["certificate"] = Text(tls.cert_file);
  facts["key"] = Text(tls.key_file);
  facts["other_ca"] = Text(other.ca_file);
  facts["other_certificate"] = Text(other.cert_file);
  facts["other_key"] = Text(other.key_file);
  return facts;
}

json System::StartAgent() {
  if (const std::string why = e2e::WhyNotHere(); !why.empty()) return Error(why);
  host_.reset();
  host_ = std::make_unique<Host>(folder_.path(), cluster_->api_addresses());
  const bool connected = cluster::Eventually([&] {
    const auto agents = cluster_->Agents(0);
    return agents.ok() && agents->agents_size() > 0 && agents->agents(0).connected();
  });
  return connected ? json::object() : Error("the agent does not connect: " + host_->agent->log());
}

json System::KillLeader() {
  const int leader = cluster_->WaitForLeader();
  if (leader < 0) return Error("no node leads");
  cluster_->process(leader).Kill();
  return {{"killed", cluster_->api_address(leader)}};
}

json System::CountSubscribers() {
  int count = 0;
  for (const std::string& http : http_) {
    const std::string value = e2e::Shell(
        "curl -sS http://" + http + "/metrics | awk '/^faultline_metric_subscribers/ {print $2}'");
    count += std::atoi(value.c_str());
  }
  return {{"count", count}};
}

json System::Do(const std::string& line) {
  std::istringstream words(line);
  std::string verb, id;
  double number = 0;
  words >> verb;
  if (verb == "cluster") {
    words >> number;
    return StartCluster({.nodes = static_cast<int>(number)});
  }
  if (verb == "tls") return StartTls();
  if (cluster_ == nullptr) return Error("there is no cluster yet");
  if (verb == "agent") return StartAgent();
  if (verb == "kill-leader") return KillLeader();
  if (verb == "subscribers") return CountSubscribers();
  if (verb == "kill-all" || verb == "restart") {
    for (int i = 0; i < cluster_->size(); ++i) {
      if (verb == "kill-all") {
        cluster_->process(i).Kill();
      } else if (!cluster_->process(i).running()) {
        cluster_->Start(i);
      }
    }
    if (verb == "restart" && cluster_->WaitForLeader() < 0) return Error("no node leads");
    return json::object();
  }
  if (verb == "flood") {
    words >> number;
    flood_ = std::make_unique<Flood>(cluster_->api_addresses(), static_cast<int>(number));
    const bool connected = cluster::Eventually([&] { return flood_->connected(); });
    return connected ? json::object() : Error("the flood does not connect");
  }
  if (verb == "flood-begin" && flood_ && words >> id >> number) {
    flood_->Begin(id, number);
    return json::object();
  }
  if (verb == "flood-stop" && flood_) return {{"batches", flood_->Stop()}};
  return Error("not understood: " + line);
}

}  // namespace faultline::swift
