// metrics_rate_hz as configured: what an agent's batches are at the slowest and at the fastest.
#include <gmock/gmock.h>

#include <fstream>

#include "base/clock.h"
#include "e2e/agent_fixture.h"

namespace faultline::e2e {
namespace {

constexpr char kCounted[] = "e2e/counted";

class AgentRate : public AgentFixture, public testing::WithParamInterface<unsigned> {
 protected:
  // With a target whose packets are those of the service's IPv4 address: of no other kernel's doing
  // than what the test sends.
  void SetUp() override {
    AgentFixture::SetUp();
    if (!net_) return;
    std::ofstream(config_, std::ios::app) << fmt::format(
        "- name: counted\n"
        "  labels: {{service: counted}}\n"
        "  interface: svc0\n"
        "  netns: {}\n"
        "  addresses: [10.77.0.1]\n"
        "metrics_rate_hz: {}\n",
        net_->service(), GetParam());
  }
  uint64_t period_ns() const { return kNanosPerSecond / GetParam(); }

  // The next one that is new: an agent that has left the node, as on a busy machine, and comes back
  // says again what it keeps.
  const chaos::v1::MetricsBatch& HearBatch() {
    const uint64_t last = batches_.empty() ? 0 : batches_.back().position().sequence();
    const auto heard = node_->Hear([this, last](const auto& request) {
      again_ |= request.has_hello();
      return request.has_metrics() && (!again_ || request.metrics().position().sequence() > last);
    });
    return batches_.emplace_back(heard.metrics());
  }
  // Packets of the target "counted" in all of them.
  uint64_t Packets() const {
    uint64_t packets = 0;
    for (const auto& batch : batches_) {
      for (const auto& sample : batch.samples()) {
        if (sample.target_id() == kCounted) packets += sample.packets();
      }
    }
    return packets;
  }

  std::vector<chaos::v1::MetricsBatch> batches_;
  bool again_ = false;  // the agent has come back
};

TEST_P(AgentRate, MakesSoManyBatchesAndCountsEachPacketOnce) {
  stream_.reset();  // the two ends know each other's link addresses by now
  StartAgent();
  UdpStream stream(*net_, 1'000);
  HearBatch();  // may be the agent's first, which is shorter
  uint64_t shortest_ns = UINT64_MAX;
  while (batches_.size() < 3 * GetParam() || shortest_ns >= 2 * period_ns()) {
    shortest_ns = std::min(shortest_ns, HearBatch().interval_ns());
  }
  stream.Stop();
  const int64_t stopped_ns = UnixNowNs();
  // What was read before, perhaps not heard yet, and the first reading after all was sent.
  const auto began_ns = [](const chaos::v1::MetricsBatch& batch) {
    return batch.timestamp_ns() - static_cast<int64_t>(batch.interval_ns());
  };
  while (began_ns(HearBatch()) < stopped_ns) {
  }
  EXPECT_EQ(Packets(), stream.sent());
  for (size_t i = 1; i < batches_.size(); ++i) {
    SCOPED_TRACE(batches_[i].ShortDebugString());
    EXPECT_EQ(batches_[i].position().sequence(), batches_[i - 1].position().sequence() + 1);
    EXPECT_EQ(batches_[i].position().incarnation(), batches_[0].position().incarnation());
    // A late reading is not made up for by the next, which keeps its distance.
    EXPECT_GE(batches_[i].interval_ns(), period_ns() / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Hz, AgentRate, testing::Values(1u, 50u),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace faultline::e2e
