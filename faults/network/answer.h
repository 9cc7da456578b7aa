// Frames that the lane makes itself, from one that it was given: in its place, or back to its
// sender. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "faults/network/lane_frame.h"
#include "faults/network/transport.h"

namespace faultline::network {

// A frame and the direction that its return tag says (FL_EGRESS, FL_INGRESS).
struct Answer {
  ReturnFrame frame;
  unsigned direction = 0;
};

// Where a made frame goes: on to the receiver of the original, or back to its sender as if from
// the receiver.
enum class Way { kOnward, kBack };

// A frame to be answered.
class Original {
 public:
  // `frame` as it goes back, on its way in `direction`; outlives this. None for what
  // FindTransport refuses, and for what has no transport header of its own.
  static std::optional<Original> Read(std::span<const uint8_t> frame, unsigned direction);

  // Without the virtio_net_hdr.
  std::span<const uint8_t> packet() const { return packet_; }
  const Transport& transport() const { return transport_; }
  std::span<const uint8_t> payload() const {
    return packet_.subspan(transport_.payload_at, transport_.end - transport_.payload_at);
  }
  bool is_ipv6() const { return packet_[transport_.network_at - 2] == 0x86; }  // by the ethertype
  // Big-endian numbers of the transport header.
  uint16_t Field16(size_t at) const;
  uint32_t Field32(size_t at) const;

  // A frame with this IP payload, whose checksum field, at `checksum_at` in it, is filled in. IP
  // options and extension headers of the original are left out.
  Answer Carry(Way way, uint8_t protocol, std::vector<uint8_t> payload, size_t checksum_at) const;

 private:
  std::span<const uint8_t> packet_;
  Transport transport_;
  unsigned direction_ = 0;
};

inline constexpr uint8_t kTcpFin = 0x01, kTcpSyn = 0x02, kTcpRst = 0x04, kTcpPsh = 0x08,
                         kTcpAck = 0x10;

// What a TCP segment says; ports follow from the way.
struct TcpSegment {
  uint32_t sequence = 0;
  uint32_t acknowledged = 0;
  uint8_t flags = 0;
  uint16_t window = 0;
  std::vector<uint8_t> options{};  // a multiple of four bytes
  std::vector<uint8_t> payload{};
};
TcpSegment ReadTcp(const Original& original);  // without options and payload
// The options that say in an answer what the segment's timestamps (RFC 7323) want to hear; none for
// one without. Of two ends that use them, each may drop segments that have none.
std::vector<uint8_t> TimestampsBack(const Original& original);
// Sequence numbers that the segment takes.
uint32_t SequenceLength(const Original& original);
Answer MakeTcp(const Original& original, Way way, const TcpSegment& segment);
// An answer to the request in a segment that its receiver does not get, and so the end of the
// connection: behind the answer for the sender, and by a reset for the receiver.
std::vector<Answer> LastWords(const Original& original, std::vector<uint8_t> answer);

void Put16(std::vector<uint8_t>* bytes, size_t at, size_t value);
void Put32(std::vector<uint8_t>* bytes, size_t at, uint32_t value);

}  // namespace faultline::network
