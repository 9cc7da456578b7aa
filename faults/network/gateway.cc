#include "faults/network/gateway.h"

#include <arpa/inet.h>
#include <linux/route.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace faultline::network {
namespace {

std::vector<std::vector<std::string>> Fields(std::string_view text) {
  std::vector<std::vector<std::string>> lines;
  std::istringstream all{std::string(text)};
  for (std::string line; std::getline(all, line);) {
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<std::string>(words),
                       std::istream_iterator<std::string>());
  }
  return lines;
}

bool ReadHex(std::string_view text, uint32_t* value) {
  const auto [end, error] = std::from_chars(text.begin(), text.end(), *value, 16);
  return error == std::errc() && end == text.end();
}

bool IsGateway(const std::string& flags) {
  uint32_t value = 0;
  return ReadHex(flags, &value) && (value & (RTF_UP | RTF_GATEWAY)) == (RTF_UP | RTF_GATEWAY);
}

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Gateways FindGateways(std::string_view interface, std::string_view routes,
                      std::string_view ipv6_routes) {
  Gateways found;
  // Iface Destination Gateway Flags RefCnt Use Metric Mask ..., addresses as the host's integers.
  for (const auto& line : Fields(routes)) {
    uint32_t address = 0;
    if (line.size() < 8 || line[0] != interface || line[1] != "00000000" || line[7] != "00000000" ||
        !IsGateway(line[3]) || !ReadHex(line[2], &address)) {
      continue;
    }
    found.ipv4 = {0, 0, htonl(0xffff), address};
    break;
  }
  // destination prefix source prefix next-hop metric references use flags interface
  for (const auto& line : Fields(ipv6_routes)) {
    if (line.size() < 10 || line[9] != interface || line[1] != "00" || !IsGateway(line[8]) ||
        line[4].size() != 32) {
      continue;
    }
    bool read = true;
    for (size_t i = 0; i < found.ipv6.size(); ++i) {
      read &= ReadHex(std::string_view(line[4]).substr(i * 8, 8), &found.ipv6[i]);
      found.ipv6[i] = htonl(found.ipv6[i]);
    }
    if (read) break;
    found.ipv6 = {};
  }
  return found;
}

Gateways ReadGateways(const std::string& interface) {
  return FindGateways(interface, ReadAll("/proc/thread-self/net/route"),
                      ReadAll("/proc/thread-self/net/ipv6_route"));
}

bool IsOneOf(const Gateways& gateways, const Cidr& peer) {
  const GatewayAddress& gateway = peer.ipv6 ? gateways.ipv6 : gateways.ipv4;
  if (gateway == GatewayAddress{}) return false;
  return peer.ipv6 ? peer.prefix_bits == 128 &&
                         std::memcmp(gateway.data(), peer.address.data(), sizeof(gateway)) == 0
                   : peer.prefix_bits == 32 &&
                         std::memcmp(&gateway[3], peer.address.data(), sizeof(gateway[3])) == 0;
}

}  // namespace faultline::network
