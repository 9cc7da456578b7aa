// What clients are promised while nodes die, stop and lag: watches without gaps, stale reads that
// say so.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "base/clock.h"
#include "client/client.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

constexpr char kSelector[] = "service:checkout,version:v1";

// (revision, experiment, phase) of every change.
using Event = std::tuple<uint64_t, std::string, std::string>;

// Without what came after `last`: nobody waited for it.
std::vector<Event> UpTo(uint64_t last, std::vector<Event> events) {
  std::erase_if(events, [last](const Event& event) { return std::get<0>(event) > last; });
  return events;
}

void AddEvents(const chaos::v1::WatchExperimentsResponse& message, std::vector<Event>* events) {
  for (const auto& experiment : message.experiments()) {
    events->emplace_back(experiment.revision(), experiment.experiment_id(), experiment.phase());
  }
}

// Watches through the client library, beginning at one node, until cancelled.
class Watcher {
 public:
  Watcher(const Cluster& cluster, int first) {
    client::Options options;
    for (int i = 0; i < cluster.size(); ++i) {
      options.addresses += (i > 0 ? "," : "") + cluster.api_address((first + i) % cluster.size());
    }
    options.timeout = kPatience;
    client_ = *client::Client::Create(options);
    thread_ = std::thread([this] { Run(); });
  }
  ~Watcher() { End(); }

  void End() {
    token_->Cancel();
    if (thread_.joinable()) thread_.join();
  }
  uint64_t revision() const { return revision_; }
  // After End.
  const std::vector<Event>& events() const { return events_; }
  bool listed_again() const { return listed_again_; }

 private:
  void Run() {
    client::StreamOptions options;
    options.cancellation = token_;
    options.on_interrupted = [this](const Status& why, const std::string&) {
      const auto detail = DetailOf(why);
      if (detail && detail->reason() == "COMPACTED") listed_again_ = true;
    };
    const auto stream = client_->WatchExperiments({}, options);
    while (true) {
      const auto message = stream->Next();
      if (!message.ok()) break;
      AddEvents(*message, &events_);
      revision_ = message->revision();
    }
  }

  std::unique_ptr<client::Client> client_;
  const std::shared_ptr<client::Cancellation> token_ = std::make_shared<client::Cancellation>();
  std::vector<Event> events_;
  std::atomic<uint64_t> revision_{0};
  bool listed_again_ = false;
  std::thread thread_;
};

// The changes after the beginning, as a node's own replay of the log gives them, up to `last`.
std::vector<Event> ChangesOf(Cluster& cluster, int node, uint64_t last) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  context.set_wait_for_ready(true);
  chaos::v1::WatchExperimentsRequest request;
  request.set_after_revision(1);
  const auto stub = cluster.Stub(node);
  const auto stream = stub->WatchExperiments(&context, request);
  std::vector<Event> events;
  chaos::v1::WatchExperimentsResponse message;
  while (stream->Read(&message)) {
    AddEvents(message, &events);
    if (message.revision() >= last && !message.partial()) break;
  }
  context.TryCancel();
  return UpTo(last, std::move(events));
}

// Starts and stops experiments, one after the other, until told to end.
class Writer {
 public:
  explicit Writer(const Cluster& cluster) {
    client::Options options;
    options.addresses = fmt::format("{}", fmt::join(cluster.api_addresses(), ","));
    options.timeout = kPatience;
    client_ = *client::Client::Create(options);
    thread_ = std::thread([this] {
      while (!ending_) Once();
    });
  }
  ~Writer() { End(); }
  void End() {
    ending_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int done() const { return done_; }
  uint64_t last_revision() const { return last_revision_; }

 private:
  void Once() {
    const auto started = client_->StartExperiment(LatencyOn(kSelector));
    if (!started.ok()) return std::this_thread::sleep_for(std::chrono::milliseconds(20));
    chaos::v1::StopExperimentRequest stop;
    stop.set_experiment_id(started->experiment_id());
    stop.mutable_wait()->set_seconds(10);
    const auto stopped = client_->StopExperiment(stop);
    if (!stopped.ok()) return;
    last_revision_ = stopped->experiments(0).revision();
    ++done_;
  }

  std::unique_ptr<client::Client> client_;
  std::atomic<bool> ending_{false};
  std::atomic<int> done_{0};
  std::atomic<uint64_t> last_revision_{0};
  std::thread thread_;
};

bool WaitForMore(const Writer& writer, int count) {
  const int before = writer.done();
  return Eventually([&] { return writer.done() >= before + count; });
}

TEST(Watching, NeitherSkipsNorRepeatsAChangeWhileNodesDieAndStop) {
  Cluster cluster({.nodes = 3, .lease = "2s"});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 3; ++i) watchers.push_back(std::make_unique<Watcher>(cluster, i));
  for (const auto& watcher : watchers) {
    ASSERT_TRUE(Eventually([&] { return watcher->revision() > 0; }));
  }
  Writer writer(cluster);
  ASSERT_TRUE(WaitForMore(writer, 5));
  for (int round = 0; round < 2; ++round) {
    const int leader = cluster.WaitForLeader();
    cluster.process(leader).Kill();
    EXPECT_TRUE(WaitForMore(writer, 3));
    cluster.Start(leader);
    const int stopped = (leader + 1) % 3;
    cluster.process(stopped).Signal(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::seconds(3));
    cluster.process(stopped).Signal(SIGCONT);
    EXPECT_TRUE(WaitForMore(writer, 3));
  }
  writer.End();
  const uint64_t last = writer.last_revision();
  const std::vector<Event> log = ChangesOf(cluster, 0, last);
  ASSERT_GT(log.size(), 30u);
  for (int node = 1; node < 3; ++node) EXPECT_EQ(ChangesOf(cluster, node, last), log);
  for (const auto& watcher : watchers) {
    EXPECT_TRUE(Eventually([&] { return watcher->revision() >= last; }));
    watcher->End();
    EXPECT_FALSE(watcher->listed_again());
    EXPECT_EQ(UpTo(last, watcher->events()), log);
  }
}

TEST(StaleReads, NeedNoQuorumAndSayHowOldTheyMayBe) {
  Cluster cluster({.nodes = 3});
  const int left = cluster.Follower();
  const auto stub = cluster.Stub(left);
  const auto read = [&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.set_wait_for_ready(true);
    chaos::v1::ListExperimentsRequest request;
    request.set_stale(true);
    chaos::v1::ListExperimentsResponse response;
    EXPECT_TRUE(stub->ListExperiments(&context, request, &response).ok());
    return response.freshness();
  };
  EXPECT_FALSE(cluster.List(left)->freshness().stale());
  ASSERT_TRUE(Eventually([&] { return read().has_age(); }));
  for (int node = 0; node < 3; ++node) {
    if (node != left) cluster.process(node).Kill();
  }
  const uint64_t killed_ns = BoottimeNowNs();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const auto freshness = read();
  const uint64_t alone_ns = BoottimeNowNs() - killed_ns;
  EXPECT_TRUE(freshness.stale());
  EXPECT_EQ(freshness.node_id(), static_cast<uint64_t>(left + 1));
  EXPECT_GT(freshness.revision(), 0u);
  const uint64_t age_ns = static_cast<uint64_t>(freshness.age().seconds()) * kNanosPerSecond +
                          static_cast<uint64_t>(freshness.age().nanos());
  EXPECT_GE(age_ns + kNanosPerSecond / 10, std::min(alone_ns, 2 * kNanosPerSecond));
}

}  // namespace
}  // namespace faultline::cluster
