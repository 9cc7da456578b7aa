// Request-to-response times, and what is called not measurable.
#include <map>

#include "base/histogram.h"
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
  Arm(Latency(100));  // so that the second request surely comes before the first answer
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  (void)Sample();
  for (int i = 0; i < 3; ++i) {
    client.Send("first");
    std::this_thread::sleep_for(5ms);
    client.Send("second");
    EXPECT_EQ(client.Receive(11).size(), 11u);
  }
  EXPECT_EQ(Measured(&sample_).count(), 0u);
  EXPECT_GE(sample_.not_measurable(), 1u);
  EXPECT_THAT(sample_.not_measurable_reason(), HasSubstr("overlap"));
}

TEST_F(MeasureTest, DatagramsThatAFaultLosesEndNeitherTheirOwnTurnsNorThoseAfter) {
  constexpr int kOften = 12;
  SetTarget(ServerTarget({kPort}));
  for (const char* direction : {"ingress", "egress"}) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    ArmKind("NETWORK_LOSS",
            {{"model", "every_nth"}, {"loss_percent", "50"}, {"direction", direction}});
    (void)Sample();
    int answered = 0;
    for (int i = 0; i < kOften; ++i) answered += client.RoundTrip(300ms) ? 1 : 0;
    EXPECT_EQ(answered, kOften / 2) << direction;
    EXPECT_EQ(Measured(&sample_).count(), static_cast<uint64_t>(answered)) << direction;
    EXPECT_EQ(sample_.not_measurable(), 0u) << direction;
    Disarm();
  }
}

TEST_F(MeasureTest, DatagramsThatOverlapAreMeasuredAgainOnceAllAreAnswered) {
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(100));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  (void)Sample();
  client.Send("first");
  client.Send("second");
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
    for (int i = 0; i < 3; ++i) {
      const auto sent = std::chrono::steady_clock::now();
      client.Send("soon");
      EXPECT_EQ(client.Receive(4), "soon");
      const auto answered = std::chrono::steady_clock::now();
      client.Send("late");
      EXPECT_EQ(client.Receive(4), "late");
      EXPECT_GE(std::chrono::steady_clock::now() - answered, 298ms);
      EXPECT_LT(answered - sent, 298ms);
    }
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
