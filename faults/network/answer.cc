#include "faults/network/answer.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace faultline::network {
namespace {

constexpr size_t kMacBytes = 6;
constexpr size_t kReturnTagAt = 14;  // behind its ethertype
constexpr size_t kIpv4Bytes = 20, kIpv6Bytes = 40, kTcpBytes = 20;
constexpr size_t kPorts = 4, kTcpFlagsAt = 13;
constexpr uint8_t kHopLimit = 64;

using Bytes = std::vector<uint8_t>;
using View = std::span<const uint8_t>;

uint32_t Word(View bytes, size_t at) { return bytes[at] << 8u | bytes[at + 1]; }

uint64_t SumOf(View bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8u : bytes[i];
  return sum;
}

uint16_t Folded(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// Exchanges two neighbours of that size.
void Swap(uint8_t* first, size_t bytes) { std::swap_ranges(first, first + bytes, first + bytes); }

Bytes Ipv4Header(View old, Way way, uint8_t protocol, size_t payload_bytes) {
  Bytes header(old.begin(), old.begin() + kIpv4Bytes);
  constexpr uint8_t kVersionAndLength = 0x45;
  constexpr size_t kDontFragment = 0x4000;
  header[0] = kVersionAndLength;
  Put16(&header, 2, kIpv4Bytes + payload_bytes);
  Put16(&header, 4, 0);
  Put16(&header, 6, kDontFragment);
  if (way == Way::kBack) header[8] = kHopLimit;
  header[9] = protocol;
  if (way == Way::kBack) Swap(&header[12], 4);
  Put16(&header, 10, 0);
  Put16(&header, 10, Folded(SumOf(header)));
  return header;
}

Bytes Ipv6Header(View old, Way way, uint8_t protocol, size_t payload_bytes) {
  Bytes header(old.begin(), old.begin() + kIpv6Bytes);
  Put16(&header, 4, payload_bytes);
  header[6] = protocol;
  if (way == Way::kBack) {
    header[7] = kHopLimit;
    Swap(&header[8], 16);
  }
  return header;
}

// ICMP has no pseudo header, ICMPv6 has.
uint64_t PseudoSum(View ip_header, uint8_t protocol, size_t payload_bytes) {
  if (protocol == IPPROTO_ICMP) return 0;
  const View addresses =
      ip_header.size() == kIpv4Bytes ? ip_header.subspan(12, 8) : ip_header.subspan(8, 32);
  return SumOf(addresses) + protocol + payload_bytes;
}

}  // namespace

void Put16(Bytes* bytes, size_t at, size_t value) {
  (*bytes)[at] = static_cast<uint8_t>(value >> 8);
  (*bytes)[at + 1] = static_cast<uint8_t>(value);
}

void Put32(Bytes* bytes, size_t at, uint32_t value) {
  Put16(bytes, at, value >> 16);
  Put16(bytes, at + 2, value & 0xffff);
}

std::optional<Original> Original::Read(View frame, unsigned direction) {
  const auto packet = frame.subspan(sizeof(VnetHeader));
  const auto transport = FindTransport(packet);
  if (!transport || transport->payload_at == transport->header_at) return std::nullopt;
  Original original;
  original.packet_ = packet;
  original.transport_ = *transport;
  original.direction_ = direction;
  return original;
}

uint16_t Original::Field16(size_t at) const {
  return static_cast<uint16_t>(Word(packet_, transport_.header_at + at));
}

uint32_t Original::Field32(size_t at) const {
  return Word(packet_, transport_.header_at + at) << 16u |
         Word(packet_, transport_.header_at + at + 2);
}

Answer Original::Carry(Way way, uint8_t protocol, Bytes payload, size_t checksum_at) const {
  const View old_ip = packet_.subspan(transport_.network_at);
  const Bytes ip = is_ipv6() ? Ipv6Header(old_ip, way, protocol, payload.size())
                             : Ipv4Header(old_ip, way, protocol, payload.size());
  Put16(&payload, checksum_at, 0);
  uint16_t checksum = Folded(SumOf(payload) + PseudoSum(ip, protocol, payload.size()));
  // UDP writes "none" as 0.
  if (checksum == 0 && protocol == IPPROTO_UDP) checksum = 0xffff;
  Put16(&payload, checksum_at, checksum);

  Answer answer;
  answer.direction = way == Way::kBack ? 1 - direction_ : direction_;
  const size_t link_bytes = sizeof(VnetHeader) + transport_.network_at;
  answer.frame.size_bytes = link_bytes + ip.size() + payload.size();
  answer.frame.bytes = std::make_unique_for_overwrite<uint8_t[]>(answer.frame.size_bytes);
  uint8_t* to = answer.frame.bytes.get();
  std::memset(to, 0, sizeof(VnetHeader));
  uint8_t* const link = to + sizeof(VnetHeader);
  std::memcpy(link, packet_.data(), transport_.network_at);
  if (way == Way::kBack) {
    Swap(link, kMacBytes);
    const uint32_t tag = Word(packet_, kReturnTagAt) - 1;
    link[kReturnTagAt + 1] = static_cast<uint8_t>((tag ^ 1u) + 1);
  }
  std::memcpy(to + link_bytes, ip.data(), ip.size());
  std::memcpy(to + link_bytes + ip.size(), payload.data(), payload.size());
  return answer;
}

TcpSegment ReadTcp(const Original& original) {
  return {.sequence = original.Field32(4),
          .acknowledged = original.Field32(8),
          .flags = original.packet()[original.transport().header_at + kTcpFlagsAt],
          .window = original.Field16(14)};
}

std::vector<uint8_t> TimestampsBack(const Original& original) {
  constexpr uint8_t kEnd = 0, kPadding = 1, kTimestamps = 8, kTimestampsBytes = 10;
  const Transport& transport = original.transport();
  const View options = original.packet().subspan(
      transport.header_at + kTcpBytes, transport.payload_at - transport.header_at - kTcpBytes);
  for (size_t at = 0; at < options.size() && options[at] != kEnd;) {
    if (options[at] == kPadding) {
      ++at;
      continue;
    }
    if (at + 2 > options.size() || options[at + 1] < 2) break;
    if (options[at] == kTimestamps && options[at + 1] == kTimestampsBytes &&
        at + kTimestampsBytes <= options.size()) {
      Bytes back = {kPadding, kPadding, kTimestamps, kTimestampsBytes};
      back.insert(back.end(), options.begin() + static_cast<long>(at) + 2,
                  options.begin() + static_cast<long>(at) + kTimestampsBytes);
      Swap(&back[4], 4);
      return back;
    }
    at += options[at + 1];
  }
  return {};
}

uint32_t SequenceLength(const Original& original) {
  const uint8_t flags = ReadTcp(original).flags;
  return static_cast<uint32_t>(original.payload().size()) + ((flags & kTcpSyn) != 0 ? 1 : 0) +
         ((flags & kTcpFin) != 0 ? 1 : 0);
}

Answer MakeTcp(const Original& original, Way way, const TcpSegment& segment) {
  constexpr size_t kChecksumAt = 16;
  Bytes bytes(kTcpBytes);
  const auto ports = original.packet().subspan(original.transport().header_at, kPorts);
  std::copy(ports.begin(), ports.end(), bytes.begin());
  if (way == Way::kBack) Swap(bytes.data(), kPorts / 2);
  Put32(&bytes, 4, segment.sequence);
  Put32(&bytes, 8, segment.acknowledged);
  bytes[12] = static_cast<uint8_t>((kTcpBytes + segment.options.size()) / 4 << 4);
  bytes[kTcpFlagsAt] = segment.flags;
  Put16(&bytes, 14, segment.window);
  bytes.insert(bytes.end(), segment.options.begin(), segment.options.end());
  bytes.insert(bytes.end(), segment.payload.begin(), segment.payload.end());
  return original.Carry(way, IPPROTO_TCP, std::move(bytes), kChecksumAt);
}

std::vector<Answer> LastWords(const Original& original, std::vector<uint8_t> answer) {
  const TcpSegment request = ReadTcp(original);
  std::vector<Answer> answers;
  answers.push_back(MakeTcp(original, Way::kBack,
                            {.sequence = request.acknowledged,
                             .acknowledged = request.sequence + SequenceLength(original),
                             .flags = kTcpAck | kTcpPsh | kTcpFin,
                             .window = request.window,
                             .options = TimestampsBack(original),
                             .payload = std::move(answer)}));
  answers.push_back(MakeTcp(original, Way::kOnward,
                            {.sequence = request.sequence,
                             .acknowledged = request.acknowledged,
                             .flags = kTcpRst | kTcpAck}));
  return answers;
}

}  // namespace faultline::network
