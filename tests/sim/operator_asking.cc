// How the operator asks for a change, and learns what came of it.
#include <utility>

#include "base/clock.h"
#include "sim/client.h"
#include "sim/operator.h"

namespace faultline::sim {
namespace {

using Request = server::v1::ChangeRequest;

constexpr uint64_t kPatienceNs = 3 * kSecond;

std::string Text(const Request& request) {
  const uint64_t node = request.node_id();
  switch (request.kind()) {
    case Request::KIND_ADD:
      return fmt::format("add n{} at {}", node, request.address());
    case Request::KIND_PROMOTE:
      return fmt::format("promote n{}", node);
    case Request::KIND_REMOVE:
      return fmt::format("remove n{}", node);
    case Request::KIND_SET_ADDRESS:
      return fmt::format("move n{} to {}", node, request.address());
    default:
      return node == 0 ? "hand over" : fmt::format("hand over to n{}", node);
  }
}

raft::MemberChange ChangeOf(const Request& request) {
  using Kind = raft::MemberChange::Kind;
  Kind kind = Kind::kAdd;
  if (request.kind() == Request::KIND_PROMOTE) kind = Kind::kPromote;
  if (request.kind() == Request::KIND_REMOVE) kind = Kind::kRemove;
  if (request.kind() == Request::KIND_SET_ADDRESS) kind = Kind::kSetAddress;
  return {kind, request.node_id(), request.address()};
}

}  // namespace

void Operator::Ask(const Request& request, int tries, Then then) {
  if (means_.members && !mending_ && world_->Chance(0.2)) AskAside();
  const uint64_t since = means_.referee->members_index();
  Send(request, [this, request, tries, then = std::move(then), since](const Status& status) {
    Take(request, since, status);
    const bool made = status.ok() || (request.kind() != Request::KIND_TRANSFER &&
                                      means_.referee->Shows(ChangeOf(request), since));
    if (made || IsRefusal(status) || tries <= 1) return then(made);
    world_->At(host_, world_->now_ns() + world_->Between(20, 200) * kMs,
               [this, request, tries, then] { Ask(request, tries - 1, then); });
  });
}

void Operator::Take(const Request& request, uint64_t since, const Status& status) {
  world_->Note("{} -> {}", Text(request), Outcome(status));
  if (!status.ok() || request.kind() == Request::KIND_TRANSFER) return;
  means_.referee->OnChangeTold(ChangeOf(request), since);
}

void Operator::Send(const Request& request, std::function<void(const Status&)> done) {
  auto once = [done = std::make_shared<std::function<void(const Status&)>>(std::move(done))](
                  const Status& status) {
    if (const auto first = std::exchange(*done, nullptr)) first(status);
  };
  world_->At(host_, world_->now_ns() + kPatienceNs + 100 * kMs,
             [once] { once(MakeError(StatusCode::kUnavailable, "no answer")); });
  const std::vector<uint64_t> told = means_.directory->Told();
  const uint64_t node = told[world_->Between(0, told.size() - 1)];
  const HostId there = means_.directory->nodes.at(node).host;
  world_->Note("asks n{} to {}", node, Text(request));
  if (!world_->IsUp(there)) {
    world_->At(host_, world_->now_ns() + kMs,
               [once] { once(MakeError(StatusCode::kUnavailable, "connection refused")); });
    return;
  }
  auto reply = [network = means_.network, there, host = host_, once](const Status& status) {
    network->SendOnce(there, host, [once, status] { once(status); });
  };
  means_.network->SendOnce(host_, there, [directory = means_.directory, node, request, reply] {
    Controller* controller = directory->Find(node);
    if (controller == nullptr || controller->node() == nullptr) return;
    controller->cluster().Change(
        server::CallContext{{"operator", false}, MonotonicNowNs() + kPatienceNs}, request, reply);
  });
}

}  // namespace faultline::sim
