#include "faults/network/reset.h"

#include <netinet/in.h>

namespace faultline::network {

std::vector<Answer> ResetsFor(std::span<const uint8_t> frame, unsigned direction) {
  std::vector<Answer> resets;
  const auto original = Original::Read(frame, direction);
  if (!original || original->transport().protocol != IPPROTO_TCP) return resets;
  const TcpSegment segment = ReadTcp(*original);
  if ((segment.flags & kTcpRst) != 0) return resets;
  const bool has_ack = (segment.flags & kTcpAck) != 0;
  if (has_ack) {
    resets.push_back(MakeTcp(*original, Way::kOnward,
                             {.sequence = segment.sequence,
                              .acknowledged = segment.acknowledged,
                              .flags = kTcpRst | kTcpAck}));
  }
  resets.push_back(MakeTcp(*original, Way::kBack,
                           {.sequence = has_ack ? segment.acknowledged : 0,
                            .acknowledged = segment.sequence + SequenceLength(*original),
                            .flags = kTcpRst | kTcpAck}));
  return resets;
}

}  // namespace faultline::network
