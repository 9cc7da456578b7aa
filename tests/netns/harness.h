// For tests with real packets: the network driver on two namespaces that each test makes for
// itself.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fault_delays.h"
#include "bpf/fd.h"
#include "bpf/netns.h"
#include "faults/driver.h"
#include "faults/network/driver.h"
#include "netns/network.h"
#include "netns/process.h"
#include "network/v1/parameters.pb.h"

namespace faultline::netns_test {

class Sink;

// Somebody else's filter, as the bytecode of tc's: classic BPF that matches every packet.
inline constexpr char kPassAll[] = "1,6 0 0 4294967295";

// An undo journal in memory.
class MemoryUndoLog : public faults::UndoLog {
 public:
  struct Record_ {
    std::string kind;
    std::vector<std::string> arguments;
  };
  StatusOr<uint64_t> Record(const std::string& kind,
                            const std::vector<std::string>& arguments) override;
  void Erase(uint64_t handle) override { records_.erase(handle); }
  void Leave(uint64_t handle, const Status& why) override {
    ADD_FAILURE() << "record " << handle << " could not be undone: " << why;
  }
  bool IsLeft(uint64_t) const override { return false; }
  std::optional<Left> Reclaim(
      const std::string&, const std::function<bool(const std::vector<std::string>&)>&) override {
    return std::nullopt;
  }
  const std::map<uint64_t, Record_>& records() const { return records_; }

 private:
  std::map<uint64_t, Record_> records_;
  uint64_t last_ = 0;
};

// Executes the records, the last made first, as the guardian does; each has to succeed.
void UndoAll(const std::map<uint64_t, MemoryUndoLog::Record_>& records);

// The reason why tests with real packets cannot run here; none when they can.
std::optional<std::string> WhyNot();

// A driver on the two namespaces, with leases that hold.
class DriverTest : public testing::Test {
 protected:
  // What the driver is told is Faultline's own TCP port, unless a test says others.
  static constexpr uint16_t kOwnPort = 7400;

  void SetUp() override;
  // Every test ends so: the driver goes, and nothing of Faultline is in the two namespaces, in the
  // journal, or open in this process. Whoever overrides it calls it last.
  void TearDown() override;
  // Instead of SetUp: delays wait in that lane, "tap" or "fq". Skips where the kernel has none
  // such.
  void SetUpWithLane(const std::string& lane);

  // (Re)makes the driver; the lease page then holds for an hour.
  void MakeDriver(const network::DriverOptions& options = {});
  void HoldLeases();

  // A target called "t" in the server's namespace.
  chaos::v1::Target ServerTarget(const std::vector<uint32_t>& ports = {}) const;
  chaos::v1::Target ClientTarget(const std::vector<uint32_t>& ports = {}) const;
  void SetTarget(const chaos::v1::Target& target);
  // Shows the target as the agent does, again and again, until that holds: false if it never does.
  bool LookUntil(const chaos::v1::Target& target, const std::function<bool()>& holds);

  // After the driver is gone, `ip`, `tc` and `bpftool` must show what they showed before. For tests
  // that change nothing there themselves.
  void ExpectNothingLeft(const std::string& before);

  static ::network::v1::NetworkLatency Latency(
      double delay_ms, ::network::v1::Direction direction = ::network::v1::DIRECTION_EGRESS);
  static ::network::v1::NetworkLoss Loss(
      double percent, ::network::v1::Direction direction = ::network::v1::DIRECTION_EGRESS);
  // Arms fault number `index` of experiment "e" on target "t", for an hour.
  Status TryArm(const google::protobuf::Message& config, unsigned index = 0, uint64_t seed = 7);
  void Arm(const google::protobuf::Message& config, unsigned index = 0, uint64_t seed = 7);
  // The same from a kind's name and parameters, as users give them.
  Status TryArmKind(const std::string& kind, const std::map<std::string, std::string>& parameters,
                    unsigned index = 0, uint64_t seed = 7);
  void ArmKind(const std::string& kind, const std::map<std::string, std::string>& parameters,
               unsigned index = 0, uint64_t seed = 7);
  void Disarm(unsigned index = 0);
  faults::FaultKey Key(unsigned index = 0) const {
    if (apart_) return {fmt::format("e{}", index), 0, "t"};
    return {"e", index, "t"};
  }

  chaos::v1::TargetSample Sample();
  chaos::v1::FaultCounters Counters(unsigned index = 0);
  // The same once no packet is on its way through the programs: they count one thing after another.
  chaos::v1::FaultCounters SettledCounters(unsigned index = 0);

  // The same once that holds, or has not for kPatience.
  chaos::v1::FaultCounters CountersOnce(
      const std::function<bool(const chaos::v1::FaultCounters&)>& holds);
  // A fault's count of something of TCP's: so many, or more by what the two kernels have sent again
  // on their own so far, as they do when a machine stands still. To be made after the count was
  // read.
  testing::Matcher<uint64_t> OrSentAgain(uint64_t count) const;

  // What has come to the sink once the driver holds nothing any more, at most so many.
  std::vector<std::string> TakeAll(Sink* sink, size_t most);

  // What has been seen of the target's connections, once nothing more is.
  chaos::v1::TrafficDetail SettledTraffic();

  Status TryArmAny(const google::protobuf::Any& config, unsigned index, uint64_t seed);

  std::vector<uint16_t> own_ports_ = {kOwnPort};  // what MakeDriver says is protected
  faults::GoOn go_on_ = faults::kGoOnToTheEnd;    // whether there is time for more targets
  bool apart_ = false;                            // each fault is an experiment of its own
  FaultDelaysList delays_;                        // of all samples taken so far
  std::unique_ptr<Network> network_;
  MemoryUndoLog undo_;
  faults::UndoLog* journal_ = &undo_;  // the driver's
  faults::LeasePage* lease_ = nullptr;
  std::unique_ptr<faults::Driver> driver_;
};

}  // namespace faultline::netns_test
