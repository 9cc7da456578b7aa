// Other tools' rules for a comparison: each loses UDP packets to one port from one peer's port and
// network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::bench {

// Of rule number `rule`; eight rules share a local port.
uint16_t LocalPort(unsigned rule);
uint16_t PeerPort(unsigned rule);
std::string PeerNet(unsigned rule);

struct FilterPeer {
  std::string name;
  std::vector<std::string> on;  // the command that takes `lines` from a file
  std::string lines;
  std::vector<std::string> off;
};

// nftables (rules one after another, and a set), tc's flower and u32, with that many rules on what
// comes in at eth0.
std::vector<FilterPeer> FilterPeers(unsigned rules);

// False when this kernel, or the tool, does not have it.
bool PutOn(const FilterPeer& peer, const std::string& netns);
void TakeOff(const FilterPeer& peer, const std::string& netns);

}  // namespace faultline::bench
