// A node that is added to a running cluster.
#pragma once

#include <string>

#include "client/client.h"
#include "tests/cluster/cluster.h"

namespace faultline::cluster {

// Asks until the cluster has the member: another one may seem to be away on a busy machine. Result:
// the last refusal, if there is none that says that it is there.
inline Status AddMember(const Cluster& cluster, uint64_t id, const std::string& address) {
  client::Options options;
  options.addresses = fmt::format("{}", fmt::join(cluster.api_addresses(), ","));
  options.timeout = kPatience;
  chaos::v1::AddMemberRequest add;
  add.set_node_id(id);
  add.set_address(address);
  const auto client = *client::Client::Create(options);
  Status added;
  Eventually([&] {
    added = client->AddMember(add).status();
    if (ReasonOf(added) == "MEMBER_EXISTS") added = absl::OkStatus();
    return added.ok();
  });
  return added;
}

}  // namespace faultline::cluster
