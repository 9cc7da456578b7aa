#include "faults/network/corrupt.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "faults/network/lane_frame.h"

namespace faultline::network {
namespace {

// The checksum after the byte at `at`, formerly `old`, has changed: RFC 1624, equation 3.
void Repair(std::span<uint8_t> packet, const Transport& transport, size_t at, uint8_t old) {
  const size_t checksum_at = *transport.checksum_at;
  const unsigned shift = (at - transport.header_at) % 2 == 0 ? 8 : 0;
  const unsigned before = unsigned{old} << shift, after = unsigned{packet[at]} << shift;
  const unsigned checksum = packet[checksum_at] << 8u | packet[checksum_at + 1];
  unsigned sum = (~checksum & 0xffff) + (~before & 0xffff) + after;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  sum = ~sum & 0xffff;
  // UDP writes "none" as 0.
  if (sum == 0 && transport.protocol == IPPROTO_UDP) sum = 0xffff;
  packet[checksum_at] = static_cast<uint8_t>(sum >> 8);
  packet[checksum_at + 1] = static_cast<uint8_t>(sum);
}

}  // namespace

bool Corrupter::Corrupt(std::span<uint8_t> frame) {
  const auto drawn = chance_.Draw();
  if (!drawn) return false;
  VnetHeader header;
  std::memcpy(&header, frame.data(), sizeof(header));
  if ((header.flags & VnetHeader::kNeedsChecksum) != 0 || header.gso_type != VnetHeader::kNoGso) {
    return false;
  }
  const auto packet = frame.subspan(sizeof(header));
  const auto transport = FindTransport(packet);
  return transport && FlipBits(packet, *transport, *drawn);
}

bool Corrupter::FlipBits(std::span<uint8_t> packet, const Transport& transport, uint64_t drawn) {
  const size_t begin = part_ == Part::kPayload ? transport.payload_at : transport.header_at;
  const size_t end = part_ == Part::kHeader ? transport.payload_at : transport.end;
  const bool repairs = repair_ && transport.checksum_at.has_value();
  const auto is_spared = [&](size_t at) {
    return repairs && (at == *transport.checksum_at || at == *transport.checksum_at + 1);
  };
  size_t room = end - begin;
  if (repairs && begin <= *transport.checksum_at && room > 0) room -= 2;
  std::vector<size_t> flipped;
  while (flipped.size() < std::min<size_t>(bits_, room * 8)) {
    drawn = Mix(drawn);
    const size_t bit = begin * 8 + drawn % ((end - begin) * 8);
    if (is_spared(bit / 8) || std::ranges::find(flipped, bit) != flipped.end()) continue;
    flipped.push_back(bit);
    const uint8_t old = packet[bit / 8];
    packet[bit / 8] = static_cast<uint8_t>(old ^ 1u << bit % 8);
    if (repairs) Repair(packet, transport, bit / 8, old);
  }
  return !flipped.empty();
}

}  // namespace faultline::network
