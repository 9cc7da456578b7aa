// What /readyz says of a node that does not answer as the cluster would. Pure.
#pragma once

#include <string>

#include "base/status.h"
#include "raft/node.h"

namespace faultline::server {

// What the node's own view says, before anybody is asked; empty: nothing.
std::string WhyNotReady(const raft::View& view);

// `status`: how catching up with the leader ended, not well. `asked`: who led when it began; 0:
// nobody that is known. A leader that has said what this node lacks may be out of sight by now.
std::string WhyBehind(const Status& status, uint64_t asked, const raft::View& view);

}  // namespace faultline::server
