// How long packets waited, in histograms: the same of both lanes.
#include <bpf/bpf.h>

#include <thread>

#include "base/clock.h"
#include "base/histogram.h"
#include "bpf/probe.h"
#include "faults/network/delay_times.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;

constexpr uint16_t kPort = 7001;
constexpr uint64_t kMs = 1'000'000;

class DelaysTest : public DriverTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { SetUpWithLane(GetParam()); }

  // Sends so many datagrams to the server, one after another, and waits until all have come.
  void Send(int packets) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    for (int i = 0; i < packets; ++i) {
      client.Send("x");
      std::this_thread::sleep_for(1ms);
    }
    const auto all = static_cast<size_t>(packets);
    EXPECT_EQ(sink_->Take(all, kPatience).size(), all);
  }

  // The fault's, of all samples taken so far.
  Histogram Told(unsigned index = 0) const {
    Histogram given;
    for (const auto& delays : delays_) {
      if (delays.fault_index() != index) continue;
      EXPECT_TRUE(given.Merge(delays.given()).ok());
      EXPECT_EQ(delays.no_room(), 0u);
    }
    return given;
  }

  // The same once it is complete: it says the same as the fault's counters.
  Histogram Settled(unsigned index = 0) {
    const auto counters = SettledCounters(index);
    (void)Sample();
    const Histogram given = Told(index);
    EXPECT_EQ(given.count(), counters.delays_measured());
    double sum_ns = 0;
    for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) {
      sum_ns += static_cast<double>(given.bucket(i)) *
                static_cast<double>(fl_hist_lower_ns(i) + fl_hist_upper_ns(i)) / 2;
    }
    // Each is within half a bucket of its middle.
    const auto counted_ns = static_cast<double>(counters.delay_given_ns());
    EXPECT_NEAR(sum_ns, counted_ns, counted_ns / FL_HIST_SUB);
    return given;
  }

  std::unique_ptr<Sink> sink_;
};

// The lowest bucket in use.
unsigned Lowest(const Histogram& given) {
  unsigned bucket = 0;
  while (bucket < FL_HIST_BUCKETS && given.bucket(bucket) == 0) ++bucket;
  return bucket;
}

TEST_P(DelaysTest, OfAConstantDelayAreAllOfItOrMore) {
  constexpr int kPackets = 50;
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(20, pb::DIRECTION_INGRESS));
  Send(kPackets);
  const Histogram given = Settled();
  EXPECT_EQ(given.count(), static_cast<uint64_t>(kPackets));
  EXPECT_GE(Lowest(given), fl_hist_bucket(20 * kMs));
}

TEST_P(DelaysTest, OfJitterAreAsManyAsTheyAre) {
  constexpr int kPackets = 200;
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  auto latency = Latency(20, pb::DIRECTION_INGRESS);
  latency.set_jitter_ms(10);
  Arm(latency);
  Send(kPackets);
  const Histogram given = Settled();
  EXPECT_EQ(given.count(), static_cast<uint64_t>(kPackets));
  EXPECT_GE(Lowest(given), fl_hist_bucket(10 * kMs));
  int buckets = 0;
  for (unsigned i = 0; i < FL_HIST_BUCKETS; ++i) buckets += given.bucket(i) > 0 ? 1 : 0;
  EXPECT_GE(buckets, 5) << "all waited equally long";
}

TEST_P(DelaysTest, OfSeveralFaultsAreEachItsOwn) {
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(10, pb::DIRECTION_INGRESS), 0);
  Arm(Latency(300, pb::DIRECTION_INGRESS), 1);
  Send(20);
  const Histogram first = Settled(0), second = Settled(1);
  EXPECT_EQ(first.count(), 20u);
  EXPECT_EQ(second.count(), 20u);
  EXPECT_GE(Lowest(first), fl_hist_bucket(10 * kMs));
  EXPECT_LT(Lowest(first), fl_hist_bucket(300 * kMs)) << "the other's is in it";
  EXPECT_GE(Lowest(second), fl_hist_bucket(300 * kMs));
}

TEST_P(DelaysTest, OfALinkAreTheTimeInItsQueue) {
  constexpr int kPackets = 50;
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  // A packet of 43 bytes takes 17.2 ms.
  ArmKind("NETWORK_BANDWIDTH",
          {{"rate_bps", "20kbps"}, {"queue_bytes", "20000"}, {"direction", "ingress"}});
  Send(kPackets);
  const Histogram given = Settled();
  EXPECT_EQ(given.count(), static_cast<uint64_t>(kPackets));
  EXPECT_GE(given.PercentileNs(100), 17.0 * kMs);
}

TEST_P(DelaysTest, AreToldUntilTheEndAndBeginAnewWithTheFault) {
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(20, pb::DIRECTION_INGRESS));
  Send(10);
  Disarm();
  const auto last = Sample();
  ASSERT_EQ(last.faults_size(), 1);
  EXPECT_EQ(last.fault_delays_size(), 1);
  EXPECT_EQ(Told().count(), last.faults(0).delays_measured());
  EXPECT_EQ(Sample().fault_delays_size(), 0);
  delays_.Clear();
  Arm(Latency(40, pb::DIRECTION_INGRESS));
  Send(5);
  EXPECT_GE(Lowest(Settled()), fl_hist_bucket(40 * kMs));
}

TEST_P(DelaysTest, OfWhatComesOutAfterTheEndAreNotTold) {
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  // A machine that stands still lets the packet out before the end: not each time.
  bool ends_before = false;
  for (int attempt = 0; attempt < 5 && !ends_before; ++attempt) {
    Arm(Latency(500, pb::DIRECTION_INGRESS));
    const auto sent = std::chrono::steady_clock::now();
    client.Send("x");
    Disarm();
    ends_before = std::chrono::steady_clock::now() - sent < 450ms;
    EXPECT_EQ(sink_->Take(1, kPatience).size(), 1u);
    const int told = Sample().fault_delays_size() + Sample().fault_delays_size();
    EXPECT_TRUE(told == 0 || !ends_before);
  }
  EXPECT_TRUE(ends_before);
}

INSTANTIATE_TEST_SUITE_P(Lanes, DelaysTest, testing::Values("tap", "fq"),
                         [](const auto& lane) { return std::string(lane.param); });

// Only there packets wait that several faults hold, and longer than anybody waits for the test.
class TapDelaysTest : public DelaysTest {};
INSTANTIATE_TEST_SUITE_P(Lane, TapDelaysTest, testing::Values("tap"));

TEST_P(TapDelaysTest, OfWhatTheEndOfAnotherFaultLetsOutLaterAreNotTold) {
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(10, pb::DIRECTION_INGRESS), 0);
  Arm(Latency(50'000, pb::DIRECTION_INGRESS), 1);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.Send("x");
  std::this_thread::sleep_for(100ms);
  Disarm(1);
  EXPECT_EQ(sink_->Take(1, kPatience).size(), 1u);
  EXPECT_EQ(Counters(0).delayed(), 1u);
  EXPECT_EQ(Settled(0).count(), 0u);
  Send(5);
  EXPECT_EQ(Settled(0).count(), 5u);
}

TEST_P(TapDelaysTest, OfWhatADeadlineLetsOutAreNotTold) {
  sink_ = std::make_unique<Sink>(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  faults::ArmRequest request;
  request.key = Key();
  request.config.PackFrom(Latency(60'000, pb::DIRECTION_INGRESS));
  request.deadline_boottime_ns = BoottimeNowNs() + 3'000 * kMs;
  ASSERT_TRUE(driver_->Arm(request).ok());
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.Send("x");
  EXPECT_EQ(sink_->Take(1, kPatience).size(), 1u);
  EXPECT_EQ(Counters().delayed(), 1u);
  EXPECT_EQ(Settled().count(), 0u);
}

// A store of two chunks.
TEST(DelayTimes, CountWhatFindsNoRoomAndGiveBackWhatARuleHad) {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = BPF_F_MMAPABLE);
  const bpf::UniqueFd delays(bpf_map_create(BPF_MAP_TYPE_ARRAY, "delays", sizeof(__u32),
                                            sizeof(fl_delays), FL_MAX_RULES, &mapped));
  const bpf::UniqueFd chunks(bpf_map_create(BPF_MAP_TYPE_ARRAY, "chunks", sizeof(__u32),
                                            sizeof(fl_chunk), FL_CHUNKS, &mapped));
  const bpf::UniqueFd free(
      bpf_map_create(BPF_MAP_TYPE_QUEUE, "free", 0, sizeof(__u32), 2, nullptr));
  auto times = network::DelayTimes::Map(delays.get(), chunks.get(), free.get());
  ASSERT_TRUE(times.ok()) << times.status();
  const auto count = [&](unsigned rule) {
    Histogram given;
    const auto taken = times->Take(rule);
    EXPECT_TRUE(given.Merge(taken.given()).ok());
    return std::pair(given.count(), taken.no_room());
  };
  times->Open(1);
  times->Open(2);
  times->Count(1, 20 * kMs);
  times->Count(1, 21 * kMs);
  times->Count(2, 20 * kMs);
  times->Count(2, 2'000 * kMs);
  EXPECT_EQ(count(1), std::pair(uint64_t{2}, uint64_t{0}));
  EXPECT_EQ(count(2), std::pair(uint64_t{1}, uint64_t{1}));
  EXPECT_EQ(count(2), std::pair(uint64_t{0}, uint64_t{0})) << "they were taken";
  times->Count(1, 20 * kMs);
  times->Close(1);
  times->Count(2, 2'000 * kMs);
  EXPECT_EQ(count(2), std::pair(uint64_t{1}, uint64_t{0}));
  EXPECT_EQ(count(1), std::pair(uint64_t{0}, uint64_t{0}));
}

}  // namespace
}  // namespace faultline::netns_test
