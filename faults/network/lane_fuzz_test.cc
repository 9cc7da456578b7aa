// What comes out of a lane's device is bytes of whoever talks to the target, or of whoever is
// privileged in its namespace: whatever they are, nothing is read or written beside them (the
// sanitizers see it), and what goes out in their stead is a frame.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>

#include "faults/network/datapath.h"
#include "faults/network/lane_frame.h"
#include "faults/network/lane_rule.h"
#include "faults/network/test_frames.h"

namespace faultline::network {
namespace {

constexpr int kTurns = 4'000;
constexpr uint64_t kAlways = uint64_t{1} << 32;
// As in what the lane gives its rules: head, and an EtherType.
constexpr size_t kSmallest = kReturnHeadBytes + 2;

std::vector<TestFrame> SoundFrames() {
  const std::string query("\x12\x34\1\0\0\1\0\0\0\0\0\0\2db\7example\3com\0\0\1\0\1", 32);
  const std::string request =
      "GET /orders/7?x=1 HTTP/1.1\r\nHost: shop.example:8080\r\nX-Kind: a\r\n\r\n";
  std::vector<TestFrame> frames;
  for (const bool ipv6 : {false, true}) {
    for (const bool odd : {false, true}) {
      frames.push_back({.ipv6 = ipv6, .tcp_flags = kTcpSyn, .options = odd, .vlan = odd});
      frames.push_back({.ipv6 = ipv6,
                        .tcp_flags = kTcpAck | kTcpPsh,
                        .payload = request,
                        .options = odd,
                        .vlan = odd});
      frames.push_back({.ipv6 = ipv6,
                        .protocol = IPPROTO_UDP,
                        .to_port = 53,
                        .payload = query,
                        .options = odd,
                        .vlan = odd});
      frames.push_back({.ipv6 = ipv6,
                        .to_port = 53,
                        .tcp_flags = kTcpAck | kTcpPsh,
                        .payload = std::string("\0\x20", 2) + query,
                        .options = odd,
                        .vlan = odd});
    }
  }
  return frames;
}

std::vector<LaneRule> AllRules() {
  const auto corrupter = [](Corrupter::Part part, bool repair) {
    return Corrupter(Chance(kAlways, 3), 5, part, repair);
  };
  return {RateLimit(8'000'000, 3'000, 1'000'000),
          corrupter(Corrupter::Part::kAny, false),
          corrupter(Corrupter::Part::kAny, true),
          corrupter(Corrupter::Part::kHeader, true),
          corrupter(Corrupter::Part::kPayload, true),
          Resetter{},
          Refuser{Refusal::kReset},
          Refuser{Refusal::kHostUnreachable},
          Refuser{Refusal::kNetUnreachable},
          HttpAnswerer({.methods = {"GET"},
                        .path_prefixes = {"/orders"},
                        .hosts = {"*.example"},
                        .headers = {{"x-kind", "a"}}},
                       {.status = 503}),
          HttpAnswerer({}, {.kind = HttpOutcome::Kind::kReset}),
          DnsAnswerer({"*"}, {.kind = DnsReply::Kind::kAddresses,
                              .addresses = {{10, 0, 0, 1}, std::vector<uint8_t>(16, 7)}}),
          DnsAnswerer({"*"}, {.kind = DnsReply::Kind::kError, .error = 3})};
}

// Some bytes others, or the end cut off.
void Damage(std::vector<uint8_t>* frame, std::mt19937_64* random) {
  const auto below = [&](size_t limit) { return static_cast<size_t>((*random)() % limit); };
  if (below(3) == 0) frame->resize(kSmallest + below(frame->size() - kSmallest + 1));
  for (size_t changes = below(6); changes > 0; --changes) {
    (*frame)[below(frame->size())] = static_cast<uint8_t>((*random)());
  }
}

// Treats the frame in memory of exactly its size. How many frames came of it.
size_t TreatExactly(LaneRule* rule, const std::vector<uint8_t>& frame, unsigned direction) {
  const auto bytes = std::make_unique_for_overwrite<uint8_t[]>(frame.size());
  std::memcpy(bytes.get(), frame.data(), frame.size());
  const Treatment treatment =
      Treat(rule, {.at_ns = 1, .direction = direction, .bytes = {bytes.get(), frame.size()}});
  for (const Answer& answer : treatment.answers) {
    EXPECT_GE(answer.frame.size_bytes, kSmallest);
    EXPECT_LE(answer.direction, unsigned{FL_INGRESS});
  }
  return treatment.answers.size();
}

TEST(LaneFuzzTest, NoBytesMakeARuleReadOrWriteBesideThem) {
  const std::vector<TestFrame> sound = SoundFrames();
  std::vector<LaneRule> rules = AllRules();
  std::mt19937_64 random(11);
  size_t answers_to_sound = 0, answers_to_damaged = 0;
  for (const TestFrame& frame : sound) {
    for (LaneRule& rule : rules) answers_to_sound += TreatExactly(&rule, frame.Build(), FL_EGRESS);
  }
  for (int turn = 0; turn < kTurns; ++turn) {
    std::vector<uint8_t> frame = sound[random() % sound.size()].Build();
    Damage(&frame, &random);
    for (LaneRule& rule : rules) answers_to_damaged += TreatExactly(&rule, frame, turn % 2);
  }
  // They were not just refused at the door.
  EXPECT_GT(answers_to_sound, 2 * sound.size());
  EXPECT_GT(answers_to_damaged, size_t{kTurns} / 2);
}

TEST(LaneFuzzTest, NoPrefixIsReadBesideAFrameOrNamesWhatThereIsNot) {
  std::mt19937_64 random(12);
  std::vector<fl_lane_prefix> parked(FL_PARKED);
  for (fl_lane_prefix& one : parked)
    one.hook = static_cast<uint16_t>(random() % (FL_MAX_HOOKS + 99));
  size_t accepted = 0;
  for (int turn = 0; turn < 50 * kTurns; ++turn) {
    const size_t size = 1 + random() % 120;
    const auto bytes = std::make_unique_for_overwrite<uint8_t[]>(size);
    // Small values, of which many a field would be a sound one.
    std::generate_n(bytes.get(), size, [&] { return static_cast<uint8_t>(random() % 18); });
    // In one of two the place of a parked prefix, whatever stands there.
    constexpr uint8_t kTag[] = {FL_RETURN_ETHERTYPE >> 8, FL_RETURN_ETHERTYPE & 0xff, 7, 7, 8, 0};
    constexpr size_t kTagAt = sizeof(VnetHeader) + kAddressesBytes;
    if (turn % 2 == 0 && size >= kTagAt + sizeof(kTag))
      std::memcpy(bytes.get() + kTagAt, kTag, sizeof(kTag));
    fl_lane_prefix prefix;
    if (!ReadPrefix(bytes.get(), size, &prefix) &&
        !ReadParked(bytes.get(), size, parked.data(), &prefix))
      continue;
    ++accepted;
    ASSERT_LT(prefix.hook, FL_MAX_HOOKS);
    ASSERT_LE(prefix.rule_count, FL_MAX_RULES_PER_PACKET);
    for (unsigned i = 0; i < prefix.rule_count; ++i) ASSERT_LT(prefix.rule[i], FL_MAX_RULES);
  }
  EXPECT_GT(accepted, 10u);
}

}  // namespace
}  // namespace faultline::network
