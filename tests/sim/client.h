// One client of a simulated cluster: starts, stops and reads experiments at any node, one call
// after the other, repeats starts whose outcome it does not know, and has everything recorded.
#pragma once

#include <string>
#include <vector>

#include "sim/controller.h"
#include "tests/history/experiment_history.h"

namespace faultline::sim {

// An answer that says for sure that nothing was done, and why.
bool IsRefusal(const Status& status);
// For the transcript: "ok", or the error's text.
std::string Outcome(const Status& status);

// What the clients of one run have in common.
struct ClientWorld {
  World* world = nullptr;
  Network* network = nullptr;
  Directory* directory = nullptr;
  history::ExperimentHistory* history = nullptr;
  std::vector<std::string> agents;
  uint64_t end_ns = 0;  // no call begins after this
  struct Known {
    std::string request_id, experiment_id;
  };
  std::vector<Known> known;  // experiments whose start was answered
};

class Client {
 public:
  // On the host's behalf; begins to call.
  Client(std::string name, ClientWorld* shared);

 private:
  void Step();
  void Next();
  void Start(const std::string& request_id, const chaos::v1::StartExperimentRequest& request,
             int repeats);
  void Stop(const ClientWorld::Known& experiment);
  void Get(const ClientWorld::Known& experiment);
  void List();
  chaos::v1::StartExperimentRequest NewStart();

  // Calls a node: `serve(controller, context, answer)` there; then `finish(response)` here, with
  // UNAVAILABLE when nothing came back in time.
  template <typename Response, typename Serve, typename Finish>
  void Call(Serve serve, Finish finish);

  const std::string name_;
  ClientWorld* const shared_;
  World* const world_;
  const HostId host_;
  int starts_ = 0;
};

}  // namespace faultline::sim
