#include "sim/agent.h"

#include <algorithm>

#include "base/clock.h"

namespace faultline::sim {
namespace {

constexpr uint64_t kBeatNs = 100 * kMs;
constexpr uint64_t kWelcomePatienceNs = kSecond;
constexpr uint64_t kCompareNs = kSecond;

}  // namespace

// The kernel side of a fault group: what is armed, and until when.
class Agent::Kernel final : public faults::Driver {
 public:
  Kernel(World* world, const Agent* agent) : world_(world), agent_(agent) {}

  std::vector<chaos::v1::Capability> Probe() override { return {}; }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override {
    return std::vector<Status>(targets.size());
  }
  Status Arm(const faults::ArmRequest& request) override {
    if (world_->Chance(0.03)) return MakeError(StatusCode::kUnavailable, "the kernel is busy");
    if (world_->Chance(0.01)) return MakeError(StatusCode::kFailedPrecondition, "no such device");
    deadlines_[request.key] = request.deadline_boottime_ns;
    world_->Note("arms {}", request.key.experiment_id);
    agent_->TellReferee();
    return absl::OkStatus();
  }
  Status Disarm(const faults::FaultKey& key) override {
    if (world_->Chance(0.02)) return MakeError(StatusCode::kUnavailable, "the kernel is busy");
    if (deadlines_.erase(key) > 0) world_->Note("disarms {}", key.experiment_id);
    return absl::OkStatus();
  }
  std::vector<faults::FaultKey> Armed() override {
    std::vector<faults::FaultKey> armed;
    for (const auto& [key, deadline_ns] : deadlines_) armed.push_back(key);
    return armed;
  }
  void ReadSamples(std::vector<chaos::v1::TargetSample>*) override {}

  const std::map<faults::FaultKey, uint64_t>& deadlines() const { return deadlines_; }

 private:
  World* const world_;
  const Agent* const agent_;
  std::map<faults::FaultKey, uint64_t> deadlines_;
};

// The node's end of the agent's stream.
class Agent::Stream final : public server::AgentStream {
 public:
  Stream(std::shared_ptr<Connection> connection, std::function<void(chaos::v1::ConnectResponse)> at)
      : connection_(std::move(connection)), arrive_(std::move(at)) {}
  void Send(chaos::v1::ConnectResponse response) override {
    connection_->Send(1, [arrive = arrive_, response] { arrive(response); });
  }
  bool Behind() override { return false; }
  void Close(const Status&) override {
    connection_->Break(1);
    if (auto closed = std::exchange(on_closed, nullptr)) closed();
  }
  std::function<void()> on_closed;

 private:
  const std::shared_ptr<Connection> connection_;
  const std::function<void(chaos::v1::ConnectResponse)> arrive_;
};

Agent::Agent(AgentOptions options, World* world, Network* network, Directory* directory,
             Referee* referee)
    : options_(std::move(options)),
      world_(world),
      network_(network),
      directory_(directory),
      referee_(referee),
      host_(world->here()),
      kernel_(std::make_unique<Kernel>(world, this)) {
  reconciler_ =
      std::make_unique<agent::Reconciler>([this](const std::string&) { return kernel_.get(); },
                                          std::vector<faults::Driver*>{kernel_.get()});
  world_->At(host_, world_->now_ns(), [this] { Connect(); });
  world_->At(host_, world_->now_ns() + world_->Between(0, kBeatNs), [this] { Beat(); });
}

Agent::~Agent() = default;

chaos::v1::Agent Agent::Describe() const {
  chaos::v1::Agent agent;
  agent.set_agent_id(options_.id);
  agent.set_incarnation(options_.incarnation);
  for (const std::string& name : options_.target_names) {
    auto* target = agent.add_targets();
    target->set_target_id(options_.id + "/" + name);
    target->set_name(name);
    target->set_agent_id(options_.id);
    (*target->mutable_labels())["service"] = name;
  }
  for (const char* name : {"tc", "tun", "lane"}) {
    auto* capability = agent.add_capabilities();
    capability->set_name(name);
    capability->set_available(true);
  }
  return agent;
}

std::vector<std::string> Agent::Active() const {
  std::vector<std::string> active;
  const uint64_t now_ns = world_->BoottimeNs(host_);
  if (now_ns >= page_until_ns_) return active;
  for (const auto& [key, deadline_ns] : kernel_->deadlines()) {
    if (now_ns < deadline_ns) active.push_back(key.experiment_id);
  }
  return active;
}

void Agent::TellReferee() const {
  for (const std::string& id : Active()) referee_->OnFaultActive(options_.id, id);
}

void Agent::Connect() {
  const std::vector<uint64_t> told = directory_->Told();
  const auto next = std::upper_bound(told.begin(), told.end(), node_);
  node_ = next == told.end() ? told.front() : *next;
  Controller* controller = directory_->Find(node_);
  const HostId there = directory_->nodes.at(node_).host;
  welcomed_ = false;
  if (controller == nullptr || !world_->IsUp(there)) {
    world_->At(host_, world_->now_ns() + kMs, [this] { OnEnd(); });
    return;
  }
  connection_ = std::make_shared<Connection>(world_, network_, host_, there);
  connection_->Watch();
  stream_id_ = server::AgentSessions::NextId();
  connection_->OnBroken(0, [this, id = stream_id_] {
    if (id == stream_id_) OnEnd();
  });
  world_->At(host_, world_->now_ns() + kWelcomePatienceNs, [this, id = stream_id_] {
    if (id == stream_id_ && !welcomed_) MoveOn();
  });
  auto stream = std::make_shared<Stream>(connection_, [this, id = stream_id_](auto response) {
    if (id == stream_id_) Take(response);
  });
  auto closed = [directory = directory_, node = node_, id = stream_id_] {
    if (Controller* at = directory->Find(node)) at->sessions().OnClosed(id);
  };
  stream->on_closed = closed;
  connection_->OnBroken(1, closed);
  chaos::v1::AgentHello hello;
  *hello.mutable_agent() = Describe();
  connection_->Send(0, [directory = directory_, node = node_, id = stream_id_, stream, hello] {
    if (Controller* at = directory->Find(node)) at->sessions().OnHello(id, stream, hello);
  });
}

void Agent::MoveOn() {
  if (connection_) connection_->Break(0);
  OnEnd();
}

void Agent::OnEnd() {
  connection_ = nullptr;
  stream_id_ = 0;
  if (std::exchange(welcomed_, false)) reconciler_->OnSessionEnd();
  // The next at once; a pause after all have failed in turn.
  const auto all = static_cast<int>(directory_->Told().size());
  const uint64_t pause_ns =
      ++failures_ % all == 0 ? std::min<uint64_t>(kSecond, 50 * kMs << std::min(failures_ / all, 5))
                             : kMs;
  world_->At(host_, world_->now_ns() + pause_ns, [this] {
    if (!connection_) Connect();
  });
}

void Agent::Say(chaos::v1::ConnectRequest request) {
  if (!welcomed_ || !connection_) return;
  connection_->Send(0, [directory = directory_, node = node_, id = stream_id_, request] {
    Controller* at = directory->Find(node);
    if (at == nullptr) return;
    if (request.has_renewal()) at->sessions().OnRenewal(id, request.renewal());
    if (request.has_reports()) at->sessions().OnReports(id, request.reports());
  });
}

void Agent::SendRenewal() {
  const uint64_t now_ns = BoottimeNowNs();
  chaos::v1::ConnectRequest request;
  request.mutable_renewal()->set_sent_boottime_ns(now_ns);
  lease_.OnRenewalSent(now_ns);
  Say(std::move(request));
}

void Agent::SendReports() {
  if (!welcomed_) return;
  chaos::v1::ConnectRequest request;
  *request.mutable_reports() = reconciler_->Reports(BoottimeNowNs());
  request.mutable_reports()->set_incarnation(options_.incarnation);
  Say(std::move(request));
}

void Agent::Take(const chaos::v1::ConnectResponse& response) {
  const uint64_t now_ns = BoottimeNowNs();
  if (response.has_welcome()) {
    welcomed_ = true;
    failures_ = 0;
    lease_.OnConnected(now_ns);
    SendRenewal();
    SendReports();
    return;
  }
  if (response.has_grant()) {
    if (!lease_.OnGrant(response.grant(), now_ns).ok()) return;
    page_until_ns_ = lease_.until_ns();
    TellReferee();
    reconciler_->SetLeaseHeld(lease_.Held(now_ns), now_ns);
  }
  if (response.has_desired()) {
    if (!lease_.OnDesired(response.desired().version(), now_ns).ok()) return;
    reconciler_->SetDesired(response.desired(), now_ns);
  }
  if (reconciler_->TakeChanged()) SendReports();
}

void Agent::Beat() {
  const uint64_t now_ns = BoottimeNowNs();
  if (now_ns >= compared_ns_ + kCompareNs) {
    compared_ns_ = now_ns;
    reconciler_->CompareWithDrivers();
    if (reconciler_->TakeChanged()) SendReports();
  }
  reconciler_->SetLeaseHeld(lease_.Held(now_ns), now_ns);
  reconciler_->Tick(now_ns);
  if (welcomed_ && lease_.NodeIsSilent(now_ns)) {
    MoveOn();
  } else if (welcomed_ && now_ns >= lease_.renewal_due_ns()) {
    SendRenewal();
  }
  if (reconciler_->TakeChanged()) SendReports();
  world_->At(host_, world_->now_ns() + kBeatNs, [this] { Beat(); });
}

}  // namespace faultline::sim
