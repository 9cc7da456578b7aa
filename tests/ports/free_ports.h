// TCP ports for a test's servers, which may be shut and opened again as often as the test likes.
#pragma once

#include <vector>

namespace faultline {

// Ports on 127.0.0.1 that nobody listens on. They are this process's until it ends: no other that
// asks here is given them, and they lie below those that the kernel gives to outgoing connections.
std::vector<int> FreePorts(int count);
int FreePort();

}  // namespace faultline
