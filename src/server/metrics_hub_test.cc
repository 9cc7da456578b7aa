#include "server/metrics_hub.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "server/metrics_testing.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;
using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;

std::unique_ptr<MetricsHub::Relay> RelayOf(MetricsHub* hub,
                                           const AgentSet& agents = {.all = true}) {
  auto relay = hub->SubscribeRelay([] {});
  relay->Want(agents);
  return relay;
}

TEST(MetricsHub, GivesEachSubscriberWhatItAskedFor) {
  MetricsHub hub;
  int woken = 0;
  const auto mine = hub.Subscribe(Of("exp-1"), [&] { ++woken; });
  const auto other = hub.Subscribe(Of("exp-2"), [] {});
  MetricsHub::Filter observing;
  observing.observes = [](const std::string& target) { return target == "a/x"; };
  const auto observer = hub.Subscribe(observing, [] {});
  EXPECT_TRUE(hub.Ingest(Batch(1), false));
  EXPECT_EQ(woken, 1);
  const auto updates = Drain(*mine);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].experiment_id(), "exp-1");
  EXPECT_EQ(updates[0].target_id(), "a/x");
  EXPECT_EQ(updates[0].packet_drops(), 1);
  EXPECT_EQ(updates[0].request_count(), 10u);
  EXPECT_TRUE(updates[0].measurable());
  EXPECT_FALSE(updates[0].has_latency());
  EXPECT_EQ(updates[0].merged_batches(), 0u);
  EXPECT_TRUE(Drain(*other).empty());
  ASSERT_EQ(Drain(*observer).size(), 1u);
}

TEST(MetricsHub, MergesForWhoIsSlow) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.include_histogram = true;
  const auto slow = hub.Subscribe(filter, [] {});
  for (uint64_t sequence = 1; sequence <= 4; ++sequence) hub.Ingest(Batch(sequence), false);
  const auto updates = Drain(*slow);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].merged_batches(), 3u);
  EXPECT_EQ(updates[0].packets(), 400u);
  EXPECT_EQ(updates[0].latency().count(0), 40u);
  EXPECT_EQ(updates[0].position().sequence(), 4u);
  EXPECT_EQ(updates[0].packet_drops(), 4);
}

TEST(MetricsHub, MergesForWhoWantsALowerRate) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.rate_hz = 2;
  const auto subscription = hub.Subscribe(filter, [] {});
  std::vector<MetricUpdate> updates;
  uint64_t batches = 0;
  for (uint64_t sequence = 1; sequence <= 51; ++sequence) {
    hub.Ingest(Batch(sequence), false);
    for (const auto& update : Drain(*subscription)) {
      batches += update.merged_batches() + 1;
      updates.push_back(update);
    }
  }
  EXPECT_EQ(updates.size(), 11u);
  EXPECT_EQ(batches, 51u);
}

TEST(MetricsHub, IgnoresWhatItHasAlready) {
  MetricsHub hub;
  EXPECT_TRUE(hub.Ingest(Batch(5), false));
  EXPECT_FALSE(hub.Ingest(Batch(5), true));
  EXPECT_FALSE(hub.Ingest(Batch(4), false));
  EXPECT_TRUE(hub.Ingest(Batch(6), false));
}

TEST(MetricsHub, RefusesWhatNoAgentCanMeasureWhicheverWayItComes) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  const auto relay = RelayOf(&hub);
  for (const bool relayed : {false, true}) {
    auto batch = Batch(1);
    while (batch.samples(0).fault_delays_size() < 100'000) {
      batch.mutable_samples(0)->add_fault_delays();
    }
    EXPECT_FALSE(hub.Ingest(batch, relayed));
  }
  EXPECT_EQ(hub.meters().refused.value(), 2u);
  EXPECT_TRUE(Drain(*subscription).empty());
  EXPECT_EQ(relay->Next(), nullptr);
  EXPECT_TRUE(hub.Ingest(Batch(1), false));
}

TEST(MetricsHub, ResumesWithoutAHoleAndWithoutARepeat) {
  MetricsHub hub;
  for (uint64_t sequence = 1; sequence <= 8; ++sequence) hub.Ingest(Batch(sequence), false);
  auto filter = Of("exp-1");
  filter.rate_hz = 50;
  filter.resume[{"a", 1}] = 5;
  int woken = 0;
  const auto resumed = hub.Subscribe(filter, [&] { ++woken; });
  EXPECT_EQ(woken, 1);
  const auto updates = Drain(*resumed);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].position().sequence(), 8u);
  EXPECT_EQ(updates[0].merged_batches(), 2u);
  EXPECT_EQ(updates[0].packets(), 300u);
}

TEST(MetricsHub, RelaysItsOwnBatchesWithHistoryAndNeverWhatWasRelayed) {
  MetricsHub hub;
  hub.Ingest(Batch(1), false);
  const auto relay = RelayOf(&hub);
  hub.Ingest(Batch(2), false);
  auto elsewhere = Batch(9);
  elsewhere.mutable_position()->set_agent_id("b");
  hub.Ingest(elsewhere, true);
  ASSERT_EQ(relay->Next()->position().sequence(), 1u);
  ASSERT_EQ(relay->Next()->position().sequence(), 2u);
  EXPECT_EQ(relay->Next(), nullptr);
}

TEST(MetricsHub, RelaysOnceWhatAnAgentSendsAgainAfterItsNodeDied) {
  MetricsHub hub;
  const auto relay = RelayOf(&hub);
  // By the agent's first node, which may have died before it told a third one.
  for (uint64_t sequence = 1; sequence <= 2; ++sequence) hub.Ingest(Batch(sequence), true);
  EXPECT_EQ(relay->Next(), nullptr);
  const auto late = RelayOf(&hub);
  for (int stream = 0; stream < 2; ++stream) {
    for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
      EXPECT_EQ(hub.Ingest(Batch(sequence), false), stream == 0 && sequence == 3);
    }
  }
  for (const auto& to : {relay.get(), late.get()}) {
    for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
      const auto batch = to->Next();
      ASSERT_NE(batch, nullptr);
      EXPECT_EQ(batch->position().sequence(), sequence);
    }
    EXPECT_EQ(to->Next(), nullptr);
  }
}

TEST(MetricsHub, ARelayThatIsNotReadHoldsABoundedNumberOfBytesAndTheRestIsCounted) {
  MetricsHub hub;
  const auto relay = RelayOf(&hub);
  MetricsBatch large = Batch(0);
  large.mutable_samples(0)->set_not_measurable_reason(std::string(100'000, 'x'));
  constexpr uint64_t kBatches = 400;
  for (uint64_t sequence = 1; sequence <= kBatches; ++sequence) {
    large.mutable_position()->set_sequence(sequence);
    hub.Ingest(large, false);
  }
  uint64_t kept = 0, bytes = 0, newest = 0;
  while (const auto batch = relay->Next()) {
    ++kept;
    bytes += batch->ByteSizeLong();
    newest = batch->position().sequence();
  }
  EXPECT_LE(bytes, MetricsHub::kRelayBytes);
  EXPECT_GE(bytes, MetricsHub::kRelayBytes * 9 / 10);
  EXPECT_EQ(newest, kBatches);
  EXPECT_EQ(hub.meters().relay_dropped.value(), kBatches - kept);
}

TEST(MetricsHub, ARelayHasTheAgentsThatItWantsFromWhenItWantsThem) {
  MetricsHub hub;
  const auto measure = [&](const std::string& agent, uint64_t sequence) {
    auto batch = Batch(sequence);
    batch.mutable_position()->set_agent_id(agent);
    hub.Ingest(batch, false);
  };
  const auto relay = hub.SubscribeRelay([] {});
  const auto given = [&] {
    std::vector<std::string> batches;
    while (const auto batch = relay->Next()) {
      const auto& position = batch->position();
      batches.push_back(fmt::format("{} {}", position.agent_id(), position.sequence()));
    }
    return batches;
  };
  using Given = std::vector<std::string>;
  for (const char* agent : {"a", "b"}) measure(agent, 1);
  EXPECT_EQ(given(), Given());
  relay->Want({.ids = {"b", "c"}});
  for (const char* agent : {"a", "b", "c"}) measure(agent, 2);
  EXPECT_EQ(given(), Given({"b 1", "b 2", "c 2"}));
  relay->Want({.ids = {"a", "b"}});
  for (const char* agent : {"a", "b", "c"}) measure(agent, 3);
  EXPECT_EQ(given(), Given({"a 1", "a 2", "a 3", "b 3"}));
  relay->Want({.all = true});
  EXPECT_EQ(given(), Given({"c 2", "c 3"}));
}

TEST(MetricsHub, TellsWhenWhatItsSubscribersWantChanges) {
  MetricsHub hub;
  std::vector<bool> wanted;
  hub.ObserveDemand([&] { wanted.push_back(!hub.demand().empty()); });
  auto first = hub.Subscribe(Of("exp-1"), [] {});
  auto second = hub.Subscribe(Of("exp-1"), [] {});
  first.reset();
  second.reset();
  EXPECT_EQ(wanted, (std::vector<bool>{true, false}));
  const auto third = hub.Subscribe(Of("exp-1"), [] {});
  const auto end = std::make_shared<MetricUpdate>();
  end->set_experiment_id("exp-1");
  third->End(end);
  EXPECT_EQ(wanted, (std::vector<bool>{true, false, true, false}));
}

TEST(MetricsHub, KnowsWhenAllThatWasMeasuredOfAnExperimentHasCome) {
  MetricsHub hub;
  const auto measure = [&hub](const std::string& agent, uint64_t sequence,
                              const std::string& experiment) {
    auto batch = Batch(sequence, 640, 10, experiment);
    batch.mutable_position()->set_agent_id(agent);
    hub.Ingest(batch, false);
  };
  measure("a", 1, "");
  measure("b", 1, "exp-1");
  const uint64_t ended = hub.ingested();
  const auto has_all = [&] { return hub.HasAllOf("exp-1", {"a", "b"}, ended); };
  EXPECT_FALSE(has_all());
  measure("a", 2, "exp-1");
  measure("b", 2, "exp-2");
  EXPECT_FALSE(has_all()) << "the fault's last counters";
  measure("a", 3, "");
  EXPECT_TRUE(has_all());
  EXPECT_FALSE(hub.HasAllOf("exp-1", {"a", "c"}, ended)) << "of which nothing has come";
}

TEST(MetricsHub, AJumpIsMissedOnlyWhereTheSourceWasFollowed) {
  MetricsHub hub;
  const AgentSet agents{.ids = {"a"}};
  hub.Follow(agents);
  hub.Ingest(Batch(1), true);
  hub.Ingest(Batch(4), true);
  EXPECT_EQ(hub.meters().missed.value(), 2u);
  hub.Follow({});
  hub.Follow(agents);
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  hub.Ingest(Batch(4), true);
  hub.Ingest(Batch(1'004), true);
  EXPECT_EQ(hub.meters().missed.value(), 2u);
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].missed_batches(), 0u);
  // Of the last second, not of what was before.
  EXPECT_EQ(updates[0].request_count(), 10u);
  EXPECT_EQ(updates[0].drops_per_second(), 0);
  hub.Ingest(Batch(1'007), true);
  EXPECT_EQ(hub.meters().missed.value(), 4u);
}

TEST(MetricsHub, AJumpIsMissedWhereTheAgentHasBeenHereAllAlong) {
  MetricsHub hub;
  hub.Ingest(Batch(1), false);
  hub.Follow({.ids = {"a"}});
  hub.Ingest(Batch(2), false);
  hub.Ingest(Batch(5), false);
  EXPECT_EQ(hub.meters().missed.value(), 2u);
}

}  // namespace
}  // namespace faultline::server
