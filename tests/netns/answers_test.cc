// Status classes of HTTP/1 answers: a real server and a real client.
#include "base/histogram.h"
#include "netns/http_server.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr uint16_t kPort = 7080;

// Directories answer 200, or 301 without the slash; PUT is 501; POST is 503, after a
// 100 when that is asked for.
constexpr char kServerScript[] = R"(
import http.server, os, sys
os.chdir('/')
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_error(503)
http.server.ThreadingHTTPServer(('', int(sys.argv[1])), Handler).serve_forever()
)";

class AnswersTest : public HttpServerTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    Serve(kServerScript, kPort, [&] { return Curl({"/"}) == "200"; });
  }
  // Status of the answer to what curl was told to ask, the path last.
  std::string Curl(std::vector<std::string> arguments) {
    const std::string path = arguments.back();
    arguments.pop_back();
    std::vector<std::string> command = {"ip",   "netns",       "exec", network_->client_netns(),
                                        "curl", "-s",          "-o",   "/dev/null",
                                        "-w",   "%{http_code}"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.push_back(fmt::format("http://{}:{}{}", Network::kServer4, kPort, path));
    int ignored = 0;
    return RunAnyhow(command, &ignored);
  }
};

TEST_F(AnswersTest, AreCountedByTheClassOfTheirStatusOnEitherSide) {
  for (const bool on_server : {true, false}) {
    SetTarget(on_server ? ServerTarget({kPort}) : ClientTarget());
    (void)Sample();
    EXPECT_EQ(Curl({"/"}), "200");
    EXPECT_EQ(Curl({"/etc/"}), "200");
    EXPECT_EQ(Curl({"/etc"}), "301");
    EXPECT_EQ(Curl({"/none"}), "404");
    EXPECT_EQ(Curl({"-X", "PUT", "/"}), "501");
    const auto traffic = Sample().traffic();
    EXPECT_EQ(traffic.http_1xx(), 0u);
    EXPECT_EQ(traffic.http_2xx(), 2u);
    EXPECT_EQ(traffic.http_3xx(), 1u);
    EXPECT_EQ(traffic.http_4xx(), 1u);
    EXPECT_EQ(traffic.http_5xx(), 1u);
  }
}

TEST_F(AnswersTest, AnInterimAnswerAndTheLastOneAreBothCounted) {
  SetTarget(ServerTarget({kPort}));
  (void)Sample();
  EXPECT_EQ(Curl({"-H", "Expect: 100-continue", "-d", "some data", "/"}), "503");
  const auto traffic = Sample().traffic();
  EXPECT_EQ(traffic.http_1xx(), 1u);
  EXPECT_EQ(traffic.http_5xx(), 1u);
}

TEST_F(AnswersTest, ABodyInASegmentOfItsOwnBelongsToItsRequest) {
  const std::string head = "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n\r\n";
  SetTarget(ServerTarget({kPort}));
  (void)Sample();
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); };
  for (int i = 0; i < 3; ++i) {
    Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
    client.Send(head);
    pause();
    client.Send("some ");
    pause();
    client.Send("data");
    EXPECT_NE(client.Receive(13).find("503"), std::string::npos);
  }
  const auto sample = Sample();
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(sample.latency()).ok());
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_GE(histogram.PercentileNs(1), 55e6) << "from the request's beginning";
  EXPECT_EQ(sample.not_measurable(), 0u);
  EXPECT_EQ(sample.traffic().http_5xx(), 3u);
  // Another request before the answer is none of it.
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  client.Send(head);
  pause();
  client.Send(head);
  pause();
  EXPECT_EQ(Sample().not_measurable(), 1u);
}

TEST_F(AnswersTest, AreCountedOnceWhenAFaultDelaysThem) {
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(50));
  (void)Sample();
  EXPECT_EQ(Curl({"/none"}), "404");
  EXPECT_EQ(Sample().traffic().http_4xx(), 1u);
}

}  // namespace
}  // namespace faultline::netns_test
