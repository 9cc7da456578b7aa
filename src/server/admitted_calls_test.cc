// Which calls about membership are let in, over a real connection.
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <future>

#include "chaos/v1/cluster.grpc.pb.h"
#include "raft/test_dir.h"
#include "rpc/status.h"
#include "server/cluster_service.h"
#include "server/node_testing.h"
#include "server/plane_testing.h"
#include "server/serving_testing.h"

namespace faultline::server {
namespace {

using Stub = chaos::v1::ClusterService::Stub;

constexpr uint64_t kOwn = 1;

class CallsAboutMembership : public ::testing::Test {
 protected:
  void SetUp() override {
    raft::View view;
    view.role = raft::Role::kLeader;
    view.leader_id = kOwn;
    node_.See(view);
    node_.OnInspect([](const std::function<void()>& done) { done(); });
    plane_.Attach(&node_);
    cluster_.SetGate(&peer_gate_);
    cluster_.Attach(&node_);
    service_ = MakeClusterService(&cluster_, &plane_, nullptr, &gates_);
    std::string address = "127.0.0.1:0";
    ASSERT_NO_FATAL_FAILURE(ServeAt(&address, {service_.get()}, &server_));
    stub_ = chaos::v1::ClusterService::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    cluster_.Detach();
    plane_.Detach();
    ShutDown(server_);
    timers_.Stop();
  }

  template <typename Request, typename Response>
  Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    Response response;
    return rpc::FromGrpc((stub_.get()->*method)(&context, Request(), &response));
  }

  Gates gates_;
  const raft::TestDir dir_;
  Strand timers_{"timers"};
  ControlPlane plane_{&timers_};
  SilentNode node_;
  PeerGate peer_gate_{dir_.path(), raft::Identity{kOwn, 100, "ours", false}};
  Cluster cluster_{kOwn, &plane_, nullptr, &timers_};
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(CallsAboutMembership, AreRefusedWhileTooManyCallsAreUnderWay) {
  std::vector<std::shared_ptr<Gate::Ticket>> others;
  for (size_t i = 0; i < gates_.calls.limits().count; ++i) {
    others.push_back(*gates_.calls.Enter(fmt::format("{}", i % 4), 0));
  }
  const auto is_refused = [this](auto method) {
    const Status status = Call(method);
    EXPECT_EQ(ReasonOf(status), "TOO_MANY_CALLS") << status;
    return status.code() == StatusCode::kResourceExhausted && DetailOf(status)->has_retry_after();
  };
  EXPECT_TRUE(is_refused(&Stub::GetCluster));
  EXPECT_TRUE(is_refused(&Stub::AddMember));
  EXPECT_TRUE(is_refused(&Stub::PromoteMember));
  EXPECT_TRUE(is_refused(&Stub::RemoveMember));
  EXPECT_TRUE(is_refused(&Stub::SetMemberAddress));
  EXPECT_TRUE(is_refused(&Stub::TransferLeadership));
  others.pop_back();
  EXPECT_TRUE(Call(&Stub::GetCluster).ok());
}

TEST_F(CallsAboutMembership, HaveTheirPlaceUntilTheyAreAnswered) {
  std::promise<std::function<void(Status)>> asked;
  node_.OnChange([&](const raft::MemberChange&, std::function<void(Status)> done) {
    asked.set_value(std::move(done));
  });
  auto promoted = std::async(std::launch::async, [this] { return Call(&Stub::PromoteMember); });
  auto future = asked.get_future();
  ASSERT_TRUE(Eventually([&] {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready ||
           promoted.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }));
  ASSERT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready) << promoted.get();
  auto answer = future.get();
  EXPECT_EQ(gates_.calls.count(), 1u);
  answer(absl::OkStatus());
  answer = nullptr;
  EXPECT_TRUE(promoted.get().ok());
  EXPECT_TRUE(Eventually([this] { return gates_.calls.count() == 0; }));
}

}  // namespace
}  // namespace faultline::server
