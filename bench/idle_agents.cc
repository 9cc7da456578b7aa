#include "idle_agents.h"

#include <grpcpp/channel.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "chaos/v1/agent.grpc.pb.h"
#include "load.h"

namespace faultline::bench {
namespace {

using chaos::v1::ConnectRequest;
using chaos::v1::ConnectResponse;

constexpr std::chrono::seconds kRenewEvery{2};

std::string AgentId(int agent) { return fmt::format("idle-{}", agent); }

}  // namespace

chaos::v1::Agent IdleAgents::Describe(int number) {
  chaos::v1::Agent agent;
  agent.set_agent_id(AgentId(number));
  agent.set_hostname("bench");
  agent.set_incarnation(1);
  for (const char* name : {"tc", "tun"}) {
    auto* capability = agent.add_capabilities();
    capability->set_name(name);
    capability->set_available(true);
  }
  for (int i = 0; i < kTargetsEach; ++i) {
    auto* target = agent.add_targets();
    target->set_target_id(fmt::format("{}/t{}", agent.agent_id(), i));
    target->set_name(fmt::format("t{}", i));
    (*target->mutable_labels())["service"] = "checkout";
  }
  return agent;
}

// Sends what waits, one message after another, on gRPC's threads; renews on its own.
class IdleAgents::Agent final : public grpc::ClientBidiReactor<ConnectRequest, ConnectResponse> {
 public:
  Agent(int number, const std::string& address, const rpc::TlsFiles& tls)
      : stub_(chaos::v1::AgentService::NewStub(Connect(address, tls))) {
    ConnectRequest hello;
    *hello.mutable_hello()->mutable_agent() = Describe(number);
    stub_->async()->Connect(&context_, this);
    AddHold();
    Send(std::move(hello));
    StartCall();
    renewals_ = std::thread([this] { Renew(); });
  }

  ~Agent() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    renewals_.join();
    context_.TryCancel();
    RemoveHold();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
  }

  void Report(bool on) {
    {
      const std::lock_guard lock(mutex_);
      on_ = on;
      if (!on_ || reading_) return;
      reading_ = true;
    }
    StartRead(&response_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_desired()) Answer(response_.desired());
    {
      const std::lock_guard lock(mutex_);
      reading_ = on_;
      if (!reading_) return;
    }
    StartRead(&response_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    waiting_.pop_front();
    if (ok && !waiting_.empty()) StartWrite(&waiting_.front());
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }

 private:
  void Send(ConnectRequest request) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(request));
    if (waiting_.size() == 1) StartWrite(&waiting_.front());
  }

  void Renew() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kRenewEvery, [this] { return ending_; })) {
      lock.unlock();
      ConnectRequest request;
      request.mutable_renewal()->set_sent_boottime_ns(BoottimeNowNs());
      Send(std::move(request));
      lock.lock();
    }
  }

  void Answer(const chaos::v1::DesiredState& desired) {
    ConnectRequest request;
    auto* reports = request.mutable_reports();
    reports->set_incarnation(1);
    *reports->mutable_version() = desired.version();
    // What is not reported although it was to be reverted counts as reverted.
    for (const auto& fault : desired.faults()) {
      auto* report = reports->add_reports();
      report->set_experiment_id(fault.experiment_id());
      report->set_fault_index(fault.fault_index());
      report->set_target_id(fault.target_id());
      report->set_phase(chaos::v1::TARGET_PHASE_ACTIVE);
    }
    Send(std::move(request));
  }

  const std::unique_ptr<chaos::v1::AgentService::Stub> stub_;
  grpc::ClientContext context_;
  ConnectResponse response_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ConnectRequest> waiting_;  // the first is being written
  bool on_ = false;
  bool reading_ = false;  // a read is under way
  bool ending_ = false;
  bool done_ = false;
  std::thread renewals_;
};

IdleAgents::IdleAgents(int targets, const std::vector<std::string>& addresses,
                       const rpc::TlsFiles& tls) {
  for (int i = 0; i * kTargetsEach < targets; ++i) {
    agents_.push_back(
        std::make_unique<Agent>(i, addresses[static_cast<size_t>(i) % addresses.size()], tls));
  }
}

IdleAgents::~IdleAgents() = default;

std::string IdleAgents::Selector(int target) {
  return fmt::format("target:{}/t{}", AgentId(target / kTargetsEach), target % kTargetsEach);
}

void IdleAgents::Report(bool on) {
  for (const auto& agent : agents_) agent->Report(on);
}

}  // namespace faultline::bench
