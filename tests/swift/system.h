// What the tests of ChaosKit talk to: real controllers, a real agent, a redis with its client.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "e2e/agent_support.h"
#include "tests/cluster/cluster.h"
#include "tests/swift/flood.h"

namespace faultline::swift {

class System {
 public:
  System();
  ~System();

  // One line of words, such as "cluster 3"; result: facts about what was done, or "error". Each
  // returns when it is done:
  //   cluster NODES        controllers in place of what was there: "addresses"
  //   tls                  one controller with mutual TLS: "addresses", PEM texts "ca",
  //   "certificate",
  //                        "key", and the same of a stranger: "other_ca", ...
  //   agent                a real agent with target service:checkout, a redis under load
  //   kill-leader          SIGKILL: "killed" is its address
  //   kill-all, restart    every controller; every controller that does not run
  //   subscribers          subscriptions to metrics on all nodes: "count"
  //   flood TARGETS        an agent played by this program connects
  //   flood-begin ID HZ    its batches, under that experiment
  //   flood-stop           "batches": so many were sent
  nlohmann::json Do(const std::string& line);

 private:
  struct Host;

  nlohmann::json StartCluster(cluster::Cluster::Options options);
  nlohmann::json StartTls();
  nlohmann::json StartAgent();
  nlohmann::json KillLeader();
  nlohmann::json CountSubscribers();

  const cluster::TempDir folder_;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::vector<std::string> http_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<Flood> flood_;
};

}  // namespace faultline::swift
