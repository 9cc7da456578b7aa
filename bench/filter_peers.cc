#include "filter_peers.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "netns/harness.h"

namespace faultline::bench {
namespace {

using netns_test::Network;

constexpr char kNftChain[] = "chain c { type filter hook ingress device eth0 priority 0;\n";

std::string NftSequential(unsigned rules) {
  std::string text = std::string("table netdev rules {\n") + kNftChain;
  for (unsigned rule = 0; rule < rules; ++rule) {
    text += fmt::format("udp dport {} udp sport {} ip saddr {} counter drop\n", LocalPort(rule),
                        PeerPort(rule), PeerNet(rule));
  }
  return text + "}\n}\n";
}

std::string NftSet(unsigned rules) {
  std::string elements;
  for (unsigned rule = 0; rule < rules; ++rule) {
    elements += fmt::format("{}{} . {} . {}", rule == 0 ? "" : ", ", LocalPort(rule),
                            PeerPort(rule), PeerNet(rule));
  }
  return fmt::format(
      "table netdev rules {{\nset s {{ type inet_service . inet_service . ipv4_addr; "
      "flags interval; elements = {{ {} }} }}\n{}"
      "udp dport . udp sport . ip saddr @s counter drop\n}}\n}}\n",
      elements, kNftChain);
}

std::string TcRules(unsigned rules, bool flower) {
  std::string text = "qdisc add dev eth0 clsact\n";
  for (unsigned rule = 0; rule < rules; ++rule) {
    const auto [local, peer, net] = std::tuple(LocalPort(rule), PeerPort(rule), PeerNet(rule));
    text += "filter add dev eth0 ingress protocol ip ";
    text += flower
                ? fmt::format("flower ip_proto udp dst_port {} src_port {} src_ip {} classid 1:1\n",
                              local, peer, net)
                : fmt::format(
                      "u32 match ip protocol 17 0xff match ip dport {} 0xffff match ip "
                      "sport {} 0xffff match ip src {} flowid 1:1\n",
                      local, peer, net);
  }
  return text;
}

}  // namespace

uint16_t LocalPort(unsigned rule) { return static_cast<uint16_t>(20'000 + rule / 8); }
uint16_t PeerPort(unsigned rule) { return static_cast<uint16_t>(30'000 + rule); }
std::string PeerNet(unsigned rule) {
  return fmt::format("10.{}.{}.0/24", 100 + rule / 256, rule % 256);
}

std::vector<FilterPeer> FilterPeers(unsigned rules) {
  const std::vector<std::string> flush = {"nft", "flush", "ruleset"};
  const std::vector<std::string> no_clsact = {"tc", "qdisc", "del", "dev", "eth0", "clsact"};
  return {{"nft_sequential", {"nft", "-f"}, NftSequential(rules), flush},
          {"nft_set", {"nft", "-f"}, NftSet(rules), flush},
          {"flower", {"tc", "-b"}, TcRules(rules, true), no_clsact},
          {"u32", {"tc", "-b"}, TcRules(rules, false), no_clsact}};
}

bool PutOn(const FilterPeer& peer, const std::string& netns) {
  const std::string path = fmt::format("/tmp/faultline-filters-{}", getpid());
  std::ofstream(path) << peer.lines;
  auto command = peer.on;
  command.push_back(path);
  int code = 0;
  netns_test::RunAnyhow(Network::Inside(netns, command), &code);
  std::remove(path.c_str());
  return code == 0;
}

void TakeOff(const FilterPeer& peer, const std::string& netns) {
  int code = 0;
  netns_test::RunAnyhow(Network::Inside(netns, peer.off), &code);
}

}  // namespace faultline::bench
