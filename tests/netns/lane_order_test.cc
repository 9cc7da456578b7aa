// In which order the TAP lane lets out what it makes itself, and what it was given: the lane alone,
// with one end of a socket as its device and real maps of its counters.
#include <bpf/bpf.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "faults/network/lane.h"
#include "faults/network/test_frames.h"
#include "netns/harness.h"

namespace faultline::network {
namespace {

constexpr unsigned kRule = 3, kOther = 4;
constexpr uint16_t kHook = 5, kOtherHook = 6;
constexpr uint32_t kNetns = 17, kOtherNetns = 18;
constexpr uint64_t kMillisecond = kNanosPerSecond / 1000;

bpf::UniqueFd MakeArray(unsigned value_bytes, unsigned entries) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  return bpf::UniqueFd(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_test", sizeof(__u32), value_bytes, entries, &options));
}

class LaneOrderTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = netns_test::WhyNot()) GTEST_SKIP() << *reason;
    auto times = DelayTimes::Map(delays_.get(), chunks_.get(), free_.get());
    ASSERT_TRUE(times.ok()) << times.status();
    times_ = std::move(*times);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    device_ = bpf::UniqueFd(ends[0]);
    kernel_ = bpf::UniqueFd(ends[1]);
    auto lane = Lane::Start(counters_.data(), &times_, parked_.data(), tables_.get(), &lease_);
    ASSERT_TRUE(lane.ok()) << lane.status();
    lane_ = std::move(*lane);
    tables_->hook[kHook].netns = kNetns;
  }
  void Serve() { ASSERT_TRUE(lane_->AddDevice(device_.get(), kNetns).ok()); }

  // A segment of one connection comes to the lane, having met the program at that time.
  void Give(const TestFrame& segment, uint64_t t0_ns, const std::vector<uint16_t>& rules,
            uint16_t hook = kHook) {
    constexpr size_t kVnet = sizeof(VnetHeader);
    const auto built = segment.Build();
    fl_lane_prefix prefix{};
    prefix.t0_ns = t0_ns;
    prefix.flow = 7;
    prefix.hook = hook;
    prefix.direction = FL_EGRESS;
    prefix.rule_count = static_cast<__u8>(rules.size());
    std::copy(rules.begin(), rules.end(), prefix.rule);
    std::vector<uint8_t> frame(built.begin(), built.begin() + kVnet);
    const auto* bytes = reinterpret_cast<const uint8_t*>(&prefix);
    frame.insert(frame.end(), bytes, bytes + sizeof(prefix));
    frame.insert(frame.end(), built.begin() + kVnet, built.begin() + kVnet + kAddressesBytes);
    frame.insert(frame.end(), built.begin() + kVnet + kAddressesBytes + kReturnTagBytes,
                 built.end());
    ASSERT_EQ(send(kernel_.get(), frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
  }

  // What the next frames that come out are, each with the way that its tag says.
  std::vector<std::string> Out(size_t count) {
    constexpr size_t kTagAt = sizeof(VnetHeader) + kAddressesBytes + 2;
    constexpr size_t kFlagsAt = kTagAt + 2 + 2 + 20 + 13;  // of TCP, behind IPv4
    std::vector<std::string> seen;
    std::array<uint8_t, 4096> frame;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (seen.size() < count && std::chrono::steady_clock::now() < until) {
      const ssize_t bytes = recv(kernel_.get(), frame.data(), frame.size(), 0);
      if (bytes <= 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      EXPECT_GT(bytes, static_cast<ssize_t>(kFlagsAt));
      const unsigned flags = frame[kFlagsAt], tag = frame[kTagAt] << 8u | frame[kTagAt + 1];
      const std::string what = (flags & kTcpRst) != 0   ? "reset"
                               : (flags & kTcpFin) != 0 ? "answer"
                                                        : "ack";
      seen.push_back(what + (tag == FL_RETURN_TAG(kHook, FL_EGRESS) ? " on" : " back"));
    }
    return seen;
  }

  static TestFrame Ack() { return {.to_port = 53}; }
  // Asks for an address of db.example.com.
  static TestFrame Query() {
    std::string message("\0\7\1\0\0\1\0\0\0\0\0\0\2db\7example\3com\0\0\1\0\1", 32);
    return {.to_port = 53,
            .tcp_flags = kTcpAck | kTcpPsh,
            .payload = std::string("\0\x20", 2) + message};
  }
  void SetAnswerer() {
    lane_->SetRule(kRule, kHook,
                   DnsAnswerer({"db.example.com"}, {.kind = DnsReply::Kind::kError, .error = 2}),
                   BoottimeNowNs() + 3600 * kNanosPerSecond);
  }

  bpf::UniqueFd delays_ = MakeArray(sizeof(fl_delays), FL_MAX_RULES);
  bpf::UniqueFd chunks_ = MakeArray(sizeof(fl_chunk), FL_CHUNKS);
  bpf::UniqueFd free_{
      bpf_map_create(BPF_MAP_TYPE_QUEUE, "fl_test_free", 0, sizeof(__u32), FL_CHUNKS, nullptr)};
  DelayTimes times_;
  std::vector<fl_counters> counters_{FL_MAX_RULES};
  std::vector<fl_lane_prefix> parked_{FL_PARKED};
  std::unique_ptr<fl_tables> tables_ = std::make_unique<fl_tables>();
  fl_lease lease_{.heartbeat_until_ns = UINT64_MAX, .control_until_ns = UINT64_MAX};
  bpf::UniqueFd device_, kernel_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(LaneOrderTest, TheAnswerIsOutBeforeTheReset) {
  SetAnswerer();
  const uint64_t now_ns = BoottimeNowNs();
  Give(Ack(), now_ns - 2 * kMillisecond, {kRule});
  Give(Query(), now_ns - kMillisecond, {kRule});
  Serve();
  EXPECT_THAT(Out(3), testing::ElementsAre("ack on", "answer back", "reset on"));
}

// Two processors: the query is in the lane's queue before an acknowledgement that met the program
// earlier. A reset between the two, and its receiver would reset the sender before the answer.
TEST_F(LaneOrderTest, NothingOfTheConnectionGetsBetweenTheAnswerAndTheReset) {
  SetAnswerer();
  const uint64_t now_ns = BoottimeNowNs();
  Give(Query(), now_ns - kMillisecond, {kRule});
  Give(Ack(), now_ns - 3 * kMillisecond, {kRule});
  Give(Ack(), now_ns - 2 * kMillisecond, {kRule});
  Serve();
  EXPECT_THAT(Out(4), testing::ElementsAre("answer back", "reset on", "ack on", "ack on"));
}

TEST_F(LaneOrderTest, AnAnswerThatIsHeldTakesTheResetWithIt) {
  SetAnswerer();
  lane_->SetRule(kOther, kHook, DelayModel(50 * kMillisecond, {}, 1),
                 BoottimeNowNs() + 3600 * kNanosPerSecond);
  const uint64_t now_ns = BoottimeNowNs();
  Give(Query(), now_ns, {kOther, kRule});
  Give(Ack(), now_ns, {kRule});
  Serve();
  EXPECT_THAT(Out(3), testing::ElementsAre("answer back", "reset on", "ack on"));
  EXPECT_GE(BoottimeNowNs(), now_ns + 50 * kMillisecond);
}

TEST_F(LaneOrderTest, ACopyIsOfBoth) {
  SetAnswerer();
  lane_->SetRule(kOther, kHook, Duplicator{Chance(uint64_t{1} << 32, 1)},
                 BoottimeNowNs() + 3600 * kNanosPerSecond);
  Give(Query(), BoottimeNowNs(), {kOther, kRule});
  Serve();
  EXPECT_THAT(Out(4), testing::ElementsAre("answer back", "reset on", "answer back", "reset on"));
}

// Who is privileged in the device's namespace can send it frames.
TEST_F(LaneOrderTest, AForgedFrameReachesNoOtherHookAndIsNotHeldByItsOwnWord) {
  tables_->hook[kOtherHook].netns = kOtherNetns;
  const uint64_t deadline_ns = BoottimeNowNs() + 3600 * kNanosPerSecond;
  lane_->SetRule(kRule, kHook, Refuser{Refusal::kReset}, deadline_ns);
  lane_->SetRule(kOther, kOtherHook, DelayModel(60 * kNanosPerSecond, {}, 1), deadline_ns);
  const uint64_t now_ns = BoottimeNowNs();
  Give(Ack(), now_ns, {kOther}, kOtherHook);              // another namespace's hook: refused
  Give(Ack(), now_ns, {FL_MAX_RULES}, kHook);             // there is no such rule: refused
  Give(Ack(), now_ns, {kOther});                          // not this hook's: does nothing
  Give(Ack(), now_ns + 3600 * kNanosPerSecond, {kRule});  // not met yet: is met now
  Serve();
  EXPECT_THAT(Out(2), testing::ElementsAre("ack on", "ack on"));
  EXPECT_EQ(lane_->Load().held_packets, 0u);
}

// 300 ms for both, and for the first another fault's minute, which ends after 100 ms.
TEST_F(LaneOrderTest, ARuleThatEndsHoldsNoLongerAndTheOtherGoesOn) {
  const uint64_t now_ns = BoottimeNowNs(), late_ns = now_ns + 3600 * kNanosPerSecond;
  lane_->SetRule(kRule, kHook, DelayModel(300 * kMillisecond, {}, 1), late_ns);
  lane_->SetRule(kOther, kHook, DelayModel(60 * kNanosPerSecond, {}, 1),
                 now_ns + 100 * kMillisecond);
  Give(Ack(), now_ns, {kRule, kOther});
  Give(Query(), now_ns, {kRule});
  Serve();
  EXPECT_THAT(Out(2), testing::ElementsAre("ack on", "ack on"));
  const uint64_t took_ns = BoottimeNowNs() - now_ns;
  EXPECT_GE(took_ns, 300 * kMillisecond);
  EXPECT_LT(took_ns, 30 * kNanosPerSecond);
  (void)lane_->Load();  // a frame is counted when it is out: waits for that
  EXPECT_EQ(counters_[kRule].delays_measured, 1u);  // the first was cut short
}

TEST_F(LaneOrderTest, WhatAStoppedRuleHeldDoesNotOvertakeWhatAnotherHolds) {
  const uint64_t now_ns = BoottimeNowNs(), late_ns = now_ns + 3600 * kNanosPerSecond;
  lane_->SetRule(kRule, kHook, DelayModel(50 * kNanosPerSecond, {}, 1), late_ns);
  lane_->SetRule(kOther, kHook, DelayModel(500 * kMillisecond, {}, 1), late_ns);
  Give(Ack(), now_ns, {kOther});
  Give(TestFrame{.to_port = 53, .tcp_flags = kTcpFin | kTcpAck}, now_ns, {kRule});
  Serve();
  lane_->ClearRule(kRule);
  EXPECT_THAT(Out(2), testing::ElementsAre("ack on", "answer on"));
  EXPECT_GE(BoottimeNowNs(), now_ns + 500 * kMillisecond);
  EXPECT_LT(BoottimeNowNs(), now_ns + 30 * kNanosPerSecond);
}

}  // namespace
}  // namespace faultline::network
