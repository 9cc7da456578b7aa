#include "tests/cluster/test_agent.h"

#include <google/protobuf/util/time_util.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/clock.h"
#include "rpc/credentials.h"

namespace faultline::cluster {

using chaos::v1::ConnectRequest;
using chaos::v1::ConnectResponse;

TestAgent::TestAgent(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

TestAgent::~TestAgent() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    if (context_ != nullptr) context_->TryCancel();
    ended_.notify_all();
  }
  thread_.join();
}

chaos::v1::Agent TestAgent::Self() const {
  chaos::v1::Agent agent;
  agent.set_agent_id(options_.id);
  agent.set_hostname("test");
  agent.set_incarnation(options_.incarnation);
  for (const char* name : {"tc", "tun"}) {
    auto* capability = agent.add_capabilities();
    capability->set_name(name);
    capability->set_available(options_.can_delay);
    if (!options_.can_delay) capability->set_reason("this kernel has no TC programs");
  }
  for (const std::string& id : target_ids()) {
    auto* target = agent.add_targets();
    target->set_target_id(id);
    target->set_name(id.substr(options_.id.size() + 1));
    (*target->mutable_labels())["service"] = "checkout";
    (*target->mutable_labels())["version"] = "v1";
  }
  return agent;
}

std::vector<std::string> TestAgent::target_ids() const {
  std::vector<std::string> ids = {target_id()};
  for (int i = 2; i <= options_.targets; ++i) ids.push_back(fmt::format("{}-{}", target_id(), i));
  return ids;
}

void TestAgent::Run() {
  for (size_t turn = 0; !ending_; ++turn) {
    Serve(options_.controllers[turn % options_.controllers.size()]);
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, std::chrono::milliseconds(50), [this] { return ending_.load(); });
  }
}

void TestAgent::Serve(const std::string& address) {
  const auto credentials = rpc::ChannelCredentials(options_.tls, address);
  if (!credentials.ok()) {
    ADD_FAILURE() << credentials.status();
    return;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub =
      chaos::v1::AgentService::NewStub(grpc::CreateCustomChannel(address, *credentials, arguments));
  grpc::ClientContext context;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    context_ = &context;
  }
  const auto stream = stub->Connect(&context);
  ConnectRequest hello;
  *hello.mutable_hello()->mutable_agent() = Self();
  std::thread renewals;
  if (stream->Write(hello)) {
    {
      const std::lock_guard lock(write_mutex_);
      stream_ = stream.get();
    }
    renewals = std::thread([this, &stream] { Renew(stream.get()); });
    ConnectResponse response;
    while (stream->Read(&response)) Take(response);
  }
  connected_ = false;
  {
    const std::lock_guard lock(write_mutex_);
    stream_ = nullptr;
  }
  if (renewals.joinable()) renewals.join();
  stream->Finish();
  const std::lock_guard lock(mutex_);
  context_ = nullptr;
}

void TestAgent::Renew(Stream* stream) {
  const uint64_t begun_ns = BoottimeNowNs();
  while (true) {
    if (!options_.silent) {
      ConnectRequest request;
      request.mutable_renewal()->set_sent_boottime_ns(BoottimeNowNs());
      const std::lock_guard lock(write_mutex_);
      if (stream_ != stream || !stream->Write(request)) return;
    }
    std::this_thread::sleep_for(options_.renew_every);
    if (options_.leave_after.count() > 0) LeaveWhenSilent(begun_ns);
    const std::lock_guard lock(write_mutex_);
    if (stream_ != stream) return;
  }
}

void TestAgent::LeaveWhenSilent(uint64_t begun_ns) {
  const std::lock_guard lock(mutex_);
  const auto patience_ns =
      static_cast<uint64_t>(std::chrono::nanoseconds(options_.leave_after).count());
  const bool silent = BoottimeNowNs() - std::max(begun_ns, last_grant_ns_) > patience_ns;
  if (silent && context_ != nullptr) context_->TryCancel();
}

void TestAgent::Take(const ConnectResponse& response) {
  if (response.has_welcome()) {
    connected_ = true;
    const std::lock_guard lock(mutex_);
    cluster_id_ = response.welcome().cluster_id();
  } else if (response.has_grant()) {
    const std::lock_guard lock(mutex_);
    ++grants_;
    last_grant_ns_ = BoottimeNowNs();
    last_grant_ = response.grant();
    if (last_grant_ns_ > lease_end_ns_) ++lapses_;
    // Counted from when the renewal was sent.
    lease_end_ns_ = last_grant_.sent_boottime_ns() +
                    google::protobuf::util::TimeUtil::DurationToNanoseconds(last_grant_.lease());
  } else if (response.has_desired()) {
    Report(response.desired());
  }
}

// Everything desired is active at once; everything else that was is reverted.
void TestAgent::Report(const chaos::v1::DesiredState& desired) {
  ConnectRequest request;
  {
    const std::lock_guard lock(mutex_);
    desired_ = desired;
    for (auto& report : *reports_.mutable_reports()) {
      report.set_phase(chaos::v1::TARGET_PHASE_REVERTED);
    }
    for (const auto& fault : desired.faults()) {
      chaos::v1::FaultReport* report = nullptr;
      for (auto& known : *reports_.mutable_reports()) {
        const bool same = known.experiment_id() == fault.experiment_id() &&
                          known.target_id() == fault.target_id();
        if (same) report = &known;
      }
      if (report == nullptr) report = reports_.add_reports();
      report->set_experiment_id(fault.experiment_id());
      report->set_fault_index(fault.fault_index());
      report->set_target_id(fault.target_id());
      report->set_phase(chaos::v1::TARGET_PHASE_ACTIVE);
    }
    reports_.set_incarnation(options_.incarnation);
    *reports_.mutable_version() = desired.version();
    *request.mutable_reports() = reports_;
  }
  if (!options_.silent) Write(request);
}

bool TestAgent::Write(const ConnectRequest& request) {
  const std::lock_guard lock(write_mutex_);
  return stream_ != nullptr && stream_->Write(request);
}

bool TestAgent::SendMetrics(uint64_t sequence, const std::string& experiment_id, uint32_t bucket,
                            uint64_t count) {
  chaos::v1::MetricsBatch batch;
  batch.mutable_position()->set_sequence(sequence);
  batch.set_timestamp_ns(static_cast<int64_t>(sequence * 100 * kNanosPerMilli));
  batch.set_interval_ns(100 * kNanosPerMilli);
  auto* sample = batch.add_samples();
  sample->set_target_id(target_id());
  sample->mutable_latency()->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  sample->mutable_latency()->add_index(bucket);
  sample->mutable_latency()->add_count(count);
  auto* fault = sample->add_faults();
  fault->set_experiment_id(experiment_id);
  fault->set_dropped(sequence);
  return SendBatch(std::move(batch));
}

bool TestAgent::SendBatch(chaos::v1::MetricsBatch batch) {
  ConnectRequest request;
  *request.mutable_metrics() = std::move(batch);
  request.mutable_metrics()->mutable_position()->set_agent_id(options_.id);
  request.mutable_metrics()->mutable_position()->set_incarnation(options_.incarnation);
  return Write(request);
}

size_t TestAgent::grants() const {
  const std::lock_guard lock(mutex_);
  return grants_;
}
size_t TestAgent::lapses() const {
  const std::lock_guard lock(mutex_);
  return lapses_;
}
uint64_t TestAgent::last_grant_ns() const {
  const std::lock_guard lock(mutex_);
  return last_grant_ns_;
}
uint64_t TestAgent::lease_end_ns() const {
  const std::lock_guard lock(mutex_);
  return lease_end_ns_;
}
chaos::v1::LeaseGrant TestAgent::last_grant() const {
  const std::lock_guard lock(mutex_);
  return last_grant_;
}
size_t TestAgent::desired() const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(desired_.faults_size());
}
chaos::v1::DesiredState TestAgent::last_desired() const {
  const std::lock_guard lock(mutex_);
  return desired_;
}
std::string TestAgent::cluster_id() const {
  const std::lock_guard lock(mutex_);
  return cluster_id_;
}

}  // namespace faultline::cluster
