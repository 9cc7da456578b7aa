// Networks as parameters name them.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "faults/network/spec.h"

namespace faultline::network {

StatusOr<Cidr> ParseCidr(std::string_view text) {
  const Status wrong = MakeError(StatusCode::kInvalidArgument, "'{}' is not a network", text);
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Cidr cidr;
  if (inet_pton(AF_INET, address.c_str(), cidr.address.data()) != 1) {
    if (inet_pton(AF_INET6, address.c_str(), cidr.address.data()) != 1) return wrong;
    cidr.ipv6 = true;
  }
  const unsigned address_bits = cidr.ipv6 ? 128 : 32;
  unsigned bits = address_bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), bits);
    if (error != std::errc() || end != digits.end() || bits > address_bits) return wrong;
  }
  // An IPv4 network in IPv6's clothes (::ffff:a.b.c.d) is that network: packets are IPv4's.
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (cidr.ipv6 && bits >= 8 * kMapped.size() &&
      std::equal(kMapped.begin(), kMapped.end(), cidr.address.begin())) {
    cidr.ipv6 = false;
    std::copy_n(cidr.address.begin() + kMapped.size(), 4, cidr.address.begin());
    bits -= 8 * kMapped.size();
  }
  cidr.prefix_bits = static_cast<uint8_t>(bits);
  for (unsigned bit = bits; bit < 128; ++bit) {
    cidr.address[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  }
  return cidr;
}

bool Covers(const Cidr& outer, const Cidr& inner) {
  if (outer.ipv6 != inner.ipv6 || outer.prefix_bits > inner.prefix_bits) return false;
  for (unsigned bit = 0; bit < outer.prefix_bits; ++bit) {
    const unsigned mask = 0x80u >> (bit % 8);
    if ((outer.address[bit / 8] & mask) != (inner.address[bit / 8] & mask)) return false;
  }
  return true;
}

namespace {

StatusOr<std::vector<Cidr>> ParseGroup(std::string_view text) {
  std::vector<Cidr> networks;
  while (true) {
    const size_t plus = text.find('+');
    FL_ASSIGN_OR_RETURN(const Cidr network, ParseCidr(text.substr(0, plus)));
    networks.push_back(network);
    if (plus == std::string_view::npos) return networks;
    text.remove_prefix(plus + 1);
  }
}

bool Overlap(const std::vector<Cidr>& a, const std::vector<Cidr>& b) {
  for (const Cidr& one : a) {
    for (const Cidr& other : b) {
      if (Covers(one, other) || Covers(other, one)) return true;
    }
  }
  return false;
}

}  // namespace

StatusOr<std::vector<std::vector<Cidr>>> ParseGroups(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  const auto wrong = [](const std::string& allowed) {
    return MakeError(StatusCode::kInvalidArgument, "{}", allowed);
  };
  std::vector<std::vector<Cidr>> groups;
  size_t count = 0;
  for (const std::string& text : texts) {
    const auto group = ParseGroup(text);
    if (!group.ok()) {
      return wrong(
          "groups of addresses or networks joined by '+', such as "
          "10.0.0.1+10.0.0.2,10.0.1.0/24");
    }
    for (const auto& other : groups) {
      if (Overlap(*group, other)) return wrong("groups without an address in common");
    }
    count += group->size();
    groups.push_back(*group);
  }
  if (groups.size() < 2) return wrong("two groups or more, separated by commas");
  if (count > kMaxGroupItems) return wrong(fmt::format("at most {} networks", kMaxGroupItems));
  return groups;
}

}  // namespace faultline::network
