// A real one-node controller and a real agent with two targets.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "chaos/v1/chaos.pb.h"
#include "chaos/v1/metrics.pb.h"
#include "e2e/agent_support.h"

namespace faultline::e2e {

class AgentSystem {
 public:
  // Starts the controller, with leases of that length. Programs are those of this build.
  explicit AgentSystem(const NetPair& net, const std::string& lease = "10s");
  ~AgentSystem();

  // Adds lines to the end of the agent's configuration, which is in its list of targets.
  void AddToAgentConfig(const std::string& lines) const;

  // Starts the agent (in place of the last one) and waits until the cluster shows this start of it
  // as connected.
  Status StartAgent();
  Process& agent() { return *agent_; }
  Process& controller() { return *controller_; }
  // Process id of the agent's guardian; 0 when it cannot be told.
  pid_t GuardianPid() const;

  // A fault on the egress of the service, for an hour; OK when it is accepted.
  Status StartExperiment(const std::string& kind,
                         const std::map<std::string, std::string>& parameters);

  // What the newest update says of the only fault on the service; UNAVAILABLE when none comes.
  StatusOr<chaos::v1::FaultCounters> Counters() const;

  const std::string& address() const { return address_; }
  std::string agent_socket() const { return folder_.path() + "/run/agent.sock"; }

  // What the two programs logged, for messages.
  std::string Logs() const;

 private:
  struct Api;
  uint64_t ConnectedIncarnation();

  const TempFolder folder_;
  std::unique_ptr<Api> api_;
  std::string address_, agent_config_;
  std::unique_ptr<Process> controller_, agent_;
  uint64_t incarnation_ = 0;
};

}  // namespace faultline::e2e
