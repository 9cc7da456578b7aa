// What the benchmarks write with, and to: StartExperiment on our controllers, Put of a value of the
// same size on etcd.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "control/v1/command.pb.h"
#include "load.h"

namespace faultline::bench {

// Bytes of the command that a StartExperiment of StartClient puts into the log.
size_t StoredCommandBytes();

// The command of a StartExperiment of StartClient on that target of IdleAgents, as it is proposed.
control::v1::Command StartCommand(int target);

// `count` clients of one of our controllers. Each write is a StartExperiment with a request id of
// its own, on the next target of IdleAgents from *next_target on; answered once it is committed and
// applied.
std::vector<std::unique_ptr<LoadClient>> StartClients(int count, const std::string& address,
                                                      const rpc::TlsFiles& tls,
                                                      std::atomic<int>* next_target);

// A client of one of our controllers that needs no agent. Each write is a StopExperiment of all
// while none runs: a small command that is committed and applied like any other.
std::unique_ptr<LoadClient> StopClient(const std::string& address, const rpc::TlsFiles& tls);

// `count` clients of an etcd member. Each write is a Put of StoredCommandBytes() under a key of its
// own.
std::vector<std::unique_ptr<LoadClient>> PutClients(int count, const std::string& address,
                                                    const rpc::TlsFiles& tls);

}  // namespace faultline::bench
