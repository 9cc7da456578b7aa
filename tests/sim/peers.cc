#include "sim/peers.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sim/controller.h"

namespace faultline::sim {
namespace {

// A call that came from another node.
constexpr uint64_t kForwardNs = 2 * kSecond;

class Transport final : public raft::Transport {
 public:
  explicit Transport(const Wire& wire) : wire_(wire) {}

  void Send(const raft::Member& to, std::string message) override {
    const uint64_t there = wire_.directory->At(to.address);
    if (there == 0) return;
    wire_.network->Send(wire_.host, wire_.directory->nodes.at(there).host,
                        [directory = wire_.directory, there, from = wire_.own_id, message] {
                          Controller* receiver = directory->Find(there);
                          if (receiver != nullptr && receiver->node() != nullptr) {
                            receiver->node()->Receive(from, message);
                          }
                        });
  }

  Status FetchSnapshot(const raft::Member& from, const raft::Snapshot& wanted, uint64_t offset,
                       const ByteSink& sink) override {
    Controller* source = wire_.directory->Find(wire_.directory->At(from.address));
    const Status lost = MakeError(StatusCode::kUnavailable, "the connection is lost");
    wire_.world->Spend(wire_.world->Between(kMs, 20 * kMs));
    if (source == nullptr || source->node() == nullptr) return lost;
    StatusOr<std::unique_ptr<ByteSource>> bytes = lost;
    wire_.world->On(source->host(), [&] { bytes = source->node()->ReadSnapshot(wanted, offset); });
    if (!bytes.ok()) return bytes.status();
    for (;;) {
      if (wire_.network->IsCut(source->host(), wire_.host) ||
          wire_.network->IsCut(wire_.host, source->host()) || wire_.world->Chance(0.05)) {
        return lost;
      }
      FL_ASSIGN_OR_RETURN(const std::string_view whole, (*bytes)->Next());
      if (whole.empty()) return absl::OkStatus();
      // A connection may break anywhere.
      const bool breaks = wire_.world->Chance(0.05);
      const size_t size = breaks ? wire_.world->Between(1, whole.size()) : whole.size();
      FL_RETURN_IF_ERROR(sink(whole.substr(0, size)));
      if (size < whole.size()) return lost;
    }
  }
  void StopFetching() override {}

 private:
  const Wire wire_;
};

// Calls whoever listens at `address`, as gRPC does: serve(callee, answer) there; `done` runs once,
// by the deadline at the latest, in the caller's present life.
template <typename Response, typename Serve>
void Call(const Wire& wire, const std::string& address, uint64_t deadline_ns,
          server::Done<Response> done, Serve serve) {
  World* const world = wire.world;
  auto once = [done = std::make_shared<server::Done<Response>>(std::move(done))](
                  StatusOr<Response> response) {
    if (const auto first = std::exchange(*done, nullptr)) first(std::move(response));
  };
  const uint64_t clock_ns = MonotonicNowNs();
  const uint64_t left_ns = deadline_ns > clock_ns ? deadline_ns - clock_ns : 0;
  world->At(wire.host, world->now_ns() + left_ns,
            [once] { once(MakeError(StatusCode::kDeadlineExceeded, "no answer in time")); });
  const uint64_t node = wire.directory->At(address);
  if (node == 0 || !world->IsUp(wire.directory->nodes.at(node).host)) {
    world->At(wire.host, world->now_ns() + kMs,
              [once] { once(MakeError(StatusCode::kUnavailable, "connection refused")); });
    return;
  }
  const HostId there = wire.directory->nodes.at(node).host;
  auto reply = [network = wire.network, caller = wire.host, there, world, once,
                life = world->LifeOf(wire.host)](StatusOr<Response> response) {
    network->SendOnce(there, caller, [world, caller, life, once, response] {
      if (world->LifeOf(caller) == life) once(response);
    });
  };
  wire.network->SendOnce(wire.host, there, [directory = wire.directory, node, serve, reply] {
    Controller* callee = directory->Find(node);
    if (callee != nullptr && callee->node() != nullptr) serve(*callee, reply);
  });
}

class PeerCalls final : public server::Peers {
 public:
  explicit PeerCalls(const Wire& wire) : wire_(wire) {}

  void SetMembers(const std::vector<raft::Member>& members) override {
    addresses_.clear();
    for (const raft::Member& member : members) addresses_[member.id] = member.address;
  }

  void Forward(uint64_t node_id, const server::v1::ForwardRequest& request, uint64_t deadline_ns,
               server::Done<server::v1::ForwardResponse> done) override {
    Call<server::v1::ForwardResponse>(
        wire_, AddressOf(node_id), deadline_ns, std::move(done),
        [request](Controller& callee, auto answer) {
          callee.plane().Propose(request.command(), MonotonicNowNs() + kForwardNs,
                                 [answer](StatusOr<server::ControlPlane::Proposed> proposed) {
                                   if (!proposed.ok()) return answer(proposed.status());
                                   server::v1::ForwardResponse response;
                                   response.set_revision(proposed->revision);
                                   *response.mutable_result() = std::move(proposed->result);
                                   answer(std::move(response));
                                 });
        });
  }

  void ReadIndex(uint64_t node_id, const server::v1::ReadIndexRequest& request,
                 uint64_t deadline_ns, server::Done<server::v1::ReadIndexResponse> done) override {
    Call<server::v1::ReadIndexResponse>(wire_, AddressOf(node_id), deadline_ns, std::move(done),
                                        [request](Controller& callee, auto answer) {
                                          callee.versions().Report(request.node_id(),
                                                                   std::max(request.version(), 1u));
                                          callee.plane().ReadIndex([answer](const auto& revision) {
                                            if (!revision.ok()) return answer(revision.status());
                                            server::v1::ReadIndexResponse response;
                                            response.set_revision(*revision);
                                            answer(std::move(response));
                                          });
                                        });
  }

  void ReportSessions(uint64_t node_id, const server::v1::ReportSessionsRequest& request,
                      uint64_t deadline_ns,
                      server::Done<server::v1::ReportSessionsResponse> done) override {
    Call<server::v1::ReportSessionsResponse>(wire_, AddressOf(node_id), deadline_ns,
                                             std::move(done),
                                             [request](Controller& callee, auto answer) {
                                               callee.scheduler().ReportSessions(request, answer);
                                             });
  }

  std::unique_ptr<Relay> RelayMetrics(uint64_t, uint64_t, const server::AgentSet&,
                                      std::function<void(const chaos::v1::MetricsBatch&)>,
                                      std::function<void()>) override {
    return nullptr;
  }
  void Shutdown() override {}

 private:
  // Nobody listens at that of a node that is no member.
  std::string AddressOf(uint64_t node_id) const {
    const auto found = addresses_.find(node_id);
    return found == addresses_.end() ? std::string() : found->second;
  }

  const Wire wire_;
  std::map<uint64_t, std::string> addresses_;  // by node
};

class MemberCalls final : public server::ClusterPeers {
 public:
  explicit MemberCalls(const Wire& wire) : wire_(wire) {}

  // Only whoever asks for the status of all members, which nobody does here.
  void Describe(const std::string&, const server::v1::DescribeRequest&, uint64_t,
                server::Done<server::v1::DescribeResponse> done) override {
    done(MakeError(StatusCode::kUnimplemented, "simulated nodes describe themselves to nobody"));
  }

  void Change(const std::string& address, const server::v1::ChangeRequest& request,
              uint64_t deadline_ns, std::function<void(Status)> done) override {
    using Response = server::v1::ChangeResponse;
    Call<Response>(
        wire_, address, deadline_ns,
        [done = std::move(done)](const StatusOr<Response>& answer) { done(answer.status()); },
        [request](Controller& callee, auto answer) {
          callee.cluster().ChangeHere(request, [answer](const Status& status) {
            if (!status.ok()) return answer(status);
            answer(Response());
          });
        });
  }

  void Shutdown() override {}

 private:
  const Wire wire_;
};

}  // namespace

std::unique_ptr<raft::Transport> MakeTransport(const Wire& wire) {
  return std::make_unique<Transport>(wire);
}

std::unique_ptr<server::Peers> MakePeers(const Wire& wire) {
  return std::make_unique<PeerCalls>(wire);
}

std::unique_ptr<server::ClusterPeers> MakeClusterPeers(const Wire& wire) {
  return std::make_unique<MemberCalls>(wire);
}

}  // namespace faultline::sim
