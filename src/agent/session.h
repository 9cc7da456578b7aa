// The agent's stream to the control plane: AgentService.Connect to one of the controllers, the next
// one as soon as it ends. What the messages mean is its owner's business.
//
// Fail-over: when a stream ends, its node stands still or is gone without a word (rpc/keepalive.h),
// or a node does not welcome the agent within a second, the next address is tried at once; only
// after every address has failed in turn comes a pause, from 50 ms doubling to 1 s.
//
// Threads: everything is called on the agent's strand, and calls back on it. One thread of its own
// waits for gRPC.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/strand.h"
#include "chaos/v1/agent.pb.h"

namespace faultline::agent {

class Session {
 public:
  struct Options {
    std::vector<std::string> controllers;
    std::string tls_ca_file, tls_cert_file, tls_key_file;
  };
  struct Callbacks {
    // What the agent says first on a new stream.
    std::function<chaos::v1::AgentHello()> hello;
    // A node has welcomed the agent: sending works from now until on_end.
    std::function<void(const chaos::v1::AgentWelcome&)> on_welcome;
    std::function<void(const chaos::v1::LeaseGrant&)> on_grant;
    std::function<void(const chaos::v1::DesiredState&)> on_desired;
    // The welcomed stream has ended.
    std::function<void()> on_end;
  };

  // Messages waiting to be sent on a stream; more end it, since its node does not read.
  static constexpr size_t kSendLimit = 512;

  // Checks addresses and TLS files. `strand` outlives the object.
  static StatusOr<std::unique_ptr<Session>> Make(Options options, Callbacks callbacks,
                                                 Strand* strand);
  // Not on the strand. Cuts a stream that Stop has not ended.
  ~Session();

  // Begins to connect. On the strand.
  void Start();
  // Ends the stream once all that was sent is on its way (at most `grace_ms`), and for good; then
  // runs `done` on the strand.
  void Stop(uint64_t grace_ms, std::function<void()> done);

  // False, and nothing sent, when no node has welcomed the agent. Renewals and reports overtake
  // metrics and baselines that wait.
  bool Send(chaos::v1::ConnectRequest request);

  // Gives the present node up for the next.
  void MoveOn(const std::string& why);

  bool welcomed() const;
  // Address of the node that is connected to, or tried.
  std::string controller() const;

 private:
  class Stream;
  struct Impl;
  explicit Session(std::shared_ptr<Impl> impl);
  const std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::agent
