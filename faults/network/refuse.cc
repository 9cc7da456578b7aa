#include "faults/network/refuse.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>

#include "faults/network/reset.h"

namespace faultline::network {
namespace {

// ICMP that says why the original did not arrive, with its beginning.
Answer Unreachable(const Original& original, Refusal how) {
  constexpr size_t kHeaderBytes = 8, kMostQuoted = 512, kChecksumAt = 2;
  const bool host = how == Refusal::kHostUnreachable;
  std::vector<uint8_t> message(kHeaderBytes);
  if (original.is_ipv6()) {
    message[0] = ICMP6_DST_UNREACH;
    message[1] = host ? ICMP6_DST_UNREACH_ADDR : ICMP6_DST_UNREACH_NOROUTE;
  } else {
    message[0] = ICMP_DEST_UNREACH;
    message[1] = host ? ICMP_HOST_UNREACH : ICMP_NET_UNREACH;
  }
  const size_t from = original.transport().network_at;
  const auto quoted =
      original.packet().subspan(from, std::min(original.transport().end - from, kMostQuoted));
  message.insert(message.end(), quoted.begin(), quoted.end());
  const uint8_t protocol = original.is_ipv6() ? uint8_t{IPPROTO_ICMPV6} : uint8_t{IPPROTO_ICMP};
  return original.Carry(Way::kBack, protocol, std::move(message), kChecksumAt);
}

}  // namespace

std::vector<Answer> RefusalOf(Refusal how, std::span<const uint8_t> frame, unsigned direction) {
  std::vector<Answer> refusal;
  const auto original = Original::Read(frame, direction);
  if (!original || original->transport().protocol != IPPROTO_TCP) return refusal;
  if ((ReadTcp(*original).flags & (kTcpSyn | kTcpAck | kTcpRst)) != kTcpSyn) return refusal;
  if (how == Refusal::kReset) return ResetsFor(frame, direction);
  refusal.push_back(Unreachable(*original, how));
  return refusal;
}

}  // namespace faultline::network
