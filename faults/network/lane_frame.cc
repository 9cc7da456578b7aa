#include "faults/network/lane_frame.h"

#include <algorithm>
#include <cstring>

namespace faultline::network {
namespace {

constexpr int kEthertypeIpv4 = 0x0800;
constexpr int kEthertypeIpv6 = 0x86dd;
constexpr size_t kMinFrameBytes = kAddressesBytes + 2;
// A tag that the packet had already is put by the kernel where a frame's would stand: into ours.
constexpr size_t kTagInPrefix = 12;

// Writes the tag that says where a frame belongs.
void PutReturnTag(const fl_lane_prefix& prefix, uint8_t* to) {
  const unsigned tag = FL_RETURN_TAG(prefix.hook, prefix.direction);
  const uint8_t bytes[kReturnTagBytes] = {FL_RETURN_ETHERTYPE >> 8, FL_RETURN_ETHERTYPE & 0xff,
                                          static_cast<uint8_t>(tag >> 8),
                                          static_cast<uint8_t>(tag)};
  std::memcpy(to, bytes, kReturnTagBytes);
}

bool IsPlausible(const fl_lane_prefix& prefix) {
  return prefix.hook < FL_MAX_HOOKS && prefix.direction <= FL_INGRESS &&
         prefix.rule_count <= FL_MAX_RULES_PER_PACKET &&
         std::all_of(
             prefix.rule, prefix.rule + prefix.rule_count,
             [](unsigned rule) { return rule < FL_MAX_RULES; });
}

}  // namespace

void WriteReturnHead(const uint8_t* from, const fl_lane_prefix& prefix, uint8_t* to) {
  VnetHeader header;
  std::memcpy(&header, from, sizeof(header));
  constexpr int kMoved =
      static_cast<int>(kReturnTagBytes) - static_cast<int>(sizeof(fl_lane_prefix));
  if ((header.flags & VnetHeader::kNeedsChecksum) != 0) {
    header.csum_start = static_cast<uint16_t>(header.csum_start + kMoved);
  }
  if (header.gso_type != VnetHeader::kNoGso)
    header.hdr_len = static_cast<uint16_t>(header.hdr_len + kMoved);
  std::memcpy(to, &header, sizeof(header));
  const size_t had_tag = prefix.tagged != 0 ? kReturnTagBytes : 0;
  std::memcpy(to + sizeof(header), from + sizeof(header) + sizeof(fl_lane_prefix) + had_tag,
              kAddressesBytes);
  PutReturnTag(prefix, to + sizeof(header) + kAddressesBytes);
}

ReturnFrame Rebuild(const uint8_t* bytes, size_t size, const fl_lane_prefix& prefix) {
  const size_t had_tag = prefix.tagged != 0 ? kReturnTagBytes : 0;
  ReturnFrame out;
  out.size_bytes = size - sizeof(fl_lane_prefix) + kReturnTagBytes;
  out.bytes = std::make_unique_for_overwrite<uint8_t[]>(out.size_bytes);
  WriteReturnHead(bytes, prefix, out.bytes.get());
  uint8_t* to = out.bytes.get() + kReturnHeadBytes;
  std::memcpy(to, bytes + sizeof(VnetHeader) + kTagInPrefix, had_tag);
  const uint8_t* rest = bytes + kPrefixedHeadBytes + had_tag;
  std::memcpy(to + had_tag, rest, static_cast<size_t>(bytes + size - rest));
  return out;
}

bool ReadPrefix(const uint8_t* bytes, size_t size, fl_lane_prefix* prefix) {
  constexpr size_t kSmallest = sizeof(VnetHeader) + sizeof(fl_lane_prefix) + kMinFrameBytes;
  if (size < kSmallest) return false;
  const uint8_t* at = bytes + sizeof(VnetHeader);
  const bool tagged = at[kTagInPrefix] == 0x81 || at[kTagInPrefix] == 0x88;
  if (tagged && size < kSmallest + kReturnTagBytes) return false;
  std::memcpy(prefix, at, kTagInPrefix);
  std::memcpy(reinterpret_cast<uint8_t*>(prefix) + kTagInPrefix,
              at + kTagInPrefix + (tagged ? kReturnTagBytes : 0), sizeof(*prefix) - kTagInPrefix);
  return (prefix->tagged != 0) == tagged && IsPlausible(*prefix);
}

void SetReturnTag(const fl_lane_prefix& prefix, uint8_t* frame) {
  PutReturnTag(prefix, frame + sizeof(VnetHeader) + kAddressesBytes);
}

size_t WireBytes(std::span<const uint8_t> frame) {
  VnetHeader header;
  std::memcpy(&header, frame.data(), sizeof(header));
  const auto packet = frame.subspan(sizeof(header));
  const size_t bytes = packet.size() - kReturnTagBytes;
  if (header.gso_type == VnetHeader::kNoGso || header.gso_size == 0) return bytes;
  constexpr size_t kUdpHeader = 8, kTcpLengthAt = 12;
  size_t headers = header.csum_start;
  if (headers + kTcpLengthAt >= packet.size()) return bytes;
  headers += header.gso_type == VnetHeader::kGsoUdp
                 ? kUdpHeader
                 : (packet[headers + kTcpLengthAt] >> 4u) * size_t{4};
  if (headers >= packet.size()) return bytes;
  const size_t more_segments = (packet.size() - headers - 1) / header.gso_size;
  return bytes + more_segments * (headers - kReturnTagBytes);
}

// An IP packet behind the tag: what stands there cannot be taken for a prefix that a packet
// carries.
bool ReadParked(const uint8_t* bytes, size_t size, const fl_lane_prefix* parked,
                fl_lane_prefix* prefix) {
  if (size < sizeof(VnetHeader) + kMinFrameBytes + kReturnTagBytes) return false;
  const uint8_t* tag = bytes + sizeof(VnetHeader) + kAddressesBytes;
  const auto word = [&](size_t at) { return tag[at] << 8 | tag[at + 1]; };
  const bool is_ip = word(4) == kEthertypeIpv4 || word(4) == kEthertypeIpv6;
  if (word(0) != FL_RETURN_ETHERTYPE || !is_ip) return false;
  *prefix = parked[word(2) % FL_PARKED];
  return IsPlausible(*prefix);
}

}  // namespace faultline::network
