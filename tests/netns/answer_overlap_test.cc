// Two faults of one kind that answers packets, as two experiments on one target, whose filters
// overlap: the one armed first answers what both mean, and each is whole without the other.
#include <cerrno>
#include <cstdlib>

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr uint16_t kPort = 7001, kOtherPort = 7002;

// What both faults mean, or what only the second does.
enum class Meant { kByBoth, kBySecond };

// These ask the server for something. Result: 0 when it answers, else what the fault says.

int Connect(const Network& network, Meant meant) {
  return TryConnect(network, Network::kServer4, meant == Meant::kByBoth ? kPort : kOtherPort);
}

Client Request(const Network& network, Meant meant) {
  Client client(network, Protocol::kTcp, Network::kServer4, kPort);
  client.Send(meant == Meant::kByBoth ? "GET /a/b HTTP/1.1\r\n\r\n" : "GET /ab HTTP/1.1\r\n\r\n");
  return client;
}

// An errno.
int ErrorOfRequest(const Network& network, Meant meant) {
  return ErrorOf(Request(network, meant).fd());
}

// A status.
int StatusOfRequest(const Network& network, Meant meant) {
  constexpr char kBeforeStatus[] = "HTTP/1.1 ";
  const std::string answer = Request(network, meant).Receive(12);
  return answer.starts_with(kBeforeStatus) ? std::atoi(&answer[std::size(kBeforeStatus) - 1]) : 0;
}

// An RCODE; -1 for no answer.
int ErrorOfQuery(const Network& network, Meant meant) {
  std::string query = DnsQuery();
  if (meant == Meant::kBySecond) query.replace(query.find("db"), 2, "dc");
  Client client(network, Protocol::kUdp, Network::kServer4, kPort);
  client.Send(query);
  const std::string reply = client.Receive(1);
  return reply.size() < 4 ? -1 : reply[3] & 0x0f;
}

struct Overlap {
  const char* kind;
  std::map<std::string, std::string> first, second;
  int (*ask)(const Network& network, Meant meant);
  int first_says, second_says;
};

constexpr int kServerFailure = 2, kRefused = 5;  // RCODEs

const Overlap kOverlaps[] = {
    {"TCP_RESET",
     {{"payload_prefix", "GET /a/"}},
     {{"payload_prefix", "GET /a"}},
     ErrorOfRequest,
     ECONNRESET,
     ECONNRESET},
    {"CONNECT_FAIL",
     {{"local_port", "7001"}, {"failure", "host_unreachable"}},
     {{"failure", "net_unreachable"}},
     Connect,
     EHOSTUNREACH,
     ENETUNREACH},
    {"DNS_FAULT",
     {{"names", "db.example.com"}, {"answer", "servfail"}, {"local_port", "7001"}},
     {{"names", "*.example.com"}, {"answer", "refused"}, {"local_port", "7001"}},
     ErrorOfQuery,
     kServerFailure,
     kRefused},
    {"HTTP_FAULT",
     {{"path_prefix", "/a/"}, {"status", "404"}},
     {{"path_prefix", "/a"}, {"status", "500"}},
     StatusOfRequest,
     404,
     500},
};

class OverlapTest : public DriverTest, public testing::WithParamInterface<Overlap> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    apart_ = true;
  }
  void ArmOne(unsigned index) {
    auto parameters = index == 0 ? GetParam().first : GetParam().second;
    parameters["direction"] = "ingress";
    ArmKind(GetParam().kind, parameters, index);
  }
  int Ask(Meant meant = Meant::kByBoth) const { return GetParam().ask(*network_, meant); }
  // How often the fault answered.
  uint64_t Answered(unsigned index) {
    const auto counters = SettledCounters(index);
    return counters.resets() + counters.connects_failed() + counters.queries_failed() +
           counters.requests_failed();
  }
};

TEST_P(OverlapTest, OfTwoThatOverlapTheOneArmedFirstAnswers) {
  const int first = GetParam().first_says, second = GetParam().second_says;
  SetTarget(ServerTarget());
  EchoServer server(*network_, kPort), other(*network_, kOtherPort);
  ArmOne(0);
  ArmOne(1);
  EXPECT_EQ(Ask(), first);
  EXPECT_GT(Answered(0), 0u);
  EXPECT_EQ(Answered(1), 0u);
  EXPECT_EQ(Ask(Meant::kBySecond), second);
  EXPECT_GT(Answered(1), 0u);
  Disarm(0);
  EXPECT_EQ(Ask(), second);
  ArmOne(0);
  EXPECT_EQ(Ask(), second);
  EXPECT_EQ(Answered(0), 0u);
  Disarm(1);
  EXPECT_EQ(Ask(), first);
  EXPECT_EQ(Ask(Meant::kBySecond), 0);
  Disarm(0);
  EXPECT_EQ(Ask(), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, OverlapTest, testing::ValuesIn(kOverlaps), [](const auto& overlap) {
  std::string name = overlap.param.kind;
  std::erase(name, '_');
  return name;
});

}  // namespace
}  // namespace faultline::netns_test
