// What an agent is granted by a node that leads a cluster of its own.
#include "server/agent_sessions.h"

#include <gtest/gtest.h>

#include <future>

#include "base/clock.h"
#include "raft/test_dir.h"
#include "server/plane_testing.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kLease{10'000};
constexpr char kAgent[] = "a";

class NoTransport final : public raft::Transport {
 public:
  void Send(const raft::Member&, std::string) override {}
  Status FetchSnapshot(const raft::Member&, const raft::Snapshot&, uint64_t,
                       const ByteSink&) override {
    return absl::UnavailableError("there is nobody");
  }
  void StopFetching() override {}
};

// Remembers what the agent is granted, and what the state said of its lease at that moment.
class Told final : public AgentStream {
 public:
  struct Grant {
    chaos::v1::LeaseGrant grant;
    int64_t known_ms = 0;
  };
  explicit Told(const ControlPlane* plane) : plane_(plane) {}
  void Send(chaos::v1::ConnectResponse response) override {
    const int64_t known_ms = plane_->With([](const control::State& state, const auto&) {
      const auto agent = state.agents.find(kAgent);
      return agent == state.agents.end() ? 0 : control::LeaseMs(agent->second);
    });
    const std::lock_guard lock(mutex_);
    if (response.has_grant()) grants_.push_back({response.grant(), known_ms});
  }
  bool Behind() override { return false; }
  void Close(const Status&) override {}

  std::vector<Grant> grants() const {
    const std::lock_guard lock(mutex_);
    return grants_;
  }

 private:
  const ControlPlane* const plane_;
  mutable std::mutex mutex_;
  std::vector<Grant> grants_;
};

class Sessions : public ::testing::Test {
 protected:
  void SetUp() override {
    plane.Observe([this](const Change& change) { sessions.OnChange(change); });
    raft::Options options;
    options.id = 1;
    options.members = {{.id = 1, .address = "127.0.0.1:1"}};
    options.data_dir = dir.path();
    // A disk that is busy with something else may take seconds: it hangs after two of these.
    options.election_timeout = std::chrono::seconds(10);
    auto started = raft::Node::Start(options, &plane, &transport);
    ASSERT_TRUE(started.ok()) << started.status();
    node = *std::move(started);
    plane.Attach(node.get());
    sessions.Start();
    ASSERT_TRUE(Eventually([&] { return !plane.version().cluster_id().empty(); }));
    chaos::v1::AgentHello hello;
    hello.mutable_agent()->set_agent_id(kAgent);
    hello.mutable_agent()->set_incarnation(1);
    hello.mutable_agent()->mutable_lease()->set_seconds(3'600);  // not the agent's to say
    sessions.OnHello(id, stream, hello);
  }
  void TearDown() override {
    plane.Detach();
    node.reset();
    peers->Shutdown();
    strand.Stop();
    timers.Stop();
  }
  // Its index in the log.
  uint64_t Propose(const control::v1::Command& command) {
    std::promise<StatusOr<ControlPlane::Proposed>> end;
    plane.Propose(command, UINT64_MAX, [&](const auto& proposed) { end.set_value(proposed); });
    const auto proposed = end.get_future().get();
    EXPECT_TRUE(proposed.ok()) << proposed.status();
    if (!proposed.ok()) return 0;
    EXPECT_FALSE(proposed->result.has_error()) << proposed->result.DebugString();
    return proposed->revision;
  }
  // Renews until a lease is granted by the state of that revision or a later one.
  bool GrantedBy(uint64_t revision) {
    return Eventually([&] {
      chaos::v1::LeaseRenewal renewal;
      renewal.set_sent_boottime_ns(BoottimeNowNs());
      sessions.OnRenewal(id, renewal);
      const auto grants = stream->grants();
      return !grants.empty() && grants.back().grant.version().revision() >= revision;
    });
  }

  raft::TestDir dir;
  Strand timers{"timers"};
  Strand strand{"sessions"};
  ControlPlane plane{&timers};
  NoTransport transport;
  std::unique_ptr<raft::Node> node;
  std::unique_ptr<Peers> peers = *Peers::Make({}, {}, &plane);
  Scheduler scheduler{&strand, &plane, kLease};
  LeaderClient leader{1, &plane, peers.get(), &scheduler, &timers};
  AgentSessions sessions{
      {.node_id = 1, .lease = kLease}, &strand, &plane, &leader, peers.get(), &scheduler};
  const uint64_t id = AgentSessions::NextId();
  std::shared_ptr<Told> stream = std::make_shared<Told>(&plane);
};

TEST_F(Sessions, GrantNoLeaseThatTheStateDoesNotKnowOfOnceItCan) {
  ASSERT_TRUE(GrantedBy(1));
  EXPECT_EQ(stream->grants().back().known_ms, 0) << "the cluster cannot be told yet";
  control::v1::Command raise;
  raise.mutable_raise_version()->set_version(control::kLeaseVersion);
  const uint64_t raised = Propose(raise);
  ASSERT_TRUE(GrantedBy(raised));
  for (const auto& [grant, known_ms] : stream->grants()) {
    if (grant.version().revision() < raised) continue;
    EXPECT_EQ(known_ms, kLease.count()) << grant.DebugString();
  }
}

}  // namespace
}  // namespace faultline::server
