// What the texts of a TrafficFilter mean.
#include <algorithm>
#include <charconv>
#include <string>

#include "faults/network/filter_spec.h"
#include "faults/network/protected_spec.h"

namespace faultline::network {
namespace {

struct FlagName {
  std::string_view name;
  uint8_t bit;
};
constexpr FlagName kFlagNames[] = {{"fin", 0x01}, {"syn", 0x02}, {"rst", 0x04}, {"psh", 0x08},
                                   {"ack", 0x10}, {"urg", 0x20}, {"ece", 0x40}, {"cwr", 0x80}};

}  // namespace

StatusOr<PortRange> ParsePortRange(std::string_view text) {
  const Status wrong = MakeError(StatusCode::kInvalidArgument, "'{}' is not a port range", text);
  PortRange range;
  auto [end, error] = std::from_chars(text.begin(), text.end(), range.first);
  if (error != std::errc() || range.first == 0) return wrong;
  range.last = range.first;
  if (end != text.end()) {
    if (*end != '-') return wrong;
    const auto second = std::from_chars(end + 1, text.end(), range.last);
    if (second.ec != std::errc() || second.ptr != text.end()) return wrong;
  }
  if (range.last < range.first) return wrong;
  return range;
}

Status AddTcpFlag(std::string_view text, TcpFlags* flags) {
  const bool set = !text.starts_with('!');
  const std::string_view name = set ? text : text.substr(1);
  const auto found = std::find_if(std::begin(kFlagNames), std::end(kFlagNames),
                                  [&](const FlagName& flag) { return flag.name == name; });
  if (found == std::end(kFlagNames)) {
    return MakeError(StatusCode::kInvalidArgument, "'{}' is not a TCP flag", text);
  }
  const bool known = (flags->mask & found->bit) != 0;
  if (known && ((flags->value & found->bit) != 0) != set) {
    return MakeError(StatusCode::kInvalidArgument, "'{}' is asked for both ways", name);
  }
  flags->mask |= found->bit;
  if (set) flags->value |= found->bit;
  return absl::OkStatus();
}

StatusOr<std::string> ParsePayloadPrefix(std::string_view text) {
  const Status wrong = MakeError(StatusCode::kInvalidArgument, "'{}' is no payload prefix", text);
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      bytes += text[at];
      continue;
    }
    constexpr size_t kDigits = 2;
    constexpr int kHexadecimal = 16;
    const std::string_view rest = text.substr(at + 1);
    uint8_t byte = '\\';
    if (rest.starts_with('x')) {
      const std::string_view digits = rest.substr(1, kDigits);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), byte, kHexadecimal);
      if (error != std::errc() || end != digits.data() + kDigits) return wrong;
      at += kDigits;
    } else if (!rest.starts_with('\\')) {
      return wrong;
    }
    bytes += static_cast<char>(byte);
    ++at;
  }
  if (bytes.empty() || bytes.size() > kMaxPrefixBytes) return wrong;
  return bytes;
}

bool IsMetadataAddress(const Cidr& peer) {
  const auto word = [&peer](size_t i) {
    const auto* bytes = &peer.address[4 * i];
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  };
  if (!peer.ipv6) return peer.prefix_bits == 32 && word(0) == FL_METADATA_IPV4;
  return peer.prefix_bits == 128 && word(0) == FL_METADATA_IPV6_FIRST && word(1) == 0 &&
         word(2) == 0 && word(3) == FL_METADATA_IPV6_LAST;
}

}  // namespace faultline::network
