#include "agent/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "agent/test_node.h"

namespace faultline::agent {
namespace {

using chaos::v1::ConnectRequest;

bool IsRenewal(const ConnectRequest& request) { return request.has_renewal(); }

class SessionTest : public testing::Test {
 protected:
  void Connect(const std::vector<std::string>& controllers) {
    Session::Callbacks callbacks;
    callbacks.hello = [] {
      chaos::v1::AgentHello hello;
      hello.mutable_agent()->set_agent_id("host-1");
      return hello;
    };
    callbacks.on_welcome = [this](const auto& welcome) { Note("welcome", welcome.node_id()); };
    callbacks.on_grant = [](const auto&) {};
    callbacks.on_desired = [this](const auto& desired) {
      Note("desired", desired.version().term());
    };
    callbacks.on_end = [this] { Note("end", 0); };
    Session::Options options;
    options.controllers = controllers;
    auto session = Session::Make(options, callbacks, &strand_);
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    strand_.Run([this] { session_->Start(); });
  }
  void Note(const std::string& what, uint64_t value) {
    const std::lock_guard lock(mutex_);
    events_.push_back(what + " " + std::to_string(value));
    changed_.notify_all();
  }
  std::string Next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !events_.empty(); });
    std::string event = events_.front();
    events_.pop_front();
    return event;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> events_;
  Strand strand_{"test"};
  std::unique_ptr<Session> session_;
};

TEST_F(SessionTest, SaysHelloFirstAndHearsWhatTheNodeSays) {
  TestNode node(1);
  Connect({node.address()});
  EXPECT_EQ(node.Hear().hello().agent().agent_id(), "host-1");
  EXPECT_EQ(Next(), "welcome 1");
  chaos::v1::ConnectResponse response;
  response.mutable_desired()->mutable_version()->set_term(7);
  node.Say(response);
  EXPECT_EQ(Next(), "desired 7");
  strand_.Run([&] {
    ConnectRequest request;
    request.mutable_renewal()->set_sent_boottime_ns(42);
    EXPECT_TRUE(session_->Send(request));
  });
  EXPECT_EQ(node.Hear(IsRenewal).renewal().sent_boottime_ns(), 42u);
  session_.reset();
}

TEST_F(SessionTest, GoesOnToTheNextNodeWhenOneDies) {
  TestNode first(1), second(2, false);
  Connect({first.address(), second.address()});
  EXPECT_EQ(Next(), "welcome 1");
  second.BeginToWelcome();
  first.Kill();
  EXPECT_EQ(Next(), "end 0");
  EXPECT_EQ(Next(), "welcome 2");
  session_.reset();
}

TEST_F(SessionTest, PassesOverNodesThatDoNotAnswerOrDoNotWelcome) {
  TestNode silent(1, false), second(2);
  Connect({"127.0.0.1:1", silent.address(), second.address()});
  EXPECT_EQ(Next(), "welcome 2");
  session_.reset();
}

TEST_F(SessionTest, GivesANodeUpWhenToldTo) {
  TestNode first(1), second(2, false);
  Connect({first.address(), second.address()});
  EXPECT_EQ(Next(), "welcome 1");
  first.CeaseToWelcome();  // it is tried again when the second takes long
  second.BeginToWelcome();
  strand_.Run([&] { session_->MoveOn("test"); });
  EXPECT_EQ(Next(), "end 0");
  EXPECT_EQ(Next(), "welcome 2");
  session_.reset();
}

TEST_F(SessionTest, SendsNothingWithoutAWelcome) {
  Connect({"127.0.0.1:1"});
  strand_.Run([&] { EXPECT_FALSE(session_->Send({})); });
  session_.reset();
}

TEST_F(SessionTest, ARenewalOvertakesBaselinesAndMetricsThatWait) {
  constexpr uint64_t kLast = 33;
  TestNode node(1);
  Connect({node.address()});
  EXPECT_EQ(Next(), "welcome 1");
  strand_.Run([&] {
    const auto pause = node.Pause();
    const auto send_metrics = [&](uint64_t sequence, size_t bytes) {
      ConnectRequest request;
      request.mutable_metrics()->mutable_position()->set_sequence(sequence);
      request.mutable_metrics()->add_samples()->set_target_id(std::string(bytes, 'x'));
      session_->Send(request);
    };
    // More than is on its way to a node that does not read.
    for (uint64_t sequence = 1; sequence < kLast; ++sequence) send_metrics(sequence, 1 << 20);
    ConnectRequest request;
    request.mutable_baselines()->set_metrics_sequence(kLast - 1);
    session_->Send(request);
    send_metrics(kLast, 1);
    request.mutable_renewal()->set_sent_boottime_ns(42);
    session_->Send(request);
  });
  const auto not_metrics = [](const ConnectRequest& heard) { return !heard.has_metrics(); };
  EXPECT_TRUE(node.Hear(not_metrics).has_hello());
  EXPECT_TRUE(node.Hear(not_metrics).has_renewal());
  EXPECT_TRUE(node.Hear(not_metrics).has_baselines());
  EXPECT_EQ(node.Hear().metrics().position().sequence(), kLast);
  session_.reset();
}

TEST_F(SessionTest, StoppingSendsWhatWasQueuedFirst) {
  TestNode node(1);
  Connect({node.address()});
  EXPECT_EQ(Next(), "welcome 1");
  std::atomic<bool> done{false};
  strand_.Run([&] {
    for (uint64_t i = 1; i <= 50; ++i) {
      ConnectRequest request;
      request.mutable_renewal()->set_sent_boottime_ns(i);
      session_->Send(request);
    }
    session_->Stop(60'000, [&] { done.store(true); });
  });
  for (uint64_t i = 1; i <= 50; ++i) {
    EXPECT_EQ(node.Hear(IsRenewal).renewal().sent_boottime_ns(), i);
  }
  while (!done.load()) std::this_thread::yield();
  session_.reset();
}

TEST(SessionOptions, RefuseAForeignAddressWithoutTls) {
  Strand strand("test");
  Session::Options options;
  options.controllers = {"10.0.0.1:7400"};
  const auto session = Session::Make(options, {}, &strand);
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(ToString(session.status().message()),
              testing::StartsWith("controllers: '10.0.0.1:7400' is not allowed: without TLS"));
}

}  // namespace
}  // namespace faultline::agent
