// Request-to-response times, and what is called not measurable.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <map>

#include "base/histogram.h"
#include "faults/network/datapath.h"
#include "netns/one_processor.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::HasSubstr;

constexpr uint16_t kPort = 7001;
constexpr int kRequests = 20;

class MeasureTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (network_) server_ = std::make_unique<EchoServer>(*network_, kPort);
  }
  void Ask(Client& client, int requests = kRequests) {
    for (int i = 0; i < requests; ++i) ASSERT_TRUE(client.RoundTrip().has_value());
  }
  Histogram Measured(chaos::v1::TargetSample* sample) {
    *sample = Sample();
    Histogram histogram;
    EXPECT_TRUE(histogram.Merge(sample->latency()).ok());
    return histogram;
  }

  uint64_t MetMidway() { return driver_->Load().met_midway.value(); }
  // Asks the server for a connection from each of that many ports of the client's, from 1 on, and
  // takes no answer: the checksum is none.
  void AskForConnections(uint16_t ports) {
    network_->InClient([&] {
      const bpf::UniqueFd raw(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
      tcphdr request{};
      request.dest = htons(kPort);
      request.doff = sizeof(request) / 4;
      request.syn = 1;
      sockaddr_in server{};
      server.sin_family = AF_INET;
      ASSERT_EQ(inet_pton(AF_INET, Network::kServer4, &server.sin_addr), 1);
      for (uint16_t port = 1; port <= ports; ++port) {
        request.source = htons(port);
        ASSERT_EQ(sendto(raw.get(), &request, sizeof(request), 0,
                         reinterpret_cast<const sockaddr*>(&server), sizeof(server)),
                  ssize_t{sizeof(request)});
        if (port % 500 == 0) AwaitQueues();
      }
    });
  }

  std::unique_ptr<EchoServer> server_;
  chaos::v1::TargetSample sample_;
};

TEST_F(MeasureTest, AServersRequestsAreEachCountedOnce) {
  SetTarget(ServerTarget({kPort}));
  for (const auto protocol : {Protocol::kTcp, Protocol::kUdp}) {
    for (const char* address : {Network::kServer4, Network::kServer6}) {
      Client client(*network_, protocol, address, kPort);
      Ask(client);
      EXPECT_EQ(Measured(&sample_).count(), static_cast<uint64_t>(kRequests));
      EXPECT_EQ(sample_.not_measurable(), 0u);
      EXPECT_GE(sample_.packets(), 2u * kRequests);
    }
  }
  EXPECT_EQ(MetMidway(), 0u);
}

TEST_F(MeasureTest, AServersDelayOnEitherDirectionIsInTheTime) {
  SetTarget(ServerTarget({kPort}));
  for (const auto direction : {pb::DIRECTION_EGRESS, pb::DIRECTION_INGRESS}) {
    Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
    Arm(Latency(100, direction));
    (void)Sample();
    Ask(client, 3);
    const Histogram histogram = Measured(&sample_);
    EXPECT_EQ(histogram.count(), 3u);
    EXPECT_GE(histogram.PercentileNs(1), 98e6);
    Disarm();
  }
}

TEST_F(MeasureTest, AClientsTimesIncludeItsDelaysBothWays) {
  SetTarget(ClientTarget());
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  Ask(client);
  EXPECT_EQ(Measured(&sample_).count(), static_cast<uint64_t>(kRequests));
  Arm(Latency(100, pb::DIRECTION_BOTH));
  Ask(client, 3);
  const Histogram histogram = Measured(&sample_);
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_GE(histogram.PercentileNs(1), 196e6);
  EXPECT_EQ(sample_.not_measurable(), 0u);
}

TEST_F(MeasureTest, ADelayedRequestThatIsSentAgainIsOneRequest) {
  SetTarget(ClientTarget());
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  Ask(client, 1);
  (void)Sample();
  // Longer than the retransmission timeout: the client sends it again while the lane holds it.
  Arm(Latency(900));
  Ask(client, 1);
  const Histogram histogram = Measured(&sample_);
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_GE(histogram.PercentileNs(50), 890e6);
  EXPECT_EQ(sample_.not_measurable(), 0u);
}

TEST_F(MeasureTest, PipeliningIsNotMeasurableAndGivesNoNumber) {
  SetTarget(ServerTarget({kPort}));
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  (void)Sample();
  for (int i = 0; i < 3; ++i) {
    Arm(Latency(60'000));  // so that the second request surely comes before the first answer
    client.Send("first");
    std::this_thread::sleep_for(5ms);
    client.Send("second");
    Disarm();
    EXPECT_EQ(client.Receive(11).size(), 11u);
  }
  EXPECT_EQ(Measured(&sample_).count(), 0u);
  EXPECT_GE(sample_.not_measurable(), 1u);
  EXPECT_THAT(sample_.not_measurable_reason(), HasSubstr("overlap"));
}

TEST_F(MeasureTest, DatagramsThatAFaultLosesEndNeitherTheirOwnTurnsNorThoseAfter) {
  SetTarget(ServerTarget({kPort}));
  for (const char* direction : {"ingress", "egress"}) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    ArmKind("NETWORK_LOSS",
            {{"model", "every_nth"}, {"loss_percent", "50"}, {"direction", direction}});
    (void)Sample();
    for (const bool comes : {true, false, true, false, true, false, true, false}) {
      EXPECT_EQ(client.RoundTrip(comes ? kPatience : 600ms).has_value(), comes) << direction;
    }
    EXPECT_EQ(Measured(&sample_).count(), 4u) << direction;
    EXPECT_EQ(sample_.not_measurable(), 0u) << direction;
    Disarm();
  }
}

TEST_F(MeasureTest, DatagramsThatOverlapAreMeasuredAgainOnceAllAreAnswered) {
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(60'000));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  (void)Sample();
  client.Send("first");
  client.Send("second");
  Disarm();
  EXPECT_EQ(client.Receive(11).size(), 11u);
  EXPECT_EQ(Measured(&sample_).count(), 0u);
  EXPECT_EQ(sample_.not_measurable(), 2u);
  Ask(client, 3);
  EXPECT_EQ(Measured(&sample_).count(), 3u);
  EXPECT_EQ(sample_.not_measurable(), 0u);
}

TEST_F(MeasureTest, Http2IsRecognisedByItsPreface) {
  SetTarget(ServerTarget({kPort}));
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  client.Send(preface);
  EXPECT_EQ(client.Receive(preface.size()), preface);
  EXPECT_EQ(Measured(&sample_).count(), 0u);
  EXPECT_EQ(sample_.not_measurable(), 1u);
  EXPECT_THAT(sample_.not_measurable_reason(), HasSubstr("HTTP/2"));
}

TEST_F(MeasureTest, AConnectionOlderThanTheTargetIsMeasuredFromItsSecondTurn) {
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  Ask(client, 1);
  SetTarget(ServerTarget({kPort}));
  Ask(client, 3);
  EXPECT_EQ(Measured(&sample_).count(), 2u);
  EXPECT_EQ(sample_.not_measurable(), 0u);
  EXPECT_EQ(MetMidway(), 1u);
}

TEST_F(MeasureTest, ADatagramThatAnswersNoneThatWasSeenIsOfAConnectionMetMidway) {
  constexpr uint16_t kAnswering = kPort + 1, kAsking = 4'242;
  SetTarget(ServerTarget({kAnswering}));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kAnswering, kAsking);
  network_->InServer([&] {
    const bpf::UniqueFd answering(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in6 own = Address("::", kAnswering), to = Address(Network::kClient4, kAsking);
    ASSERT_EQ(bind(answering.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(own)), 0);
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(sendto(answering.get(), "answer", 6, 0, reinterpret_cast<const sockaddr*>(&to),
                       sizeof(to)),
                6);
    }
  });
  EXPECT_EQ(client.Receive(12), "answeranswer");
  EXPECT_EQ(MetMidway(), 1u) << "the second is of a connection that is known";
}

// A processor keeps what it has put in last for itself: all comes by one. A connection that has
// spoken outlives many that have not, so this one has not either.
TEST_F(MeasureTest, AConnectionThatIsForgottenAmongTooManyOthersLosesATurnAndIsCounted) {
  const OneProcessor here;
  constexpr uint16_t kMany = 32'000;  // below the ports that sockets get
  static_assert(kMany >= 3 * FL_MAX_CONNECTIONS / 2);
  SetTarget(ServerTarget({kPort}));
  Client slow(*network_, Protocol::kTcp, Network::kServer4, kPort);
  AskForConnections(kMany);
  Client fresh(*network_, Protocol::kTcp, Network::kServer4, kPort);
  Ask(fresh, 3);
  EXPECT_EQ(Measured(&sample_).count(), 3u);
  EXPECT_EQ(MetMidway(), 0u);
  Ask(slow, 3);
  EXPECT_EQ(Measured(&sample_).count(), 2u);
  EXPECT_EQ(MetMidway(), 1u);
}

// The programs remember whose a connection is.
TEST_F(MeasureTest, AKnownConnectionBelongsToWhoeverItIsNow) {
  const auto mine = ServerTarget({kPort}), elsewhere = ServerTarget({kPort + 1});
  auto other = mine;
  other.set_target_id("other");
  const auto counted = [&](Client& client, const std::vector<chaos::v1::Target>& targets) {
    for (const Status& status : driver_->SetTargets(targets)) EXPECT_TRUE(status.ok()) << status;
    Ask(client);
    std::vector<chaos::v1::TargetSample> samples;
    driver_->ReadSamples(&samples);
    std::map<std::string, uint64_t> times;
    for (const auto& sample : samples) {
      Histogram histogram;
      EXPECT_TRUE(histogram.Merge(sample.latency()).ok());
      if (sample.packets() != 0) times[sample.target_id()] = histogram.count();
    }
    return times;
  };
  using Times = std::map<std::string, uint64_t>;
  for (const auto protocol : {Protocol::kTcp, Protocol::kUdp}) {
    Client client(*network_, protocol, Network::kServer4, kPort);
    // A connection that is older than its target is measured from its second turn.
    const auto first = counted(client, {mine});
    EXPECT_GE(first.at(mine.target_id()), kRequests - 1u);
    EXPECT_EQ(counted(client, {mine}), (Times{{mine.target_id(), kRequests}}));
    EXPECT_EQ(counted(client, {other}), (Times{{"other", kRequests}}));
    EXPECT_EQ(counted(client, {mine, other}),
              (Times{{mine.target_id(), kRequests}, {"other", kRequests}}));
    EXPECT_EQ(counted(client, {elsewhere}), Times{});
    EXPECT_EQ(counted(client, {mine}).count(mine.target_id()), 1u);
    Arm(Latency(100));
    const auto delayed = client.RoundTrip();
    ASSERT_TRUE(delayed.has_value());
    EXPECT_GE(delayed->count(), 98);
    Disarm();
    EXPECT_TRUE(client.AnswersBefore(98));
  }
}

TEST_F(MeasureTest, AKnownConnectionMeetsARuleThatLeftItsFirstPacketsAlone) {
  SetTarget(ServerTarget({kPort}));
  for (const auto protocol : {Protocol::kTcp, Protocol::kUdp}) {
    Client client(*network_, protocol, Network::kServer4, kPort);
    Ask(client);
    auto latency = Latency(300);
    latency.mutable_filter()->set_payload_prefix("late");
    Arm(latency);
    const auto time_of = [&client](const std::string& text) {
      const auto sent = std::chrono::steady_clock::now();
      client.Send(text);
      EXPECT_EQ(client.Receive(text.size()), text);
      return std::chrono::steady_clock::now() - sent;
    };
    bool soon = false;
    for (int i = 0; i < 10 && (i < 3 || !soon); ++i) {
      soon |= time_of("soon") < 298ms && i > 0;
      EXPECT_GE(time_of("late"), 298ms);
    }
    EXPECT_TRUE(soon) << "behind one that was late";
    Disarm();
  }
}

TEST_F(MeasureTest, OtherPortsAreNotCountedForATargetWithPorts) {
  SetTarget(ServerTarget({kPort + 1}));
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  Ask(client);
  EXPECT_EQ(Measured(&sample_).count(), 0u);
  EXPECT_EQ(sample_.packets(), 0u);
}

}  // namespace
}  // namespace faultline::netns_test
