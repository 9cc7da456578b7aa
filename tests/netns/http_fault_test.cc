// HTTP_FAULT between a real client and a real server.
#include <cerrno>
#include <tuple>

#include "netns/http_server.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using Parameters = std::map<std::string, std::string>;

constexpr uint16_t kPort = 7080;

// Answers every request with 200, its method, path and the length of its body, and keeps the
// connection.
constexpr char kServerScript[] = R"(
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        text = f'{self.command} {self.path} {len(body)}'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = do_PUT = answer
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    def handle_error(self, *_): pass
Server(('::', int(sys.argv[1])), Handler).serve_forever()
)";

class HttpTest : public HttpServerTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    Serve(kServerScript, kPort, [&] { return Curl({"/"}) == "200 GET / 0"; });
  }

  static std::string Url(const std::string& path, bool ipv6 = false) {
    return ipv6 ? fmt::format("http://[{}]:{}{}", Network::kServer6, kPort, path)
                : fmt::format("http://{}:{}{}", Network::kServer4, kPort, path);
  }
  std::string Curl(std::vector<std::string> arguments, bool ipv6 = false) {
    arguments.back() = Url(arguments.back(), ipv6);
    return CurlUrls(arguments);
  }
  // "STATUS BODY" of each answer, "-CODE" of curl's when there is none.
  std::string CurlUrls(const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {
        "ip", "netns", "exec", network_->client_netns(), "curl", "-s", "-g",
        "-m", "60",    "-w",   "\n%{http_code}\n"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    int code = 0;
    const std::string out = RunAnyhow(command, &code);
    std::vector<std::string> lines;
    for (size_t at = 0; at < out.size();) {
      const size_t end = std::min(out.find('\n', at), out.size());
      lines.push_back(out.substr(at, end - at));
      at = end + 1;
    }
    std::string text;
    for (size_t i = 0; i + 1 < lines.size(); i += 2) {
      if (lines[i + 1] == "000") continue;
      text += (text.empty() ? "" : ", ") + lines[i + 1] + " " + lines[i];
    }
    return code == 0 ? text : fmt::format("-{}", code);
  }
  void ArmHttp(Parameters parameters, unsigned index = 0) {
    parameters.emplace("direction", "ingress");
    ArmKind("HTTP_FAULT", parameters, index);
  }
};

constexpr int kCurlReset = 56;

TEST_F(HttpTest, RequestsOfATargetThatServesOnOtherPortsAreItsOwn) {
  SetTarget(ClientTarget({6379}));
  ArmHttp({{"direction", "egress"}, {"path_prefix", "/api/"}, {"status", "429"}});
  EXPECT_EQ(Curl({"/api/items"}), "429 ");
  EXPECT_EQ(Curl({"/other"}), "200 GET /other 0");
}

TEST_F(HttpTest, WhatIsMeantGetsTheStatusAndTheRestItsAnswer) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  ArmHttp({{"path_prefix", "/api/"}, {"method", "GET,PUT"}, {"status", "429"}});
  for (const bool ipv6 : {false, true}) {
    EXPECT_EQ(Curl({"/api/items"}, ipv6), "429 ");
    EXPECT_EQ(Curl({"-X", "PUT", "/api/items"}, ipv6), "429 ");
    EXPECT_EQ(Curl({"/other"}, ipv6), "200 GET /other 0");
    EXPECT_EQ(Curl({"-d", "body", "/api/items"}, ipv6), "200 POST /api/items 4");
  }
  const uint64_t failed = SettledCounters(0).requests_failed();
  EXPECT_THAT(failed, OrSentAgain(4));
  Disarm();
  EXPECT_EQ(Curl({"/api/items"}), "200 GET /api/items 0");
  ExpectNothingLeft(before);
}

TEST_F(HttpTest, HostsAndHeadersSayWhichRequestsAreMeant) {
  SetTarget(ServerTarget());
  ArmHttp({{"host", "*.example.com"}, {"header", "x-canary,x-user=42"}});
  const auto ask = [&](const std::string& host, const std::string& user) {
    return Curl({"-H", "Host: " + host, "-H", "X-Canary: yes", "-H", "X-User: " + user, "/"});
  };
  EXPECT_EQ(ask("API.example.com:80", "42"), "503 ");
  EXPECT_EQ(ask("example.com", "42"), "200 GET / 0");
  EXPECT_EQ(ask("api.example.com", "43"), "200 GET / 0");
  EXPECT_EQ(Curl({"/"}), "200 GET / 0");
}

TEST_F(HttpTest, TheTargetThatAsksIsAnsweredOnItsWayOut) {
  SetTarget(ClientTarget());
  ArmHttp({{"direction", "egress"}, {"status", "504"}});
  EXPECT_EQ(Curl({"/"}), "504 ");
  EXPECT_EQ(Curl({"/"}, true), "504 ");
}

// The target: the server, or else the client; and whether they speak IPv6.
using Way = std::tuple<bool, bool>;
class HttpWayTest : public HttpTest, public testing::WithParamInterface<Way> {};

TEST_P(HttpWayTest, AResetEndsTheConnectionAndADelayHoldsTheRequest) {
  const auto [server_is_target, ipv6] = GetParam();
  SetTarget(server_is_target ? ServerTarget() : ClientTarget());
  const auto arm = [this, at_server = server_is_target](Parameters parameters, unsigned index) {
    parameters.insert({"direction", at_server ? "ingress" : "egress"});
    ArmHttp(parameters, index);
  };
  arm({{"failure", "reset"}, {"path_prefix", "/reset"}}, 0);
  arm({{"failure", "delay"}, {"delay_ms", "300"}, {"path_prefix", "/late"}}, 1);
  arm({{"status", "500"}, {"delay_ms", "300"}, {"path_prefix", "/error"}}, 2);
  EXPECT_EQ(Curl({"/reset"}, ipv6), fmt::format("-{}", kCurlReset));
  for (const auto& [path, answer] : Parameters{{"/late", "200 GET /late 0"}, {"/error", "500 "}}) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(Curl({path}, ipv6), answer);
    EXPECT_GE(Milliseconds(std::chrono::steady_clock::now() - began).count(), 300) << path;
  }
  EXPECT_EQ(Curl({"/"}, ipv6), "200 GET / 0");
  // Of the request that was meant, each time that its client sent it (again after 200 ms, while it
  // is held), and of none that passed beside it.
  auto counters = SettledCounters(1);
  for (int i = 0; i < 100 && counters.delays_measured() < counters.requests_failed(); ++i) {
    counters = SettledCounters(1);
  }
  EXPECT_GE(counters.requests_failed(), 1u);
  EXPECT_EQ(counters.delays_measured(), counters.requests_failed());
  EXPECT_GE(counters.delay_given_ns(), 300'000'000u * counters.delays_measured());
}

INSTANTIATE_TEST_SUITE_P(Ways, HttpWayTest, testing::Combine(testing::Bool(), testing::Bool()));

// curl asks again on a connection of its own after the one that ended with the false answer.
TEST_F(HttpTest, AFalseAnswerEndsAConnectionThatWasKept) {
  SetTarget(ServerTarget());
  ArmHttp({{"path_prefix", "/b"}});
  EXPECT_EQ(CurlUrls({Url("/a"), Url("/b"), Url("/c")}), "200 GET /a 0, 503 , 200 GET /c 0");
}

// Bodies that take many segments, some of them behind a delayed beginning.
TEST_F(HttpTest, ABodyArrivesWholeWhateverBecomesOfOtherRequests) {
  SetTarget(ServerTarget());
  ArmHttp({{"path_prefix", "/other"}}, 0);
  ArmHttp({{"failure", "delay"}, {"delay_ms", "50"}, {"method", "PUT"}}, 1);
  const std::string body = "@/tmp/" + network_->server_netns() + ".body";
  const std::string path = body.substr(1);
  RunProgram({"dd", "if=/dev/zero", "of=" + path, "bs=1M", "count=3", "status=none"});
  EXPECT_EQ(Curl({"--data-binary", body, "/post"}), "200 POST /post 3145728");
  EXPECT_EQ(Curl({"-X", "PUT", "--data-binary", body, "/put"}), "200 PUT /put 3145728");
  unlink(path.c_str());
}

TEST_F(HttpTest, AShareOfRequestsIsWithinItsBound) {
  SetTarget(ServerTarget());
  ArmHttp({{"packet_percent", "30"}});
  constexpr int kRequests = 200;
  uint64_t failed = 0;
  for (int i = 0; i < kRequests; ++i) {
    Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
    client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string status = client.Receive(12).substr(0, 12);
    failed += status == "HTTP/1.1 503" ? 1 : 0;
    EXPECT_TRUE(status == "HTTP/1.1 503" || status == "HTTP/1.1 200") << status;
  }
  // Five standard deviations.
  EXPECT_NEAR(static_cast<double>(failed), 0.3 * kRequests, 5 * std::sqrt(0.3 * 0.7 * kRequests));
  const uint64_t counted = SettledCounters(0).requests_failed();
  EXPECT_THAT(counted, OrSentAgain(failed));
}

TEST_F(HttpTest, WhatIsNoRequestPasses) {
  SetTarget(ServerTarget());
  EchoServer echo(*network_, kPort + 1);
  ArmHttp({});
  Client tcp(*network_, Protocol::kTcp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(tcp.RoundTrip());
  tcp.Send("GET / HTTP");  // a line in pieces is not recognised
  EXPECT_EQ(tcp.Receive(10), "GET / HTTP");
  tcp.Send("/1.1\r\n\r\n");
  EXPECT_EQ(tcp.Receive(8), "/1.1\r\n\r\n");
  Client udp(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(udp.RoundTrip());
  EXPECT_EQ(SettledCounters(0).requests_failed(), 0u);
}

}  // namespace
}  // namespace faultline::netns_test
