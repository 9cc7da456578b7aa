// Many large experiments through the services of a node that leads, over a real connection whose
// client takes no more than gRPC's own limit, 4 MiB.
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <future>

#include "base/clock.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "rpc/status.h"
#include "server/node_testing.h"
#include "server/plane_testing.h"
#include "server/services.h"
#include "server/serving_testing.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

using Stub = chaos::v1::ChaosController::Stub;

constexpr uint64_t kOwn = 1;

// What is proposed is applied at once.
class ApplyingNode final : public SilentNode {
 public:
  ApplyingNode(ControlPlane* plane, uint64_t* index) : plane_(plane), index_(index) {}
  void Propose(std::string command, ProposeDone done, uint64_t) override {
    Committed committed;
    committed.index = ++*index_;
    committed.result = plane_->Apply(committed.index, 1, command, /*wanted=*/true);
    done(std::move(committed));
  }

 private:
  ControlPlane* const plane_;
  uint64_t* const index_;
};

class LargeAnswers : public PlaneTest {
 protected:
  static constexpr int kExperiments = 90;
  static constexpr int kTargets = 100;

  void SetUp() override {
    RegisterTargets();
    for (int i = 0; i < kExperiments; ++i) ids.push_back(StartOn("any:yes"));
    const size_t bytes = plane.With([](const control::State& state, const auto&) {
      size_t all = 0;
      for (const auto& [created, record] : state.experiments) {
        all += record.experiment().ByteSizeLong();
      }
      return all;
    });
    ASSERT_GT(bytes, static_cast<size_t>(kMaxMessageBytes)) << "there is nothing to see";
    Lead();
    Serve();
  }
  void TearDown() override {
    if (peers) peers->Shutdown();
    plane.Detach();
    ShutDown(server);
    timers.Stop();
  }

  // With so long an id that its targets weigh as much as ten times as many.
  void RegisterTargets() {
    control::v1::Command command;
    auto* known = command.mutable_register_agent()->mutable_agent();
    known->set_agent_id(agent);
    known->set_incarnation(1);
    for (int i = 0; i < kTargets; ++i) {
      auto* target = known->add_targets();
      target->set_target_id(fmt::format("{}/{}", agent, i));
      (*target->mutable_labels())["any"] = "yes";
    }
    Apply(command);
  }
  void Lead() {
    raft::View view;
    view.role = raft::Role::kLeader;
    view.leader_id = kOwn;
    node.See(view);
    plane.Attach(&node);
  }
  void Serve() {
    Parts parts;
    parts.node_id = kOwn;
    parts.plane = &plane;
    parts.leader = &leader;
    parts.experiments = &experiments;
    parts.reads = &reads;
    parts.gates = &gates;
    chaos_service = MakeChaosService(parts);
    peer_service = MakePeerService(parts);
    address = "127.0.0.1:0";
    ASSERT_NO_FATAL_FAILURE(ServeAt(&address, {chaos_service.get(), peer_service.get()}, &server));
    stub = chaos::v1::ChaosController::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }

  template <typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(5));
    Response response;
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }
  StatusOr<chaos::v1::StopExperimentResponse> StopAll(int wait_s) {
    chaos::v1::StopExperimentRequest request;
    request.set_all(true);
    if (wait_s > 0) request.mutable_wait()->set_seconds(wait_s);
    return Call(&Stub::StopExperiment, request);
  }
  template <typename Experiments>
  std::vector<std::string> IdsOf(const Experiments& of) {
    std::vector<std::string> all;
    for (const auto& experiment : of) all.push_back(experiment.experiment_id());
    return all;
  }

  const std::string agent = std::string(1'000, 'a');
  std::vector<std::string> ids;
  Gates gates;
  ApplyingNode node{&plane, &index};
  LeaderClient leader{kOwn, &plane, nullptr, nullptr, &timers};
  ExperimentService experiments{&plane, &leader, std::chrono::seconds(10)};
  ReadService reads{kOwn, &plane, &leader, nullptr};
  std::unique_ptr<grpc::Service> chaos_service, peer_service;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::unique_ptr<Stub> stub;
  std::unique_ptr<Peers> peers;
};

TEST_F(LargeAnswers, AListComesInPagesThatFit) {
  chaos::v1::ListExperimentsRequest request;
  request.set_page_size(1'000);
  std::vector<std::string> listed;
  int pages = 0;
  do {
    const auto page = Call(&Stub::ListExperiments, request);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_GT(page->experiments_size(), 0);
    for (const auto& experiment : page->experiments()) {
      EXPECT_EQ(experiment.targets_size(), kTargets);
      listed.push_back(experiment.experiment_id());
    }
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_GT(pages, 1);
  EXPECT_EQ(listed, std::vector<std::string>(ids.rbegin(), ids.rend()));
}

TEST_F(LargeAnswers, AStopOfAllIsAnswered) {
  const auto stopped = StopAll(0);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(IdsOf(stopped->experiments()), ids);
  for (const auto& experiment : stopped->experiments()) EXPECT_EQ(experiment.phase(), "stopping");
  EXPECT_EQ(stopped->experiments(0).targets_size(), kTargets);
  EXPECT_EQ(stopped->experiments(kExperiments - 1).targets_size(), 0);
}

TEST_F(LargeAnswers, AStopOfAllThatWaitsIsAnsweredWithTheEndOfEach) {
  auto stopping = std::async(std::launch::async, [this] { return StopAll(120); });
  ASSERT_TRUE(Eventually([this] {
    return plane.With([this](const control::State& state, const auto&) {
      return state.Find(ids.back())->experiment().phase() == "stopping";
    });
  }));
  control::v1::Command lost;
  lost.mutable_agent_lost()->set_agent_id(agent);
  lost.mutable_agent_lost()->set_incarnation(1);
  Apply(lost);
  const auto stopped = stopping.get();
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(IdsOf(stopped->experiments()), ids);
  for (const auto& experiment : stopped->experiments()) {
    EXPECT_EQ(experiment.phase(), "stopped");
    EXPECT_TRUE(experiment.has_ended_at());
  }
}

TEST_F(LargeAnswers, AStopOfAllIsAnsweredToAFollowerToo) {
  auto made = Peers::Make({{.id = kOwn, .address = address}}, {}, &plane);
  ASSERT_TRUE(made.ok()) << made.status();
  peers = *std::move(made);
  v1::ForwardRequest request;
  request.mutable_command()->mutable_stop_experiments()->set_all(true);
  std::promise<StatusOr<v1::ForwardResponse>> end;
  peers->Forward(kOwn, request, MonotonicNowNs() + 300 * kNanosPerSecond,
                 [&](StatusOr<v1::ForwardResponse> answer) { end.set_value(std::move(answer)); });
  const auto forwarded = end.get_future().get();
  ASSERT_TRUE(forwarded.ok()) << forwarded.status();
  EXPECT_EQ(IdsOf(forwarded->result().experiments()), ids);
}

}  // namespace
}  // namespace faultline::server
