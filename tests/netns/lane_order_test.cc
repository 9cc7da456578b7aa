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
    auto lane = Lane::Start(counters_.data(), &times_, parked_.data(), &cuts_);
    ASSERT_TRUE(lane.ok()) << lane.status();
    lane_ = std::move(*lane);
  }

  // A segment of one connection comes to the lane, having met the program at that time.
  void Give(const TestFrame& segment, uint64_t t0_ns, const std::vector<uint16_t>& rules) {
    constexpr size_t kVnet = sizeof(VnetHeader);
    const auto built = segment.Build();
    fl_lane_prefix prefix{};
    prefix.t0_ns = t0_ns;
    prefix.flow = 7;
    prefix.hook = 5;
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
      seen.push_back(what + (tag == FL_RETURN_TAG(5, FL_EGRESS) ? " on" : " back"));
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
    lane_->SetRule(kRule,
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
  __u64 cuts_ = 0;
  bpf::UniqueFd device_, kernel_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(LaneOrderTest, TheAnswerIsOutBeforeTheReset) {
  SetAnswerer();
  const uint64_t now_ns = BoottimeNowNs();
  Give(Ack(), now_ns - 2 * kMillisecond, {kRule});
  Give(Query(), now_ns - kMillisecond, {kRule});
  ASSERT_TRUE(lane_->AddDevice(device_.get()).ok());
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
  ASSERT_TRUE(lane_->AddDevice(device_.get()).ok());
  EXPECT_THAT(Out(4), testing::ElementsAre("answer back", "reset on", "ack on", "ack on"));
}

TEST_F(LaneOrderTest, AnAnswerThatIsHeldTakesTheResetWithIt) {
  SetAnswerer();
  lane_->SetRule(kOther, DelayModel(50 * kMillisecond, {}, 1),
                 BoottimeNowNs() + 3600 * kNanosPerSecond);
  const uint64_t now_ns = BoottimeNowNs();
  Give(Query(), now_ns, {kOther, kRule});
  Give(Ack(), now_ns, {kRule});
  ASSERT_TRUE(lane_->AddDevice(device_.get()).ok());
  EXPECT_THAT(Out(3), testing::ElementsAre("answer back", "reset on", "ack on"));
  EXPECT_GE(BoottimeNowNs(), now_ns + 50 * kMillisecond);
}

TEST_F(LaneOrderTest, ACopyIsOfBoth) {
  SetAnswerer();
  lane_->SetRule(kOther, Duplicator{Chance(uint64_t{1} << 32, 1)},
                 BoottimeNowNs() + 3600 * kNanosPerSecond);
  Give(Query(), BoottimeNowNs(), {kOther, kRule});
  ASSERT_TRUE(lane_->AddDevice(device_.get()).ok());
  EXPECT_THAT(Out(4), testing::ElementsAre("answer back", "reset on", "answer back", "reset on"));
}

}  // namespace
}  // namespace faultline::network
