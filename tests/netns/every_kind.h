// Every kind of network fault, each so strong that certain traffic does not come through as it was.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "netns/network.h"
#include "netns/sockets.h"

namespace faultline::netns_test {

// A fault for a target that is the server's interface, and the traffic that shows it.
struct KindAtWork {
  enum class Traffic {
    kDatagrams,  // several of UDP
    kQuery,      // of DNS, over UDP
    kRequest,    // of HTTP, over a TCP connection of its own
  };

  const char* kind;
  std::map<std::string, std::string> parameters;
  Traffic traffic = Traffic::kDatagrams;
};

const std::vector<KindAtWork>& EveryKind();

// Where an EchoServer has to be for that traffic.
inline constexpr uint16_t kEchoPort = 7001;

// Whether such traffic of the client's comes back from the EchoServer as it was sent, all of it
// once. An answer is waited for for so long.
bool ComesThrough(const Network& network, const KindAtWork& kind,
                  std::chrono::milliseconds patience = kPatience);

// For the names of tests.
std::string NameOf(const testing::TestParamInfo<KindAtWork>& kind);

}  // namespace faultline::netns_test
