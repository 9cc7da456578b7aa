#include "metric_agents.h"

#include <grpcpp/channel.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/clock.h"
#include "chaos/v1/agent.grpc.pb.h"
#include "load.h"

namespace faultline::bench {
namespace {

using chaos::v1::ConnectRequest;
using chaos::v1::ConnectResponse;

constexpr uint64_t kRenewNs = 3 * kNanosPerSecond;

chaos::v1::Agent Describe(int number) {
  chaos::v1::Agent agent;
  agent.set_agent_id(MetricAgents::AgentId(number));
  agent.set_hostname("bench");
  agent.set_incarnation(1);
  for (const char* name : {"tc", "tun"}) {
    auto* capability = agent.add_capabilities();
    capability->set_name(name);
    capability->set_available(true);
  }
  auto* target = agent.add_targets();
  target->set_target_id(agent.agent_id() + "/t");
  target->set_name("t");
  (*target->mutable_labels())["service"] = "checkout";
  return agent;
}

}  // namespace

// Sends what waits, one message after another, on gRPC's threads.
class MetricAgents::Agent final : public grpc::ClientBidiReactor<ConnectRequest, ConnectResponse> {
 public:
  Agent(int number, const std::string& address, const rpc::TlsFiles& tls)
      : id_(AgentId(number)), stub_(chaos::v1::AgentService::NewStub(Connect(address, tls))) {
    ConnectRequest hello;
    *hello.mutable_hello()->mutable_agent() = Describe(number);
    stub_->async()->Connect(&context_, this);
    AddHold();
    Send(std::move(hello));
    StartRead(&response_);
    StartCall();
  }

  ~Agent() override {
    context_.TryCancel();
    RemoveHold();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_.load(); });
  }

  void Renew(uint64_t now_ns) {
    if (now_ns < renew_ns_) return;
    renew_ns_ = now_ns + kRenewNs;
    ConnectRequest request;
    request.mutable_renewal()->set_sent_boottime_ns(BoottimeNowNs());
    Send(std::move(request));
  }

  void SendBatch(uint64_t interval_ns) {
    ConnectRequest request;
    auto* batch = request.mutable_metrics();
    batch->mutable_position()->set_agent_id(id_);
    batch->mutable_position()->set_incarnation(1);
    batch->mutable_position()->set_sequence(++sent_);
    batch->set_interval_ns(interval_ns);
    auto* sample = batch->add_samples();
    sample->set_target_id(id_ + "/t");
    sample->set_packets(100 + sent_ % 7);
    sample->set_bytes(100'000);
    auto* latency = sample->mutable_latency();
    latency->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
    for (uint32_t i = 0; i < kBuckets; ++i) {
      latency->add_index(600 + 3 * i);
      latency->add_count(1 + (sent_ + i) % 5);
    }
    {
      const std::lock_guard lock(mutex_);
      for (const auto& experiment : active_) {
        auto* fault = sample->add_faults();
        fault->set_experiment_id(experiment);
        fault->set_matched(100 * sent_);
        fault->set_delayed(100 * sent_);
        fault->set_delays_measured(100 * sent_);
        fault->set_delay_given_ns(100 * sent_ * 10'000'000);
        fault->set_delay_asked_ns(100 * sent_ * 10'000'000);
      }
    }
    batch->set_timestamp_ns(UnixNowNs());
    Send(std::move(request));
  }

  bool leased() const { return leased_; }
  uint64_t sent() const { return sent_; }
  bool broken() const { return done_; }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_grant()) leased_ = true;
    if (response_.has_desired()) Answer(response_.desired());
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

  void Answer(const chaos::v1::DesiredState& desired) {
    ConnectRequest request;
    auto* reports = request.mutable_reports();
    reports->set_incarnation(1);
    *reports->mutable_version() = desired.version();
    {
      const std::lock_guard lock(mutex_);
      active_.clear();
      for (const auto& fault : desired.faults()) {
        active_.push_back(fault.experiment_id());
        auto* report = reports->add_reports();
        report->set_experiment_id(fault.experiment_id());
        report->set_fault_index(fault.fault_index());
        report->set_target_id(fault.target_id());
        report->set_phase(chaos::v1::TARGET_PHASE_ACTIVE);
      }
    }
    Send(std::move(request));
  }

  const std::string id_;
  const std::unique_ptr<chaos::v1::AgentService::Stub> stub_;
  grpc::ClientContext context_;
  ConnectResponse response_;
  std::atomic<bool> leased_{false};
  std::atomic<uint64_t> sent_{0};
  uint64_t renew_ns_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> active_;     // experiments
  std::deque<ConnectRequest> waiting_;  // the first is being written
  std::atomic<bool> done_{false};
};

MetricAgents::MetricAgents(int count, double rate_hz, const std::vector<std::string>& addresses,
                           const rpc::TlsFiles& tls)
    : rate_hz_(rate_hz) {
  for (int i = 0; i < count; ++i) {
    agents_.push_back(
        std::make_unique<Agent>(i, addresses[static_cast<size_t>(i) % addresses.size()], tls));
  }
  thread_ = std::thread([this] { Run(); });
}

MetricAgents::~MetricAgents() {
  ending_ = true;
  thread_.join();
}

std::string MetricAgents::AgentId(int agent) { return fmt::format("load-{}", agent); }

int MetricAgents::ready() const {
  int ready = 0;
  for (const auto& agent : agents_) ready += agent->leased();
  return ready;
}

int MetricAgents::broken() const {
  int broken = 0;
  for (const auto& agent : agents_) broken += agent->broken();
  return broken;
}

uint64_t MetricAgents::sent(int agent) const { return agents_[static_cast<size_t>(agent)]->sent(); }

void MetricAgents::Run() {
  const auto interval_ns = static_cast<uint64_t>(1e9 / rate_hz_);
  const uint64_t begin_ns = MonotonicNowNs();
  for (uint64_t turn = 0; !ending_; ++turn) {
    for (size_t i = 0; i < agents_.size() && !ending_; ++i) {
      const uint64_t due_ns = begin_ns + turn * interval_ns + i * interval_ns / agents_.size();
      const uint64_t now_ns = MonotonicNowNs();
      if (now_ns < due_ns) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(due_ns - now_ns));
      }
      agents_[i]->Renew(now_ns);
      if (measuring_) agents_[i]->SendBatch(interval_ns);
    }
  }
}

}  // namespace faultline::bench
