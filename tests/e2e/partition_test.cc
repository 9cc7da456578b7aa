// A controller that is cut off from the majority, with an agent of its own, in real namespaces over
// mutual TLS: its agent's fault must have ended by itself before the majority says COMPLETED.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "e2e/agent_support.h"

namespace faultline::e2e {
namespace {

constexpr int kNodes = 3;
constexpr uint64_t kDelayMs = 100;

// Three namespaces, 10.78.0.1 to .3 on "up0", joined by a bridge in a fourth.
class Sites {
 public:
  Sites() {
    Prepare("ip netns add " + Name(0) + " && ip -n " + Name(0) +
            " link add br0 type bridge && ip -n " + Name(0) + " link set br0 up");
    for (int i = 1; i <= kNodes; ++i) {
      Prepare("ip netns add " + Name(i) + " && ip -n " + Name(i) + " link set lo up");
      Prepare(fmt::format("ip -n {} link add up0 type veth peer name s{} netns {}", Name(i), i,
                          Name(0)));
      Prepare(fmt::format("ip -n {} link set s{} master br0 up", Name(0), i));
      Prepare(fmt::format("ip -n {0} addr add 10.78.0.{1}/24 dev up0; ip -n {0} link set up0 up",
                          Name(i), i));
    }
  }
  ~Sites() {
    for (int i = 0; i <= kNodes; ++i) Shell("ip netns del " + Name(i));
  }
  static std::string Name(int site) { return fmt::format("flp{}_{}", getpid(), site); }
  static void Cut(int site) { Prepare(fmt::format("ip -n {} link set s{} down", Name(0), site)); }
};

class Partition : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    sites_ = std::make_unique<Sites>();
    net_ = std::make_unique<NetPair>();
    MakeCertificates();
    for (int i = 1; i <= kNodes; ++i) StartController(i);
    StartAgentAt(1);
    stream_ = std::make_unique<UdpStream>(*net_, 500);
  }
  void TearDown() override {
    stream_.reset();
    agent_.reset();
    for (auto& controller : controllers_) controller.reset();
    if (HasFailure()) std::cerr << Shell("tail -n 20 " + folder_.path() + "/*.log");
  }

  void MakeCertificates() {
    const std::string output = Shell(fmt::format(
        "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=test-ca -keyout ca.key -out ca.pem && "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout "
        "node.key -out node.csr && printf "
        "'subjectAltName=IP:127.0.0.1,IP:10.78.0.1,IP:10.78.0.2,IP:10.78.0.3' > ext && "
        "openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile ext -out node.pem && echo made",
        folder_.path()));
    ASSERT_NE(output.find("made"), std::string::npos) << output;
  }
  std::vector<std::string> At(int site, std::vector<std::string> command) const {
    std::vector<std::string> whole = {"/usr/bin/nsenter", "--net=/run/netns/" + Sites::Name(site)};
    whole.insert(whole.end(), command.begin(), command.end());
    return whole;
  }
  std::string Tls() const {
    return fmt::format("--ca-file {0}/ca.pem --cert-file {0}/node.pem --key-file {0}/node.key",
                       folder_.path());
  }
  void StartController(int id) {
    const std::string dir = folder_.path();
    controllers_[id - 1] = std::make_unique<Process>(
        At(id, {FAULTLINE_BIN_DIR "/faultline-controller", "--id", std::to_string(id), "--data-dir",
                fmt::format("{}/data{}", dir, id), "--api-listen", "127.0.0.1:7400",
                "--peer-listen", fmt::format("10.78.0.{}:7401", id), "--members",
                "1=10.78.0.1:7401,2=10.78.0.2:7401,3=10.78.0.3:7401", "--lease", "10s", "--tls-ca",
                dir + "/ca.pem", "--tls-cert", dir + "/node.pem", "--tls-key", dir + "/node.key"}),
        fmt::format("{}/controller{}.log", dir, id));
  }
  void StartAgentAt(int site) {
    const std::string config = WriteAgentConfig(folder_.path(), *net_, {"127.0.0.1:7400"});
    std::ofstream(config, std::ios::app) << fmt::format(
        "tls: {{ca_file: {0}/ca.pem, cert_file: {0}/node.pem, key_file: {0}/node.key}}\n",
        folder_.path());
    agent_ = std::make_unique<Process>(
        At(site, {FAULTLINE_BIN_DIR "/faultline-agent", "--config", config, "run"}),
        folder_.path() + "/agent.log");
  }
  // What the command line prints at that site.
  std::string Cli(int site, const std::string& arguments) const {
    return Shell(
        fmt::format("nsenter --net=/run/netns/{} {}/faultline --address 127.0.0.1:7400 {} {}",
                    Sites::Name(site), FAULTLINE_BIN_DIR, Tls(), arguments));
  }

  const TempFolder folder_;
  std::unique_ptr<Sites> sites_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<Process> controllers_[kNodes], agent_;
  std::unique_ptr<UdpStream> stream_;
};

TEST_F(Partition, ANodeCutOffCannotKeepAliveAFaultThatTheMajorityCallsCompleted) {
  const uint64_t give_up_ns = MonotonicNowNs() + 60 * kNanosPerSecond;
  std::string started;
  while (MonotonicNowNs() < give_up_ns) {
    started =
        Cli(1, "--json start NETWORK_LATENCY --target service:checkout --delay_ms 100 --wait");
    if (started.find("exp-") != std::string::npos) break;
    usleep(200'000);
  }
  ASSERT_NE(started.find("exp-"), std::string::npos) << started;
  const std::string id = nlohmann::json::parse(started)["experiment"]["experiment_id"];
  ASSERT_TRUE(stream_->AwaitSlow(kDelayMs - 10)) << started;

  Sites::Cut(1);
  std::string status, stopped;
  bool slow_after_stop = false;
  const uint64_t patience_ns = MonotonicNowNs() + 120 * kNanosPerSecond;
  while (status.find("COMPLETED") == std::string::npos && MonotonicNowNs() < patience_ns) {
    if (stopped.find("exp-") == std::string::npos) stopped = Cli(2, "--json stop " + id);
    const uint64_t median_ns = stream_->MedianDelayNs(50);  // of none: UINT64_MAX
    slow_after_stop |= median_ns != UINT64_MAX && median_ns > kDelayMs / 2 * kNanosPerMilli;
    status = Cli(2, "--json get " + id);
    usleep(20'000);
  }
  const size_t first = stream_->sent();
  ASSERT_NE(status.find("COMPLETED"), std::string::npos) << status << stopped;
  EXPECT_NE(status.find("TARGET_PHASE_LOST"), std::string::npos) << status;
  EXPECT_TRUE(slow_after_stop) << "the cut came too late to show anything";
  // A fifth of a second's packets from now on.
  EXPECT_TRUE(Eventually(
      [&] { return stream_->ShortestDelayNs(first, 100) < kDelayMs / 2 * kNanosPerMilli; },
      std::chrono::seconds(10)));
  EXPECT_TRUE(agent_->Running());
}

}  // namespace
}  // namespace faultline::e2e
