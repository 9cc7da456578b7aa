// The C interface in the hands of who gives it nonsense, too much, or from too many threads.
#include <gmock/gmock.h>

#include "base/text.h"
#include "client/c_api_testing.h"
#include "rpc/status.h"

namespace faultline::client {
namespace {

using testing::ElementsAre;

TEST_F(CApi, MoreCallsThanThreadsAreRefusedAndNoneIsForgotten) {
  Connect();
  std::vector<fl_metrics*> all;
  for (int i = 0; i < 130; ++i) all.push_back(fl_metrics_open(client, "", 0));
  EXPECT_EQ(Next(all.back()).reason, "TOO_MANY_CALLS");
  EXPECT_EQ(Called(client, "ListExperiments", "").reason, "TOO_MANY_CALLS");
  for (fl_metrics* metrics : all) fl_metrics_close(metrics);
}

TEST_F(CApi, ThousandsOfCancelledStreamsTakeNobodysPlace) {
  Connect();
  for (int i = 0; i < 3'000; ++i) {
    fl_metrics* metrics = fl_metrics_open(client, "", 0);
    if (i % 2 == 0) fl_metrics_cancel(metrics);
    fl_metrics_close(metrics);
    if (i % 500 != 0) continue;
    EXPECT_EQ(Called(client, "ListExperiments", "").code, 0) << i;
  }
  EXPECT_EQ(Called(client, "ListExperiments", "").code, 0);
  while (node.streams != 0) std::this_thread::yield();
}

TEST_F(CApi, NullIsRefusedByNameAndGivingItBackDoesNothing) {
  Connect();
  const auto field = [](const Answer& answer) {
    EXPECT_EQ(answer.reason, "NULL_ARGUMENT");
    const std::string first = answer.violations.empty() ? "" : answer.violations[0];
    return first.substr(0, first.find('|'));
  };
  EXPECT_EQ(field(Called(nullptr, "ListExperiments", "")), "client");
  EXPECT_EQ(field(Called(client, nullptr, "")), "method");
  EXPECT_EQ(field(Waited([&](std::promise<Answer>* context) {
              fl_call_release(fl_call_begin(client, "ListExperiments", nullptr, 5, context, Done));
            })),
            "json");
  fl_metrics* metrics = fl_metrics_open(nullptr, "", 0);
  EXPECT_EQ(field(Next(metrics)), "client");
  fl_metrics_next(metrics, 1, nullptr, nullptr);
  fl_metrics_close(metrics);
  EXPECT_EQ(field(Next(nullptr)), "metrics");
  EXPECT_EQ(field(Waited([](auto* context) { fl_watch_next(nullptr, context, Watched); })),
            "watch");
  fl_call_release(fl_call_begin(client, "ListExperiments", nullptr, 0, nullptr, nullptr));
  fl_call_cancel(nullptr);
  fl_call_release(nullptr);
  fl_metrics_cancel(nullptr);
  fl_metrics_close(nullptr);
  fl_watch_cancel(nullptr);
  fl_watch_close(nullptr);
  fl_client_close(nullptr);
  fl_client_close(fl_client_open(nullptr, nullptr, nullptr));
}

TEST_F(CApi, ATimeoutThatIsNoneOpensNoClient) {
  for (const int64_t wrong : {int64_t{-1}, int64_t{86'400'001}, INT64_MIN, INT64_MAX}) {
    fl_options options{};
    options.timeout_ms = wrong;
    std::promise<Answer> failed;
    EXPECT_EQ(fl_client_open(&options, &failed, Done), nullptr);
    EXPECT_THAT(failed.get_future().get().violations,
                ElementsAre(fmt::format("timeout_ms|{}|0 to 86400000 ms", wrong)));
  }
}

TEST_F(CApi, TextsAreUtf8WithoutANulInsideWhateverWasGiven) {
  Connect();
  EXPECT_THAT(Called(client, "Form\xFF\x80", "").message, testing::HasSubstr("'Form\\xff\\x80'"));
  for (const std::string& json :
       {std::string("{\"target\": \"\xFF\xFE\"}"), std::string("\0{}", 3), std::string("{\0}", 3),
        std::string(100'000, '['), std::string("{\"\xC0\x80\": 1}"), std::string("[[1]")}) {
    const Answer answer = Called(client, "StartExperiment", json);
    EXPECT_TRUE(IsUtf8(answer.message)) << Shown(answer.message);
  }
  node.start_status = rpc::ToGrpc(FieldError("target", std::string("a\0b", 3), "a selector"));
  EXPECT_THAT(Called(client, "StartExperiment", "{}").violations,
              ElementsAre("target|a\\x00b|a selector"));
  node.start_status = rpc::ToGrpc(FieldError("target", "延迟", "a selector"));
  EXPECT_THAT(Called(client, "StartExperiment", "{}").violations,
              ElementsAre("target|延迟|a selector"));
}

TEST_F(CApi, MayBeUsedByManyThreadsAtOnce) {
  Connect();
  node.last_sequence = 50;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      for (int turn = 0; turn < 10; ++turn) {
        EXPECT_EQ(Called(client, "ListExperiments", "").code, 0);
        fl_metrics* metrics = fl_metrics_open(client, "", 0);
        EXPECT_EQ(Next(metrics).code, 0);
        fl_metrics_close(metrics);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace faultline::client
