// Following a stream of a real gRPC server on loopback, inside this process.
#include "cli/follow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "cli/app.h"
#include "client/test_node.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;

// Keeps what it is given; a hook runs whenever it is drawn.
class Kept final : public MetricsDisplay {
 public:
  std::string Add(const chaos::v1::MetricUpdate& update, uint64_t) override {
    sequences.push_back(update.position().sequence());
    return sequences.size() == 1 ? "first\n" : "";
  }
  void End(const std::string& experiment_id) override { ended.push_back(experiment_id); }
  std::string Draw(const Terminal&, uint64_t) override {
    ++draws;
    if (on_draw) on_draw();
    return "picture\n";
  }
  std::string Erase() override { return "erased\n"; }

  std::vector<uint64_t> sequences;
  std::vector<std::string> ended;
  int draws = 0;
  std::function<void()> on_draw;
};

class Follow : public testing::Test {
 protected:
  // Follows these experiments, or all.
  Status Run(uint64_t count = 0, const std::vector<std::string>& ids = {}) {
    client::Options options;
    options.addresses = node.address();
    auto made = client::Client::Create(options);
    EXPECT_TRUE(made.ok()) << made.status();
    chaos::v1::SubscribeToMetricsRequest request;
    for (const std::string& id : ids) request.add_experiment_ids(id);
    return FollowMetrics(session, **made, request, count, display);
  }

  client::FakeNode node;
  std::ostringstream out, err;
  Output output{out, err, {}};
  const std::shared_ptr<client::Cancellation> interrupt = std::make_shared<client::Cancellation>();
  Session session{output, interrupt};
  Kept display;
};

TEST_F(Follow, AnEndIsANoteAndNoMeasurement) {
  node.last_sequence = 2;
  node.end = client::EndOf("exp-1");
  node.ends_stream = true;
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(display.sequences, testing::ElementsAre(1, 2));
  EXPECT_THAT(display.ended, testing::ElementsAre("exp-1"));
  EXPECT_EQ(err.str(), "note: exp-1 has ended: completed, stopped: enough\n");
  EXPECT_THAT(out.str(), HasSubstr("erased\nfirst\n"));
  EXPECT_THAT(out.str(), testing::EndsWith("picture\n"));
}

class FollowAnOlderNode : public Follow {
 protected:
  FollowAnOlderNode() {
    node.ends_stream = true;
    node.experiment.set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
    node.experiment.set_phase("expired");
  }
};

TEST_F(FollowAnOlderNode, EndsThatItDoesNotTellAreAskedFor) {
  EXPECT_TRUE(Run(0, {"exp-1", "exp-2"}).ok());
  EXPECT_EQ(
      err.str(),
      "note: exp-1 has ended: completed, expired\nnote: exp-2 has ended: completed, expired\n");
}

TEST_F(FollowAnOlderNode, ProgramsAreToldToo) {
  EXPECT_EQ(cli::Run({"metrics", "exp-1", "--address", node.address()}, output, interrupt),
            ExitCode::kOk);
  EXPECT_EQ(err.str(), "note: exp-1 has ended: completed, expired\n");
}

TEST_F(FollowAnOlderNode, WhatIsToldIsToldOnce) {
  node.end = client::EndOf("exp-1");
  EXPECT_TRUE(Run(0, {"exp-1"}).ok());
  EXPECT_EQ(cli::Run({"metrics", "exp-1", "--address", node.address()}, output, interrupt),
            ExitCode::kOk);
  const std::string told = "note: exp-1 has ended: completed, stopped: enough\n";
  EXPECT_EQ(err.str(), told + told);
}

TEST_F(FollowAnOlderNode, WhatHasNotEndedIsNotSaidToHave) {
  node.experiment.set_status(chaos::v1::EXPERIMENT_STATUS_RUNNING);
  EXPECT_TRUE(Run(0, {"exp-1"}).ok());
  EXPECT_EQ(err.str(), "");
}

TEST_F(Follow, IsDrawnWhileNothingComesUntilCtrlC) {
  display.on_draw = [&] {
    if (display.draws == 4) interrupt->Cancel();
  };
  EXPECT_TRUE(Run().ok());
  EXPECT_GE(display.draws, 4);
  EXPECT_EQ(err.str(), "");
}

TEST_F(Follow, EndsAfterAsManyUpdatesAsAreAskedFor) {
  node.last_sequence = 100;
  EXPECT_TRUE(Run(3).ok());
  EXPECT_THAT(display.sequences, testing::ElementsAre(1, 2, 3));
}

TEST_F(Follow, ATerminalThatCannotRedrawGetsWhatAPipeGets) {
  node.last_sequence = 2;
  node.ends_stream = true;
  const auto printed_on = [this](const Terminal& terminal) {
    out.str("");
    Output on(out, err, terminal);
    EXPECT_EQ(cli::Run({"metrics", "--address", node.address()}, on, interrupt), ExitCode::kOk);
    return out.str();
  };
  EXPECT_THAT(printed_on({.out = true, .redraws = true}), HasSubstr("EXPERIMENT"));
  const std::string printed = printed_on({.out = true});
  EXPECT_THAT(printed, testing::StartsWith("{\""));
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 2) << printed;
}

TEST(Chart, IsLinesOnATerminalThatCannotRedraw) {
  chaos::v1::MetricUpdate update;
  update.mutable_position()->set_incarnation(1);
  update.mutable_position()->set_sequence(1);
  const auto chart = MakeChart({.out = true}, false);
  constexpr uint64_t kSecond = 1'000'000'000;
  chart->Add(update, kSecond);
  EXPECT_EQ(chart->Draw({.out = true}, kSecond), "");
  const std::string line = chart->Draw({.out = true}, 2 * kSecond);
  EXPECT_THAT(line, testing::StartsWith("all targets  p50 -  "));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(chart->Erase(), "");
}

TEST_F(Follow, AnErrorIsTheResult) {
  node.Kill();
  EXPECT_EQ(Run().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace faultline::cli
