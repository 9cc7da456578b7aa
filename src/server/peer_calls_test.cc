// Calls between two nodes, over a real connection: which clusters' are taken.
#include <gtest/gtest.h>

#include <future>
#include <string>

#include "base/clock.h"
#include "server/node_testing.h"
#include "server/services.h"
#include "server/serving_testing.h"
#include "server/v1/peer.grpc.pb.h"

namespace faultline::server {
namespace {

constexpr uint64_t kThere = 2;

class PeerCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    asked_.Attach(&node_);
    Parts parts;
    parts.plane = &asked_;
    parts.scheduler = &scheduler_;
    parts.versions = &versions_;
    service_ = MakePeerService(parts);
    std::string address = "127.0.0.1:0";
    ASSERT_NO_FATAL_FAILURE(ServeAt(&address, {service_.get()}, &server_));
    auto made = Peers::Make({{.id = kThere, .address = address}}, {}, &asking_);
    ASSERT_TRUE(made.ok()) << made.status();
    peers_ = *std::move(made);
  }
  void TearDown() override {
    peers_->Shutdown();
    asked_.Detach();
    node_.waiting.clear();
    ShutDown(server_);
    strand_.Stop();
  }
  static void Join(ControlPlane& plane, const std::string& cluster_id) {
    control::v1::Command init;
    init.mutable_init_cluster()->set_cluster_id(cluster_id);
    plane.Apply(1, 1, init.SerializeAsString(), /*wanted=*/false);
  }
  template <typename Request, typename Response>
  std::string ReasonOf(void (Peers::*call)(uint64_t, const Request&, uint64_t, Done<Response>),
                       const Request& request) {
    std::promise<Status> end;
    (peers_.get()->*call)(kThere, request, MonotonicNowNs() + 60 * kNanosPerSecond,
                          [&](const auto& response) { end.set_value(response.status()); });
    return faultline::ReasonOf(end.get_future().get());
  }
  std::string Forward() {
    v1::ForwardRequest request;
    request.mutable_command()->mutable_raise_version()->set_version(control::kNewestVersion + 1);
    return ReasonOf(&Peers::Forward, request);
  }
  std::string ReadIndex() { return ReasonOf(&Peers::ReadIndex, v1::ReadIndexRequest()); }
  std::string ReportSessions() {
    return ReasonOf(&Peers::ReportSessions, v1::ReportSessionsRequest());
  }

  Strand strand_{"nodes"};
  ControlPlane asking_{&strand_}, asked_{&strand_};
  SilentNode node_;
  Scheduler scheduler_{&strand_, &asked_, std::chrono::seconds(10)};
  VersionSwitch versions_{kThere, &strand_, &asked_};
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Peers> peers_;
};

// A command that no node knows is refused by the one that is asked, for that.
TEST_F(PeerCalls, OfTheSameClusterAreTakenAndThoseBeforeOneIsKnown) {
  EXPECT_EQ(Forward(), "CLUSTER_VERSION");
  Join(asked_, "ours");
  EXPECT_EQ(Forward(), "CLUSTER_VERSION");
  Join(asking_, "ours");
  EXPECT_EQ(Forward(), "CLUSTER_VERSION");
  EXPECT_EQ(ReadIndex(), "");
  EXPECT_NE(ReportSessions(), "OTHER_CLUSTER");
}

TEST_F(PeerCalls, OfAnotherClusterAreRefused) {
  Join(asked_, "ours");
  Join(asking_, "theirs");
  EXPECT_EQ(Forward(), "OTHER_CLUSTER");
  EXPECT_EQ(ReadIndex(), "OTHER_CLUSTER");
  EXPECT_EQ(ReportSessions(), "OTHER_CLUSTER");
}

}  // namespace
}  // namespace faultline::server
