// The C interface against real gRPC servers on loopback, inside this process.
#include <gmock/gmock.h>

#include "client/c_api_testing.h"
#include "rpc/status.h"

namespace faultline::client {
namespace {

using testing::ElementsAre;

TEST_F(CApi, CallsSpeakJson) {
  Connect();
  const Answer answer = Called(client, "ListExperiments", R"({"pageSize": 5})");
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.json, R"({"revision":"7"})");
}

TEST_F(CApi, ErrorsCarryReasonAndFields) {
  Connect();
  node.start_status = rpc::ToGrpc(FieldError("parameters.delay_ms", "-1", "0 to 60000 ms"));
  const Answer answer = Called(client, "StartExperiment", "{}");
  EXPECT_EQ(answer.code, static_cast<int>(StatusCode::kInvalidArgument));
  EXPECT_EQ(answer.reason, "INVALID_PARAMETER");
  EXPECT_THAT(answer.violations, ElementsAre("parameters.delay_ms|-1|0 to 60000 ms"));
  EXPECT_EQ(answer.json, "");
}

TEST_F(CApi, WhatIsNoMessageOrNoMethodIsToldWithoutTheServer) {
  Connect();
  EXPECT_EQ(Called(client, "ListExperiments", "{").reason, "MALFORMED_REQUEST");
  EXPECT_EQ(Called(client, "ListExperiments", R"({"page_sise": 1})").reason, "MALFORMED_REQUEST");
  EXPECT_EQ(Called(client, "FormatDisk", "{}").reason, "UNKNOWN_METHOD");
  EXPECT_EQ(node.lists, 0);
  fl_metrics* metrics = fl_metrics_open(client, "[]", 2);
  EXPECT_EQ(Next(metrics).reason, "MALFORMED_REQUEST");
  EXPECT_EQ(Next(metrics).reason, "MALFORMED_REQUEST") << "the end is told at every further call";
  fl_metrics_close(metrics);
}

TEST_F(CApi, AWrongAddressOpensNoClient) {
  fl_options options{};
  options.addresses = "host:port";
  std::promise<Answer> failed;
  EXPECT_EQ(fl_client_open(&options, &failed, Done), nullptr);
  const Answer answer = failed.get_future().get();
  EXPECT_EQ(answer.code, static_cast<int>(StatusCode::kInvalidArgument));
  ASSERT_EQ(answer.violations.size(), 1u);
  EXPECT_THAT(answer.violations[0], testing::StartsWith("address|host:port|host:port addresses"));
}

TEST_F(CApi, MetricsComeInOrderAsManyAsAskedFor) {
  Connect();
  node.last_sequence = 5;
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  std::vector<uint64_t> sequences;
  while (sequences.size() < 5) {
    const Answer answer = Next(metrics, 2);
    ASSERT_EQ(answer.code, 0) << answer.message;
    EXPECT_LE(answer.sequences.size(), 2u);
    sequences.insert(sequences.end(), answer.sequences.begin(), answer.sequences.end());
  }
  EXPECT_THAT(sequences, ElementsAre(1, 2, 3, 4, 5));
  fl_metrics_close(metrics);
}

TEST_F(CApi, WhatFaultsDidAndHowLongTheirPacketsWaitedComesWithEachUpdate) {
  for (uint32_t index = 0; index < 2; ++index) {
    auto& fault = *node.measured.add_faults();
    fault.set_fault_index(index);
    fault.set_matched(10 + index);
    fault.set_delays_measured(9);
    fault.set_link_busy_ns(8);
  }
  auto& delays = *node.measured.add_fault_delays();
  delays.set_experiment_id("exp-1");
  delays.set_fault_index(1);
  delays.set_packets(9);
  delays.set_p50_ms(100.5);
  delays.set_p99_ms(120.25);
  delays.set_no_room(3);
  node.last_sequence = 2;
  Connect();
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  std::vector<std::string> faults, waited;
  while (waited.size() < 2) {
    const Answer answer = Next(metrics);
    ASSERT_EQ(answer.code, 0) << answer.message;
    faults.insert(faults.end(), answer.faults.begin(), answer.faults.end());
    waited.insert(waited.end(), answer.delays.begin(), answer.delays.end());
  }
  EXPECT_THAT(faults, ElementsAre("0|10|9|8", "1|11|9|8", "0|10|9|8", "1|11|9|8"));
  EXPECT_THAT(waited, ElementsAre("exp-1|1|9|100.5|120.25|3", "exp-1|1|9|100.5|120.25|3"));
  fl_metrics_close(metrics);
}

TEST_F(CApi, NothingIsLostWhenNobodyAsksForLong) {
  Connect();
  node.last_sequence = 5'000;  // more than is read ahead
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  uint64_t expected = 0;
  while (expected < 5'000) {
    const Answer answer = Next(metrics, 64);
    ASSERT_EQ(answer.code, 0) << answer.message;
    for (const uint64_t sequence : answer.sequences) ASSERT_EQ(sequence, ++expected);
  }
  fl_metrics_close(metrics);
}

TEST_F(CApi, ABrokenStreamSaysWhereItGoesOn) {
  FakeNode other;
  node.last_sequence = 1;
  other.last_sequence = 2;
  client = Open(node.address() + "," + other.address());
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  EXPECT_THAT(Next(metrics).sequences, ElementsAre(1));
  node.Kill();
  const Answer interrupted = Next(metrics);
  EXPECT_EQ(interrupted.code, 0);
  EXPECT_EQ(interrupted.next_address, other.address());
  const Answer next = interrupted.sequences.empty() ? Next(metrics) : interrupted;
  EXPECT_THAT(next.sequences, ElementsAre(2));
  fl_metrics_close(metrics);
}

TEST_F(CApi, WhatIsLostOverABreakIsCounted) {
  FakeNode other;
  node.last_sequence = 3;
  // It has forgotten what came until 10, and does not know that anybody else has not got it.
  other.forgotten = 10;
  other.last_sequence = 12;
  client = Open(node.address() + "," + other.address());
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  std::vector<Told> told;
  while (told.size() < 5) {
    if (told.size() == 3) node.Kill();
    const Answer answer = Next(metrics);
    ASSERT_EQ(answer.code, 0) << answer.message;
    told.insert(told.end(), answer.told.begin(), answer.told.end());
  }
  EXPECT_THAT(told, ElementsAre(Told(1, 0, 0), Told(2, 0, 0), Told(3, 0, 0), Told(11, 0, 7),
                                Told(12, 0, 0)));
  fl_metrics_close(metrics);
}

TEST_F(CApi, AnEndIsToldAsOneAndNotAsAMeasurement) {
  node.last_sequence = 1;
  node.end = EndOf("exp-1");
  node.ends_stream = true;
  Connect();
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  Answer all, answer;
  while ((answer = Next(metrics)).code == 0) {
    all.sequences.insert(all.sequences.end(), answer.sequences.begin(), answer.sequences.end());
    all.ends.insert(all.ends.end(), answer.ends.begin(), answer.ends.end());
  }
  EXPECT_EQ(answer.code, static_cast<int>(StatusCode::kOutOfRange));
  EXPECT_THAT(all.sequences, ElementsAre(1));
  EXPECT_THAT(all.ends,
              ElementsAre("exp-1|EXPERIMENT_STATUS_COMPLETED|stopped|enough|100000000007"));
  fl_metrics_close(metrics);
}

TEST_F(CApi, CancellingReachesTheServerAndAnswersWhoWaits) {
  Connect();
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  while (node.streams == 0) std::this_thread::yield();
  const Answer answer = Waited([&](std::promise<Answer>* context) {
    fl_metrics_next(metrics, 1, context, Measured);
    fl_metrics_cancel(metrics);
  });
  EXPECT_EQ(answer.code, static_cast<int>(StatusCode::kCancelled));
  while (node.streams != 0) std::this_thread::yield();
  fl_metrics_close(metrics);
}

TEST_F(CApi, ASecondAskerIsRefusedAndTheFirstIsAnswered) {
  Connect();
  fl_metrics* metrics = fl_metrics_open(client, "", 0);
  std::promise<Answer> first;
  fl_metrics_next(metrics, 1, &first, Measured);
  EXPECT_EQ(Next(metrics).reason, "ALREADY_ASKED");
  fl_metrics_close(metrics);
  EXPECT_EQ(first.get_future().get().code, static_cast<int>(StatusCode::kCancelled));
}

TEST_F(CApi, WatchesSpeakJsonAndEndWithTheClient) {
  Connect();
  fl_watch* watch = fl_watch_open(client, "{}", 2);
  const auto next = [&](std::promise<Answer>* context) { fl_watch_next(watch, context, Watched); };
  EXPECT_EQ(Waited(next).json, R"({"revision":"7"})");
  std::promise<Answer> second;
  next(&second);
  fl_client_close(std::exchange(client, nullptr));
  EXPECT_EQ(second.get_future().get().code, static_cast<int>(StatusCode::kCancelled));
  fl_watch_close(watch);
}

TEST_F(CApi, EverythingMayBeClosedInsideACallback) {
  Connect();
  struct Open {
    fl_client* client;
    fl_metrics* metrics;
    std::promise<Answer> done;
  } open;
  node.last_sequence = 1;
  open.client = std::exchange(client, nullptr);
  open.metrics = fl_metrics_open(open.client, "", 0);
  fl_metrics_next(
      open.metrics, 1, &open,
      [](void* context, const fl_status* status, const fl_update*, size_t, const fl_interruption*) {
        auto* all = static_cast<Open*>(context);
        fl_metrics_close(all->metrics);
        fl_client_close(all->client);
        all->done.set_value(FromStatus(status));
      });
  EXPECT_EQ(open.done.get_future().get().code, 0);
}

}  // namespace
}  // namespace faultline::client
