// What /readyz says of a node that does not answer as the cluster would. Pure.
#pragma once

#include <string>

#include "base/status.h"
#include "raft/node.h"

namespace faultline::server {

// `status`: how catching up with the leader ended, not well.
std::string WhyBehind(const Status& status, const raft::View& view);

}  // namespace faultline::server
