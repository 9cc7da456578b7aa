#include "faults/network/http.h"

#include <gtest/gtest.h>

#include <random>

#include "faults/network/datapath.h"
#include "faults/network/test_frames.h"

namespace faultline::network {
namespace {

using Kind = HttpOutcome::Kind;

constexpr char kRequest[] =
    "GET /api/v1/items?limit=5 HTTP/1.1\r\nHost: API.Example.com:8080\r\nX-User:  42 \r\n"
    "Accept: */*\r\n\r\n";

bool Matches(const HttpMatch& match, std::string_view text = kRequest) {
  const auto request = ReadRequest(text);
  EXPECT_TRUE(request) << text;
  return request && match.Means(*request);
}

TEST(HttpRequests, HaveMethodPathHostAndHeaders) {
  const auto request = ReadRequest(kRequest);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->path, "/api/v1/items?limit=5");
  EXPECT_EQ(request->host, "API.Example.com");
  EXPECT_EQ(request->Header("x-user"), "42");
  EXPECT_EQ(request->Header("accept"), "*/*");
  EXPECT_EQ(request->Header("cookie"), std::nullopt);
}

TEST(HttpRequests, ThroughAProxyNameTheHostInTheirTarget) {
  const auto request = ReadRequest("GET http://a.b:80/x HTTP/1.1\r\nHost: other\r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, "/x");
  EXPECT_EQ(request->host, "a.b");
  EXPECT_EQ(ReadRequest("GET http://a.b HTTP/1.0\n\n")->path, "/");
  EXPECT_EQ(ReadRequest("GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n")->host, "[fd00::1]");
  EXPECT_EQ(ReadRequest("GET / HTTP/1.1\r\nHost: [fd00::1]\r\n\r\n")->host, "[fd00::1]");
}

TEST(HttpRequests, AreKnownByTheWholeOfTheirFirstLine) {
  const std::string line = "GET / HTTP/1.1";
  for (const std::string& other :
       {std::string(), std::string("\r\n"), line, line + "\r", std::string("GET /\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\n\r\n"), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        std::string("GET  HTTP/1.1\r\n\r\n"), std::string(" / HTTP/1.1\r\n\r\n"),
        std::string("G\x01T / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01 a b\n")}) {
    EXPECT_FALSE(ReadRequest(other)) << other;
  }
  EXPECT_TRUE(ReadRequest(line + "\n"));
}

TEST(HttpRequests, EndTheirHeadersAtTheEmptyLine) {
  const auto request = ReadRequest("POST / HTTP/1.1\r\nA: 1\r\n\r\nb: 2\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->Header("a"), "1");
  EXPECT_EQ(request->Header("b"), std::nullopt);
}

TEST(HttpMatches, AskForOneOfEachListAndForAllHeaders) {
  EXPECT_TRUE(Matches({}));
  EXPECT_TRUE(Matches({.methods = {"PUT", "GET"}}));
  EXPECT_FALSE(Matches({.methods = {"PUT"}}));
  EXPECT_TRUE(Matches({.path_prefixes = {"/x", "/api/"}}));
  EXPECT_FALSE(Matches({.path_prefixes = {"/API/"}}));
  EXPECT_TRUE(Matches({.hosts = {"*.example.com"}}));
  EXPECT_FALSE(Matches({.hosts = {"example.com"}}));
  EXPECT_TRUE(Matches({.headers = {{"x-user", {}}, {"accept", "*/*"}}}));
  EXPECT_FALSE(Matches({.headers = {{"x-user", "42"}, {"cookie", {}}}}));
  EXPECT_FALSE(Matches({.headers = {{"x-user", "4"}}}));
  EXPECT_FALSE(Matches({.methods = {"GET"}, .path_prefixes = {"/api/"}, .hosts = {"other"}}));
  EXPECT_TRUE(Matches({.hosts = {"*"}}, "GET / HTTP/1.0\r\n\r\n"));
  EXPECT_FALSE(Matches({.hosts = {"a"}}, "GET / HTTP/1.0\r\n\r\n"));
}

class HttpAnswers : public testing::TestWithParam<bool> {
 protected:
  static TestFrame Segment(const std::string& payload) {
    return {.ipv6 = GetParam(), .tcp_flags = kTcpAck | kTcpPsh, .payload = payload};
  }
};
INSTANTIATE_TEST_SUITE_P(Families, HttpAnswers, testing::Bool());

TEST_P(HttpAnswers, ComeFromTheServerAndEndTheConnectionOnBothEnds) {
  const auto frame = Segment(kRequest).Build();
  const auto verdict =
      HttpAnswerer({}, {.kind = Kind::kStatus, .status = 503, .delay_ns = 7}).Ask(frame, FL_EGRESS);
  EXPECT_TRUE(verdict.hit);
  EXPECT_EQ(verdict.delay_ns, 7u);
  ASSERT_EQ(verdict.answers.size(), 2u);
  EXPECT_EQ(verdict.answers[0].direction, unsigned{FL_INGRESS});
  const SeenFrame answer = See(verdict.answers[0].frame);
  EXPECT_EQ(answer.from, GetParam() ? "fd00::2" : "10.0.0.2");
  EXPECT_EQ(answer.Field(4, 4), TestFrame::kAcknowledged);
  EXPECT_EQ(answer.Field(8, 4), TestFrame::kSequence + sizeof(kRequest) - 1);
  EXPECT_EQ(answer.Field(13, 1), uint32_t{kTcpAck | kTcpPsh | kTcpFin});
  EXPECT_EQ(std::string(answer.transport.begin() + 20, answer.transport.end()),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(verdict.answers[1].direction, unsigned{FL_EGRESS});
  const SeenFrame reset = See(verdict.answers[1].frame);
  EXPECT_EQ(reset.Field(4, 4), TestFrame::kSequence);
  EXPECT_EQ(reset.Field(13, 1), uint32_t{kTcpRst | kTcpAck});
}

TEST_P(HttpAnswers, WithoutContentSayNoLength) {
  for (const unsigned status : {204u, 304u}) {
    const auto verdict = HttpAnswerer({}, {.status = status}).Ask(Segment(kRequest).Build(), 0);
    ASSERT_EQ(verdict.answers.size(), 2u);
    const SeenFrame seen = See(verdict.answers[0].frame);
    const std::string text(seen.transport.begin() + 20, seen.transport.end());
    EXPECT_EQ(text.find("Content-Length"), std::string::npos) << text;
  }
}

TEST_P(HttpAnswers, OrAResetOrADelayAlone) {
  const auto frame = Segment(kRequest).Build();
  const auto reset = HttpAnswerer({}, {.kind = Kind::kReset}).Ask(frame, FL_EGRESS);
  EXPECT_TRUE(reset.hit);
  ASSERT_EQ(reset.answers.size(), 2u);
  for (const Answer& answer : reset.answers) {
    EXPECT_EQ(See(answer.frame).Field(13, 1), uint32_t{kTcpRst | kTcpAck});
  }
  const auto delay = HttpAnswerer({}, {.kind = Kind::kPass, .delay_ns = 9}).Ask(frame, FL_EGRESS);
  EXPECT_TRUE(delay.hit);
  EXPECT_EQ(delay.delay_ns, 9u);
  EXPECT_TRUE(delay.answers.empty());
}

TEST_P(HttpAnswers, LeaveAloneWhatIsNotMeant) {
  const HttpAnswerer answerer({.path_prefixes = {"/other"}}, {.status = 500, .delay_ns = 5});
  for (const std::string& payload :
       {std::string(kRequest), std::string("body of a request"), std::string()}) {
    const auto verdict = answerer.Ask(Segment(payload).Build(), FL_EGRESS);
    EXPECT_FALSE(verdict.hit);
    EXPECT_EQ(verdict.delay_ns, 0u);
    EXPECT_TRUE(verdict.answers.empty());
  }
  TestFrame udp = Segment(kRequest);
  udp.protocol = IPPROTO_UDP;
  EXPECT_FALSE(HttpAnswerer({}, {.status = 500}).Ask(udp.Build(), FL_EGRESS).hit);
}

// Bytes of all kinds, and requests with bytes changed or cut off: whatever is answered is answered
// rightly.
TEST_P(HttpAnswers, TakeWhateverTheyAreGiven) {
  const uint64_t seed = 5;
  std::mt19937_64 random(seed);
  const HttpAnswerer answerer({.methods = {"GET"}, .hosts = {"*"}, .headers = {{"accept", "*/*"}}},
                              {.status = 429});
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string payload = kRequest;
    for (uint64_t changes = random() % 4; changes > 0; --changes) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    if (i % 3 == 0) payload.resize(random() % payload.size());
    auto frame = Segment(payload).Build();
    if (i % 5 == 0) frame[sizeof(VnetHeader) + random() % 60] = static_cast<uint8_t>(random());
    if (i % 7 == 0) frame.resize(sizeof(VnetHeader) + 16 + random() % (frame.size() - 30));
    const auto verdict = answerer.Ask(frame, i % 2);
    ASSERT_EQ(verdict.hit, verdict.answers.size() == 2) << "seed " << seed << " frame " << i;
    hits += verdict.hit ? 1 : 0;
  }
  EXPECT_GT(hits, 1'000);
}

}  // namespace
}  // namespace faultline::network
