// What stays of Faultline where nothing should.
#pragma once

#include <string>

namespace faultline::netns_test {

// What `ip`, `tc` and `bpftool` show of Faultline in a network namespace, a line each: its devices,
// its programs, and clsact qdiscs that hold no filter. Somebody else's filters are not its own.
// Empty: nothing, or the namespace has gone.
std::string FaultlineIn(const std::string& netns);

// The BPF programs, maps and links that this process has open, a line each: what is attached to no
// interface lives as long as somebody has it open.
std::string OpenBpf();

}  // namespace faultline::netns_test
