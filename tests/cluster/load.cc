#include "tests/cluster/load.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>

#include "base/clock.h"
#include "base/status.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "rpc/credentials.h"
#include "tests/cluster/cluster.h"

namespace faultline::cluster {
namespace {

using chaos::v1::ChaosController;
using history::Kind;

constexpr std::chrono::milliseconds kCall{3'000};
// An agent gives up a node that has granted no lease for so long.
constexpr std::chrono::milliseconds kSilence{3'000};
constexpr int kClients = 4;
// Fewer experiments show nothing.
constexpr size_t kLeast = 10;

uint64_t Seed() {
  const char* text = std::getenv("FAULTLINE_CONSISTENCY_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

// An answer that says for sure that nothing was done.
bool IsRefusal(const grpc::Status& status) {
  using enum grpc::StatusCode;
  const auto code = status.error_code();
  return code == FAILED_PRECONDITION || code == NOT_FOUND || code == INVALID_ARGUMENT ||
         code == ALREADY_EXISTS;
}

}  // namespace

// What all clients know: experiments whose start was answered.
struct Load::Known {
  struct Experiment {
    std::string request_id, experiment_id;
  };
  void Add(const Experiment& experiment) {
    const std::lock_guard lock(mutex);
    all.push_back(experiment);
  }
  std::optional<Experiment> Pick(std::mt19937_64& random) {
    const std::lock_guard lock(mutex);
    if (all.empty()) return std::nullopt;
    const size_t back = random() % std::min<size_t>(all.size(), 8);
    return all[all.size() - 1 - back];
  }
  std::mutex mutex;
  std::vector<Experiment> all;
};

// One client, one call after the other, in its own thread.
class Load::Client {
 public:
  Client(std::string name, uint64_t seed, const std::vector<std::string>& addresses,
         const rpc::TlsFiles& tls, Known* known, history::ExperimentHistory* history)
      : name_(std::move(name)), random_(seed), known_(known), history_(history) {
    for (const std::string& address : addresses) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
      arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
      arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'500);
      stubs_.push_back(ChaosController::NewStub(
          grpc::CreateCustomChannel(address, *rpc::ChannelCredentials(tls, address), arguments)));
    }
  }

  void Step() {
    const uint64_t dice = random_() % 100;
    const auto experiment = known_->Pick(random_);
    if (!experiment || dice < 40) return StartOne();
    if (dice < 65) return Stop(*experiment);
    if (dice < 90) return Get(RandomNode(), *experiment);
    std::ignore = List(RandomNode());  // what it shows is in the history
  }

  // The newest, or those behind another page.
  StatusOr<chaos::v1::ListExperimentsResponse> List(size_t node, const std::string& token = "") {
    const uint64_t called_ns = MonotonicNowNs();
    chaos::v1::ListExperimentsRequest request;
    request.set_page_size(1'000);
    request.set_page_token(token);
    chaos::v1::ListExperimentsResponse response;
    const auto status = stubs_[node]->ListExperiments(Context().get(), request, &response);
    if (!status.ok()) return MakeError(StatusCode::kUnavailable, "{}", status.error_message());
    if (token.empty()) history_->List(called_ns, MonotonicNowNs(), response, name_);
    return response;
  }

 private:
  size_t RandomNode() { return random_() % stubs_.size(); }
  std::unique_ptr<grpc::ClientContext> Context() const {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + kCall);
    return context;
  }

  void Note(size_t op, const grpc::Status& status, const chaos::v1::Experiment& experiment) {
    if (status.ok()) history_->Return(op, MonotonicNowNs(), experiment);
    if (IsRefusal(status)) history_->ReturnNothing(op, MonotonicNowNs());
  }

  void Get(size_t node, const Known::Experiment& experiment) {
    const size_t op = history_->Begin(MonotonicNowNs(), Kind::kRead, experiment.request_id, name_);
    chaos::v1::GetExperimentRequest request;
    request.set_experiment_id(experiment.experiment_id);
    chaos::v1::GetExperimentResponse response;
    const auto status = stubs_[node]->GetExperiment(Context().get(), request, &response);
    Note(op, status, response.experiment());
  }

  void StartOne() {
    const std::string request_id = fmt::format("{}-{}", name_, ++starts_);
    const std::string agent = random_() % 2 == 0 ? "a" : "b";
    auto request = LatencyOn(fmt::format("agent:{},service:checkout", agent), request_id);
    (*request.mutable_parameters())["direction"] = random_() % 2 == 0 ? "egress" : "ingress";
    request.mutable_duration()->set_seconds(static_cast<int64_t>(1 + random_() % 3));
    // Asked again, somewhere else, until the outcome is known; and now and then although it is.
    for (int attempt = 0; attempt < 4; ++attempt) {
      const size_t op = history_->Begin(MonotonicNowNs(), Kind::kStart, request_id, name_);
      chaos::v1::StartExperimentResponse response;
      const auto status =
          stubs_[RandomNode()]->StartExperiment(Context().get(), request, &response);
      Note(op, status, response.experiment());
      if (status.ok()) known_->Add({request_id, response.experiment_id()});
      if (IsRefusal(status) || (status.ok() && random_() % 8 != 0)) return;
    }
  }

  void Stop(const Known::Experiment& experiment) {
    const size_t op = history_->Begin(MonotonicNowNs(), Kind::kStop, experiment.request_id, name_);
    chaos::v1::StopExperimentRequest request;
    request.set_experiment_id(experiment.experiment_id);
    chaos::v1::StopExperimentResponse response;
    const auto status = stubs_[RandomNode()]->StopExperiment(Context().get(), request, &response);
    Note(op, status, status.ok() ? response.experiments(0) : chaos::v1::Experiment());
  }

  const std::string name_;
  std::mt19937_64 random_;
  Known* const known_;
  history::ExperimentHistory* const history_;
  std::vector<std::unique_ptr<ChaosController::Stub>> stubs_;
  int starts_ = 0;
};

Load::Load(std::vector<std::string> addresses, rpc::TlsFiles tls)
    : addresses_(std::move(addresses)),
      tls_(std::move(tls)),
      seed_(Seed()),
      random_(seed_),
      known_(std::make_unique<Known>()),
      judge_(MakeClient("judge", seed_)) {
  std::printf("seed %lu (FAULTLINE_CONSISTENCY_SEED)\n", seed_);
  for (const char* id : {"a", "b"}) {
    agents_.push_back(std::make_unique<TestAgent>(TestAgent::Options{
        .id = id, .controllers = addresses_, .tls = tls_, .leave_after = kSilence}));
  }
}

Load::~Load() = default;

std::unique_ptr<Load::Client> Load::MakeClient(const std::string& name, uint64_t seed) {
  return std::make_unique<Client>(name, seed, addresses_, tls_, known_.get(), &history_);
}

bool Load::IsReady() {
  return Eventually([&] { return judge_->List(0).ok(); }) &&
         Eventually([&] { return agents_[0]->grants() > 0 && agents_[1]->grants() > 0; });
}

void Load::Sleep(uint64_t from_ms, uint64_t to_ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(Draw(from_ms, to_ms)));
}

void Load::While(const std::function<void()>& trouble) {
  std::atomic<bool> ending{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([this, number = ++clients_made_, &ending] {
      const auto client = MakeClient(fmt::format("c{}", number), seed_ + number);
      while (!ending) {
        client->Step();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    });
  }
  trouble();
  // A busy machine may need longer.
  Eventually([this] { return history_.Acknowledged().size() > kLeast; });
  ending = true;
  for (std::thread& thread : threads) thread.join();
}

void Load::Judge(const std::vector<size_t>& nodes) {
  for (const size_t node : nodes) {
    std::map<std::string, std::string> by_request;
    std::string token;
    do {
      StatusOr<chaos::v1::ListExperimentsResponse> listed;
      ASSERT_TRUE(Eventually([&] { return (listed = judge_->List(node, token)).ok(); }))
          << "node " << node + 1 << " does not answer: " << listed.status();
      for (const auto& experiment : listed->experiments()) {
        EXPECT_TRUE(by_request.emplace(experiment.request_id(), experiment.experiment_id()).second)
            << "request " << experiment.request_id() << " made two experiments";
      }
      token = listed->next_page_token();
    } while (!token.empty());
    for (const auto& [request, experiment] : history_.Acknowledged()) {
      EXPECT_EQ(by_request[request], experiment) << "acknowledged, and gone on node " << node + 1;
    }
  }
  EXPECT_EQ(history_.Violation(), "");
  std::printf("%zu calls, %zu answered, %zu experiments\n", history_.size(), history_.returned(),
              history_.Acknowledged().size());
  EXPECT_GT(history_.Acknowledged().size(), kLeast) << "too little happened to show anything";
}

}  // namespace faultline::cluster
