#include "sim/operator.h"

#include <algorithm>
#include <utility>

namespace faultline::sim {
namespace {

using Request = server::v1::ChangeRequest;
namespace pb = raft::pb;

constexpr int kTries = 3;
constexpr size_t kMostInstalled = 2;
constexpr size_t kVotersInOrder = 3;
// Where nobody is, and what no node is called.
constexpr const char* kElsewhere = "elsewhere:7401";
constexpr uint64_t kNobody = 90;

Request Make(Request::Kind kind, uint64_t node, const std::string& address = "") {
  Request request;
  request.set_kind(kind);
  request.set_node_id(node);
  request.set_address(address);
  request.set_caller("operator");
  return request;
}

}  // namespace

Operator::Operator(Means means)
    : means_(std::move(means)), world_(means_.world), host_(means_.world->here()) {
  for (const auto& [address, node] : means_.directory->listeners) given_[address] = node;
  Next();
}

void Operator::Next() {
  busy_ = false;
  const uint64_t pause_ms = mending_ ? world_->Between(50, 150) : world_->Between(100, 900);
  world_->At(host_, world_->now_ns() + pause_ms * kMs, [this] { Step(); });
}

void Operator::Step() {
  busy_ = true;
  FollowUp();
  if (mending_) return Repair();
  if (Pick(/*voters=*/true) == 0) return Next();
  const uint64_t dice = world_->Between(1, 100);
  if (!means_.members || (means_.transfers && dice <= 15)) return HandOver();
  if (dice <= 35) return Grow(0);
  if (dice <= 55) return Replace();
  if (dice <= 65) return Remove(Pick(/*voters=*/false));
  if (dice <= 85) return Move();
  Nonsense();
}

void Operator::Grow(uint64_t in_place_of) {
  const uint64_t node = NewNode();
  if (node == 0) return Next();
  const uint64_t start_after_ms = mending_ || world_->Chance(0.6) ? 0 : world_->Between(0, 1'500);
  world_->At(host_, world_->now_ns() + start_after_ms * kMs, [this, node] { means_.start(node); });
  const bool stays_learner = !mending_ && in_place_of == 0 && world_->Chance(0.25);
  Ask(Make(Request::KIND_ADD, node, AddressOf(node)), kTries,
      [this, node, in_place_of, stays_learner](bool added) {
        if (!added || stays_learner) return Next();
        Ask(Make(Request::KIND_PROMOTE, node), kTries, [this, in_place_of](bool promoted) {
          if (!promoted || in_place_of == 0) return Next();
          Remove(in_place_of);
        });
      });
}

void Operator::Replace() {
  const uint64_t lost = means_.lost();
  Grow(lost != 0 && means_.referee->IsMember(lost) ? lost : Pick(/*voters=*/true));
}

void Operator::Remove(uint64_t node) {
  if (!mending_ && !MayRemove(node)) return Next();
  removing_.insert(node);
  Ask(Make(Request::KIND_REMOVE, node), kTries, [this](bool) { Next(); });
}

void Operator::Move() {
  const uint64_t node = Pick(/*voters=*/false);
  const std::string before = RightAddress(node);
  const std::string to = fmt::format("n{}-{}:7401", node, ++moves_);
  given_[to] = node;
  if (world_->Chance(0.3)) {
    world_->Note("mistypes the address of n{}", node);
    mistyped_.insert(to);
    return Ask(Make(Request::KIND_SET_ADDRESS, node, to), kTries, [this, node](bool) {
      Ask(Make(Request::KIND_SET_ADDRESS, node, RightAddress(node)), kTries,
          [this](bool) { Next(); });
    });
  }
  means_.directory->listeners[to] = node;
  Ask(Make(Request::KIND_SET_ADDRESS, node, to), kTries, [this, node, before, to](bool made) {
    if (made) right_[node] = to;
    if (made && !mending_ && world_->Chance(0.5)) {
      world_->Note("n{} is at {} no longer", node, before);
      means_.directory->listeners.erase(before);
    }
    Next();
  });
}

void Operator::HandOver() {
  const uint64_t to = world_->Chance(0.4) ? 0 : Pick(/*voters=*/true);
  Ask(Make(Request::KIND_TRANSFER, to), 1, [this](bool) { Next(); });
}

void Operator::Nonsense() {
  const uint64_t node = Pick(/*voters=*/true);
  // Whoever leads refuses each, whatever else happens meanwhile, or the referee says so. The answer
  // may be OK all the same, when a leader was lost and the group is as was asked for.
  std::vector<Request> requests = {
      Make(Request::KIND_PROMOTE, node),     Make(Request::KIND_PROMOTE, kNobody),
      Make(Request::KIND_REMOVE, kNobody),   Make(Request::KIND_SET_ADDRESS, kNobody, kElsewhere),
      Make(Request::KIND_ADD, kNobody),      Make(Request::KIND_SET_ADDRESS, node),
      Make(Request::KIND_ADD, 0, kElsewhere)};
  if (!removing_.contains(node)) requests.push_back(Make(Request::KIND_ADD, node, kElsewhere));
  Ask(requests[world_->Between(0, requests.size() - 1)], 1, [this](bool) { Next(); });
}

void Operator::Repair() {
  if (!means_.members) return Next();
  const pb::Configuration members = means_.referee->members();
  const uint64_t lost = means_.lost();
  size_t voters = 0;
  for (const pb::Member& member : members.members()) {
    if (member.learner() && member.id() == lost) return Remove(lost);
    if (member.learner()) {
      return Ask(Make(Request::KIND_PROMOTE, member.id()), 1, [this](bool) { Next(); });
    }
    voters += member.id() != lost;
  }
  // First, so that one more may be away.
  if (voters < kVotersInOrder) return Grow(0);
  if (means_.referee->IsMember(lost)) return Remove(lost);
  for (const pb::Member& member : members.members()) {
    if (!mistyped_.contains(member.address())) continue;
    return Ask(Make(Request::KIND_SET_ADDRESS, member.id(), RightAddress(member.id())), 1,
               [this](bool) { Next(); });
  }
  Next();
}

bool Operator::InOrder() const {
  const pb::Configuration& members = means_.referee->members();
  return static_cast<size_t>(members.members_size()) >= kVotersInOrder &&
         std::none_of(members.members().begin(), members.members().end(), [&](const auto& member) {
           return member.learner() || member.id() == means_.lost() ||
                  mistyped_.contains(member.address());
         });
}

void Operator::Mend() {
  mending_ = true;
  removing_.clear();  // nobody is lost any more: whatever comes of them can be mended
  // Every name leads to its node, the mistyped ones too: else a group whose majority is away under
  // such names could never be told the right ones.
  for (const auto& [address, node] : given_) means_.directory->listeners[address] = node;
}

void Operator::FollowUp() {
  for (auto& [node, place] : means_.directory->nodes) {
    if (means_.referee->IsMember(node)) {
      place.told = true;
      continue;
    }
    if (!means_.referee->WasMember(node) || !left_.insert(node).second) continue;
    const bool stops = world_->Chance(0.5);
    world_->Note("n{} is no member any more{}", node, stops ? "" : ", and goes on");
    world_->At(host_, world_->now_ns() + world_->Between(0, 1'500) * kMs, [this, node, stops] {
      means_.directory->nodes.at(node).told = false;
      if (stops) means_.stop(node);
    });
  }
}

void Operator::AskAside() {
  const uint64_t node = Pick(/*voters=*/false);
  if (node == 0) return;
  const Request request = Make(Request::KIND_SET_ADDRESS, node, RightAddress(node));
  Send(request, [this, request, since = means_.referee->members_index()](const Status& status) {
    Take(request, since, status);
  });
}

uint64_t Operator::Pick(bool voters) const {
  std::vector<uint64_t> all;
  for (const pb::Member& member : means_.referee->members().members()) {
    if (!voters || !member.learner()) all.push_back(member.id());
  }
  return all.empty() ? 0 : all[world_->Between(0, all.size() - 1)];
}

uint64_t Operator::NewNode() {
  for (const uint64_t node : installed_) {
    if (!means_.referee->WasMember(node) && node != means_.lost()) return node;
  }
  if (!mending_ && installed_.size() >= kMostInstalled) return 0;
  const uint64_t node = means_.install();
  installed_.insert(node);
  given_[AddressOf(node)] = node;
  return node;
}

std::string Operator::RightAddress(uint64_t node) const {
  const auto moved = right_.find(node);
  return moved == right_.end() ? AddressOf(node) : moved->second;
}

bool Operator::MayRemove(uint64_t node) const {
  const uint64_t lost = means_.lost();
  if (lost != node && means_.referee->IsMember(lost)) return false;
  size_t left = 0;
  for (const pb::Member& member : means_.referee->members().members()) {
    left += !member.learner() && member.id() != node && !removing_.contains(member.id());
  }
  return left >= means_.least_voters;
}

bool Operator::MayLose(uint64_t node) const {
  size_t voters = 0;
  bool votes = false;
  for (const pb::Member& member : means_.referee->members().members()) {
    if (member.id() != node && removing_.contains(member.id())) return false;
    if (member.learner()) continue;
    ++voters;
    votes |= member.id() == node;
  }
  return !votes || voters >= kVotersInOrder;
}

}  // namespace faultline::sim
