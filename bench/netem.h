// `tc netem` on the server's interface of a test network, for what leaves one UDP port: a prio
// qdisc with a flower filter in front.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "netns/harness.h"
#include "netns/process.h"

namespace faultline::bench {

// A machine was booted for it (FAULTLINE_BENCH_NEEDS_NETEM): that it is missing is a failure there,
// not a note.
inline bool NeedsNetem() { return std::getenv("FAULTLINE_BENCH_NEEDS_NETEM") != nullptr; }

class Netem {
 public:
  // `network` outlives this.
  Netem(const netns_test::Network& network, uint16_t port) : network_(network), port_(port) {}

  // Everything to the second band but what the filter says, which goes through netem with that
  // effect ("delay", "10ms"). False when the kernel refuses.
  bool Make(const std::vector<std::string>& effect) const {
    const std::string device = netns_test::Network::kInterface;
    std::vector<std::string> prio = {"qdisc", "add",  "dev",   device, "root",   "handle",
                                     "1:",    "prio", "bands", "2",    "priomap"};
    prio.insert(prio.end(), 16, "1");
    std::vector<std::string> netem = {"qdisc",  "add", "dev",   device,  "parent", "1:1",
                                      "handle", "10:", "netem", "limit", "100000"};
    netem.insert(netem.end(), effect.begin(), effect.end());
    return Tc(prio) == 0 && Tc(netem) == 0 &&
           Tc({"filter", "add", "dev", device, "parent", "1:", "protocol", "ip", "flower",
               "ip_proto", "udp", "src_port", std::to_string(port_), "classid", "1:1"}) == 0;
  }
  void Remove() const { Tc({"qdisc", "del", "dev", netns_test::Network::kInterface, "root"}); }

  // Whether this kernel has all of that.
  bool Works() const {
    const bool works = Make({"delay", "1ms"});
    Remove();
    return works;
  }

 private:
  int Tc(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {"tc", "-n", network_.server_netns()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    int exit_code = 0;
    netns_test::RunAnyhow(command, &exit_code);
    return exit_code;
  }

  const netns_test::Network& network_;
  const uint16_t port_;
};

}  // namespace faultline::bench
