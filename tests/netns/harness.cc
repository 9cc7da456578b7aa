#include "netns/harness.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>

#include "base/clock.h"
#include "base/traffic.h"
#include "bpf/probe.h"
#include "faults/registry.h"
#include "faults/undo.h"
#include "netns/leftovers.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr uint64_t kHourNs = 3600 * kNanosPerSecond;

}  // namespace

StatusOr<uint64_t> MemoryUndoLog::Record(const std::string& kind,
                                         const std::vector<std::string>& arguments) {
  records_[++last_] = {kind, arguments};
  return last_;
}

void UndoAll(const std::map<uint64_t, MemoryUndoLog::Record_>& records) {
  for (auto it = records.rbegin(); it != records.rend(); ++it) {
    const Status status = faults::Undo(it->second.kind, it->second.arguments);
    EXPECT_TRUE(status.ok()) << status;
  }
}

std::optional<std::string> WhyNot() {
  for (const Status& status : {bpf::RequireRoot(), bpf::RequireFeature("btf"),
                               bpf::RequireFeature("tc"), bpf::RequireFeature("tun")}) {
    if (!status.ok()) return ToString(status.message());
  }
  return std::nullopt;
}

void DriverTest::SetUp() {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  network_ = std::make_unique<Network>();
  MakeDriver();
}

void DriverTest::TearDown() {
  driver_.reset();
  EXPECT_TRUE(undo_.records().empty());
  EXPECT_EQ(OpenBpf(), "");
  if (!network_) return;
  for (const std::string& netns : {network_->server_netns(), network_->client_netns()}) {
    EXPECT_EQ(FaultlineIn(netns), "") << netns;
  }
}

void DriverTest::SetUpWithLane(const std::string& lane) {
  const Status has = lane == "fq" ? bpf::RequireFeature("fq") : absl::OkStatus();
  if (!has.ok() && !WhyNot()) GTEST_SKIP() << ToString(has.message());
  DriverTest::SetUp();
  if (driver_) MakeDriver({.lane = lane});
}

void DriverTest::MakeDriver(const network::DriverOptions& options) {
  driver_.reset();
  faults::DriverContext context;
  context.undo = journal_;
  context.own_ports = own_ports_;
  context.go_on = [this](uint64_t begun_ns) { return go_on_(begun_ns); };
  context.on_lease_page = [this](int, faults::LeasePage* page) { lease_ = page; };
  auto made = network::MakeNetworkDriver(context, options);
  ASSERT_TRUE(made.ok()) << made.status();
  driver_ = std::move(*made);
  HoldLeases();
}

void DriverTest::HoldLeases() {
  lease_->heartbeat_until_ns = BoottimeNowNs() + kHourNs;
  lease_->control_until_ns = BoottimeNowNs() + kHourNs;
}

chaos::v1::Target DriverTest::ServerTarget(const std::vector<uint32_t>& ports) const {
  chaos::v1::Target target;
  target.set_target_id("t");
  target.set_interface(Network::kInterface);
  target.set_netns(network_->server_netns());
  for (const uint32_t port : ports) target.add_ports(port);
  return target;
}

chaos::v1::Target DriverTest::ClientTarget(const std::vector<uint32_t>& ports) const {
  chaos::v1::Target target = ServerTarget(ports);
  target.set_netns(network_->client_netns());
  return target;
}

void DriverTest::SetTarget(const chaos::v1::Target& target) {
  for (const Status& status : driver_->SetTargets({target})) ASSERT_TRUE(status.ok()) << status;
}

bool DriverTest::LookUntil(const chaos::v1::Target& target, const std::function<bool()>& holds) {
  constexpr int kLooks = 300;
  for (int look = 0; look < kLooks; ++look) {
    driver_->SetTargets({target});
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

::network::v1::NetworkLatency DriverTest::Latency(double delay_ms,
                                                  ::network::v1::Direction direction) {
  ::network::v1::NetworkLatency latency;
  latency.set_delay_ms(delay_ms);
  latency.mutable_filter()->set_direction(direction);
  return latency;
}

::network::v1::NetworkLoss DriverTest::Loss(double percent, ::network::v1::Direction direction) {
  ::network::v1::NetworkLoss loss;
  loss.set_loss_percent(percent);
  loss.mutable_filter()->set_direction(direction);
  return loss;
}

void DriverTest::ExpectNothingLeft(const std::string& before) {
  driver_.reset();
  EXPECT_EQ(network_->KernelState(network_->server_netns()), before);
  EXPECT_TRUE(undo_.records().empty());
}

Status DriverTest::TryArm(const google::protobuf::Message& config, unsigned index, uint64_t seed) {
  google::protobuf::Any any;
  any.PackFrom(config);
  return TryArmAny(any, index, seed);
}

Status DriverTest::TryArmAny(const google::protobuf::Any& config, unsigned index, uint64_t seed) {
  faults::ArmRequest request;
  request.key = Key(index);
  request.config = config;
  request.seed = seed;
  request.deadline_boottime_ns = BoottimeNowNs() + kHourNs;
  return driver_->Arm(request);
}

Status DriverTest::TryArmKind(const std::string& kind,
                              const std::map<std::string, std::string>& parameters, unsigned index,
                              uint64_t seed) {
  FL_ASSIGN_OR_RETURN(const auto config, faults::ParseParameters(kind, parameters));
  return TryArmAny(config, index, seed);
}

void DriverTest::ArmKind(const std::string& kind,
                         const std::map<std::string, std::string>& parameters, unsigned index,
                         uint64_t seed) {
  const Status status = TryArmKind(kind, parameters, index, seed);
  ASSERT_TRUE(status.ok()) << status;
}

void DriverTest::Arm(const google::protobuf::Message& config, unsigned index, uint64_t seed) {
  const Status status = TryArm(config, index, seed);
  ASSERT_TRUE(status.ok()) << status;
}

void DriverTest::Disarm(unsigned index) {
  const Status status = driver_->Disarm(Key(index));
  ASSERT_TRUE(status.ok()) << status;
}

chaos::v1::TargetSample DriverTest::Sample() {
  std::vector<chaos::v1::TargetSample> samples;
  driver_->ReadSamples(&samples);
  EXPECT_EQ(samples.size(), 1u);
  if (samples.empty()) return {};
  MergeDelays(samples[0].fault_delays(), &delays_);
  return samples[0];
}

chaos::v1::FaultCounters DriverTest::Counters(unsigned index) {
  const chaos::v1::TargetSample sample = Sample();
  const faults::FaultKey key = Key(index);
  std::optional<chaos::v1::FaultCounters> newest;  // behind those of one that was there before
  for (const auto& counters : sample.faults()) {
    if (counters.experiment_id() == key.experiment_id && counters.fault_index() == key.fault_index)
      newest = counters;
  }
  EXPECT_TRUE(newest) << "no counters of fault " << index;
  return newest.value_or(chaos::v1::FaultCounters());
}

chaos::v1::FaultCounters DriverTest::SettledCounters(unsigned index) {
  constexpr int kAttempts = 40;
  auto counters = Counters(index);
  for (int i = 0; i < kAttempts; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto again = Counters(index);
    const bool same = again.SerializeAsString() == counters.SerializeAsString();
    counters = again;
    // What is still held comes later than a look.
    if (same && again.delays_measured() + again.lane_dropped() >= again.delayed()) break;
  }
  return counters;
}

chaos::v1::FaultCounters DriverTest::CountersOnce(
    const std::function<bool(const chaos::v1::FaultCounters&)>& holds) {
  (void)Eventually([&] { return holds(Counters()); });
  return SettledCounters();
}

testing::Matcher<uint64_t> DriverTest::OrSentAgain(uint64_t count) const {
  uint64_t most = count;
  for (const std::string& netns : {network_->server_netns(), network_->client_netns()}) {
    most += KernelCount(netns, "TcpRetransSegs");
  }
  return testing::AllOf(testing::Ge(count), testing::Le(most));
}

std::vector<std::string> DriverTest::TakeAll(Sink* sink, size_t most) {
  constexpr std::chrono::milliseconds kQuiet{300};
  std::vector<std::string> all;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (bool held = true; held && all.size() < most && std::chrono::steady_clock::now() < end;) {
    (void)Sample();  // takes what still waits before the lane into it
    held = driver_->Load().held_packets > 0;
    std::ranges::move(sink->Take(most - all.size(), kQuiet), std::back_inserter(all));
  }
  return all;
}

chaos::v1::TrafficDetail DriverTest::SettledTraffic() {
  chaos::v1::TrafficDetail sum;
  for (int attempt = 0; attempt < 40; ++attempt) {
    const auto sample = Sample();
    MergeTraffic(sample.traffic(), &sum);
    if (!sample.has_traffic() && !IsEmpty(sum)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return sum;
}

}  // namespace faultline::netns_test
