// Every kind that answers packets together with every other kind, as two experiments on one target
// at once: what is lost is not answered, what is delayed is answered so much later. When one is
// stopped the other is whole.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t kPort = 7001;
constexpr auto kLost = 700ms;

constexpr char kRequest[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr char kUnavailable[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

struct Fault {
  const char* kind;
  std::map<std::string, std::string> parameters;
  bool loses = false;  // all
  double least_s = 0;  // later than that an answer comes
};

const Fault kFaults[] = {
    {"NETWORK_LATENCY", {{"delay_ms", "200"}}, false, 0.2},
    {"NETWORK_LOSS", {{"loss_percent", "30"}}},
    {"NETWORK_BANDWIDTH", {{"rate_bps", "4mbps"}, {"queue_bytes", "1MB"}}},
    {"NETWORK_BLACKHOLE", {}, true},
    {"NETWORK_PARTITION", {{"groups", "10.209.0.1,10.209.0.2"}}, true},
    {"NETWORK_DUPLICATE", {{"duplicate_percent", "100"}}},
    {"NETWORK_CORRUPT", {{"corrupt_percent", "100"}, {"part", "payload"}}},
    {"NETWORK_REORDER", {{"reorder_percent", "100"}, {"hold_ms", "200"}}, false, 0.2},
};

bool IsNoSuchName(const std::string& reply) {
  return reply.size() >= 4 && (reply[2] & 0x80) != 0 && (reply[3] & 0x0f) == 3;
}

class StackTest : public DriverTest, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    apart_ = true;
  }
  // Arms it first or last, with the kind that answers, for what the server gets.
  void ArmBoth(const std::string& kind, std::map<std::string, std::string> parameters) {
    parameters["direction"] = "ingress";
    auto others = Other().parameters;
    if (Other().kind != std::string("NETWORK_PARTITION")) others["direction"] = "ingress";
    ArmKind(kind, parameters, 0);
    ArmKind(Other().kind, others, 1);
    armed_ns_ = BoottimeNowNs();
  }
  const Fault& Other() const { return kFaults[GetParam()]; }
  // That the answer came, or did not, as the other fault wants it.
  void ExpectAnswer(bool answered) const {
    EXPECT_EQ(answered, !Other().loses);
    if (answered) {
      EXPECT_GE(static_cast<double>(BoottimeNowNs() - armed_ns_) / 1e9, Other().least_s);
    }
  }
  std::chrono::milliseconds Patience() const { return Other().loses ? kLost : kPatience; }

  uint64_t armed_ns_ = 0;
};

TEST_P(StackTest, AResetAndTheOtherBothDoTheirPart) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  Acceptor acceptor(*network_, kPort);
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  const bpf::UniqueFd server = acceptor.Accept();
  ArmBoth("TCP_RESET", {{"tcp_flags", "psh"}});
  client.Send("data");
  const int error = ErrorOf(client.fd(), Patience());
  ExpectAnswer(error == ECONNRESET);
  EXPECT_EQ(ErrorOf(server.get(), Patience()), error);
  EXPECT_EQ(SettledCounters(0).resets() > 0, !Other().loses);
  EXPECT_GT(Counters(1).matched(), 0u);
  Disarm(1);
  Client later(*network_, Protocol::kTcp, Network::kServer4, kPort);
  later.Send("data");
  EXPECT_EQ(ErrorOf(later.fd()), ECONNRESET);
  ExpectNothingLeft(before);
}

TEST_P(StackTest, ARefusalAndTheOtherBothDoTheirPart) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  EchoServer server(*network_, kPort);
  ArmBoth("CONNECT_FAIL", {{"failure", "host_unreachable"}});
  const int error = TryConnect(*network_, Network::kServer4, kPort, Patience());
  SCOPED_TRACE(std::strerror(error));
  ExpectAnswer(error == EHOSTUNREACH);
  EXPECT_EQ(SettledCounters(0).connects_failed() > 0, !Other().loses);
  EXPECT_GT(Counters(1).matched(), 0u);
  Disarm(1);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), EHOSTUNREACH);
  ExpectNothingLeft(before);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), 0);
}

TEST_P(StackTest, AFalseAnswerToAQueryAndTheOtherBothDoTheirPart) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  EchoServer server(*network_, kPort);
  ArmBoth("DNS_FAULT", {{"names", "*"}, {"local_port", "7001"}});
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  // A query that is lost, or has lost its form, is sent again.
  bool answered = false;
  for (int i = 0; i < 5 && !answered; ++i) {
    client.Send(DnsQuery());
    answered = IsNoSuchName(client.Receive(1, kLost));
  }
  ExpectAnswer(answered);
  EXPECT_EQ(SettledCounters(0).queries_failed() > 0, !Other().loses);
  EXPECT_GT(Counters(1).matched(), 0u);
  Disarm(1);
  Client again(*network_, Protocol::kUdp, Network::kServer4, kPort);
  again.Send(DnsQuery());
  EXPECT_TRUE(IsNoSuchName(again.Receive(1)));
  ExpectNothingLeft(before);
  Client later(*network_, Protocol::kUdp, Network::kServer4, kPort);
  later.Send(DnsQuery());
  EXPECT_EQ(later.Receive(DnsQuery().size()), DnsQuery());
}

// A request that is corrupted is none any more, and passes.
TEST_P(StackTest, AFalseAnswerToARequestAndTheOtherBothDoTheirPart) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  EchoServer server(*network_, kPort);
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  ArmBoth("HTTP_FAULT", {{"status", "503"}});
  client.Send(kRequest);
  const std::string answer = client.Receive(std::size(kUnavailable) - 1, Patience());
  ExpectAnswer(answer == kUnavailable);
  EXPECT_EQ(SettledCounters(0).requests_failed() > 0, !Other().loses);
  EXPECT_GT(Counters(1).matched(), 0u);
  Disarm(1);
  Client again(*network_, Protocol::kTcp, Network::kServer4, kPort);
  again.Send(kRequest);
  EXPECT_EQ(again.Receive(std::size(kUnavailable) - 1), kUnavailable);
  ExpectNothingLeft(before);
  Client later(*network_, Protocol::kTcp, Network::kServer4, kPort);
  later.Send(kRequest);
  EXPECT_EQ(later.Receive(std::size(kRequest) - 1), kRequest);
}

INSTANTIATE_TEST_SUITE_P(Every, StackTest, testing::Range(0, static_cast<int>(std::size(kFaults))),
                         [](const auto& index) {
                           std::string name = kFaults[index.param].kind;
                           std::erase(name, '_');
                           return name;
                         });

using AnswerPairTest = DriverTest;

TEST_F(AnswerPairTest, WhatOpensAConnectionIsRefusedAndWhatBelongsToOneResetsIt) {
  apart_ = true;
  SetTarget(ServerTarget());
  Acceptor acceptor(*network_, kPort);
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  const bpf::UniqueFd server = acceptor.Accept();
  ArmKind("TCP_RESET", {{"direction", "ingress"}, {"tcp_flags", "psh"}}, 0);
  ArmKind("CONNECT_FAIL", {{"direction", "ingress"}, {"failure", "net_unreachable"}}, 1);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), ENETUNREACH);
  client.Send("data");
  EXPECT_EQ(ErrorOf(client.fd()), ECONNRESET);
  EXPECT_EQ(ErrorOf(server.get()), ECONNRESET);
  EXPECT_GE(SettledCounters(0).resets(), 1u);
  // A refusal that comes while the kernel still holds the socket counts when the next one meets it.
  const uint64_t refused = Counters(1).connects_failed();
  EXPECT_THAT(refused, OrSentAgain(1));
}

TEST_F(AnswerPairTest, QueriesOverTcpMeetTheFaultsOfTcpFirst) {
  apart_ = true;
  SetTarget(ServerTarget());
  EchoServer server(*network_, kPort);
  const std::string length{'\0', static_cast<char>(DnsQuery().size())};
  ArmKind("DNS_FAULT", {{"direction", "ingress"}, {"names", "*"}, {"local_port", "7001"}}, 0);
  ArmKind("TCP_RESET", {{"direction", "ingress"}, {"tcp_flags", "psh"}}, 1);
  Client tcp(*network_, Protocol::kTcp, Network::kServer4, kPort);
  tcp.Send(length + DnsQuery());
  EXPECT_EQ(ErrorOf(tcp.fd()), ECONNRESET);
  ArmKind("CONNECT_FAIL", {{"direction", "ingress"}}, 2);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), ECONNREFUSED);
  EXPECT_EQ(SettledCounters(0).queries_failed(), 0u);
  Client udp(*network_, Protocol::kUdp, Network::kServer4, kPort);
  udp.Send(DnsQuery());
  EXPECT_TRUE(IsNoSuchName(udp.Receive(1)));
}

TEST_F(AnswerPairTest, ARequestMeetsTheFaultsOfItsConnectionFirst) {
  apart_ = true;
  SetTarget(ServerTarget());
  EchoServer server(*network_, kPort);
  ArmKind("HTTP_FAULT", {{"direction", "ingress"}}, 0);
  ArmKind("TCP_RESET", {{"direction", "ingress"}, {"payload_prefix", "GET"}}, 1);
  Client tcp(*network_, Protocol::kTcp, Network::kServer4, kPort);
  tcp.Send(kRequest);
  EXPECT_EQ(ErrorOf(tcp.fd()), ECONNRESET);
  EXPECT_EQ(SettledCounters(0).requests_failed(), 0u);
  Disarm(1);
  ArmKind("CONNECT_FAIL", {{"direction", "ingress"}}, 2);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), ECONNREFUSED);
  ArmKind("DNS_FAULT", {{"direction", "ingress"}, {"names", "*"}, {"local_port", "7001"}}, 3);
  Disarm(2);
  Client again(*network_, Protocol::kTcp, Network::kServer4, kPort);
  again.Send(kRequest);
  EXPECT_EQ(again.Receive(std::size(kUnavailable) - 1), kUnavailable);
  Client udp(*network_, Protocol::kUdp, Network::kServer4, kPort);
  udp.Send(DnsQuery());
  EXPECT_TRUE(IsNoSuchName(udp.Receive(1)));
}

}  // namespace
}  // namespace faultline::netns_test
