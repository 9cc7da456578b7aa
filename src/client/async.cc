#include "client/async.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

namespace faultline::client {
namespace {

std::atomic<int64_t> alive{0};

}  // namespace

int64_t Alive() { return alive.load(); }
Living::Living() { ++alive; }
Living::~Living() { --alive; }

template <typename Message>
void AsyncStream<Message>::Next(size_t max, Taker taker) {
  std::unique_lock lock(mutex_);
  if (taker_) {
    lock.unlock();
    Batch<Message> refused;
    refused.status = MakeDetailedError(StatusCode::kFailedPrecondition, "ALREADY_ASKED",
                                       "the stream has been asked for its next messages already");
    taker(std::move(refused));
    return;
  }
  taker_ = std::move(taker);
  max_ = std::max<size_t>(max, 1);
  Deliver(std::move(lock));
}

template <typename Message>
void AsyncStream<Message>::Deliver(std::unique_lock<std::mutex> lock) {
  if (!taker_ || (ready_.empty() && !interruption_ && end_.ok())) return;
  Batch<Message> batch;
  const auto count = static_cast<std::ptrdiff_t>(std::min(max_, ready_.size()));
  batch.messages.assign(std::make_move_iterator(ready_.begin()),
                        std::make_move_iterator(ready_.begin() + count));
  ready_.erase(ready_.begin(), ready_.begin() + count);
  batch.interruption = std::exchange(interruption_, std::nullopt);
  if (batch.messages.empty() && !batch.interruption) batch.status = end_;
  const Taker taker = std::exchange(taker_, nullptr);
  lock.unlock();
  room_.notify_one();
  taker(std::move(batch));
}

template <typename Message>
void AsyncStream<Message>::Put(Message message) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return cancelled_ || ready_.size() < kAhead; });
  ready_.push_back(std::move(message));
  Deliver(std::move(lock));
}

template <typename Message>
void AsyncStream<Message>::End(Status status) {
  std::unique_lock lock(mutex_);
  end_ = std::move(status);
  Deliver(std::move(lock));
}

template <typename Message>
void AsyncStream<Message>::Read(Client& client, const Open& open) {
  const Cancellation::Subscription subscription(token_, [this] {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    room_.notify_one();
  });
  const auto stream = open(client, {token_, [this](const Status& why, const std::string& next) {
                                      std::unique_lock lock(mutex_);
                                      interruption_ = {why, next};
                                      Deliver(std::move(lock));
                                    }});
  while (true) {
    auto message = stream->Next();
    if (!message.ok()) return End(message.status());
    Put(std::move(*message));
  }
}

template class AsyncStream<chaos::v1::MetricUpdate>;
template class AsyncStream<chaos::v1::WatchExperimentsResponse>;

namespace {

// Of one client: work that runs, and with it what was cancelled and only has to notice.
struct Threads {
  std::atomic<size_t> running{0}, all{0};
};

// A thread's place among them. It counts as running no more as soon as its work is cancelled.
class Place {
 public:
  // Null when there is none.
  static std::shared_ptr<Place> Take(const std::shared_ptr<Threads>& threads,
                                     const std::shared_ptr<Cancellation>& token) {
    const bool room = ++threads->all <= AsyncClient::kMaxEnding;
    if (++threads->running <= AsyncClient::kMaxThreads && room) {
      return std::make_shared<Place>(threads, token);
    }
    --threads->running;
    --threads->all;
    return nullptr;
  }
  Place(std::shared_ptr<Threads> threads, std::shared_ptr<Cancellation> token)
      : threads_(std::move(threads)), cancelled_(std::move(token), [this] { Leave(); }) {}
  ~Place() {
    Leave();
    --threads_->all;
  }

 private:
  void Leave() {
    if (!left_.exchange(true)) --threads_->running;
  }

  const std::shared_ptr<Threads> threads_;
  std::atomic<bool> left_{false};
  const Cancellation::Subscription cancelled_;
};

}  // namespace

// What the threads share with the AsyncClient, and outlives it while one runs.
struct AsyncClient::Shared {
  explicit Shared(std::unique_ptr<Client> made) : client(std::move(made)) {}
  const Living living;
  const std::unique_ptr<Client> client;
  const std::shared_ptr<Cancellation> all = std::make_shared<Cancellation>();
  const std::shared_ptr<Threads> threads = std::make_shared<Threads>();
};

StatusOr<std::unique_ptr<AsyncClient>> AsyncClient::Create(const Options& options) {
  FL_ASSIGN_OR_RETURN(auto client, Client::Create(options));
  return std::unique_ptr<AsyncClient>(new AsyncClient(std::make_shared<Shared>(std::move(client))));
}

AsyncClient::~AsyncClient() { shared_->all->Cancel(); }

std::shared_ptr<Cancellation> AsyncClient::Begin(Work work, std::shared_ptr<Cancellation> token) {
  if (!token) token = std::make_shared<Cancellation>();
  const Status refused =
      MakeDetailedError(StatusCode::kResourceExhausted, "TOO_MANY_CALLS",
                        fmt::format("{} calls and streams run already", kMaxThreads));
  auto place = Place::Take(shared_->threads, token);
  if (!place) {
    work(nullptr, token, refused);
    return token;
  }
  try {
    std::thread([shared = shared_, work, token, place = std::move(place)]() mutable {
      const Living living;
      {
        const Cancellation::Subscription subscription(shared->all, [&] { token->Cancel(); });
        work(shared->client.get(), token, absl::OkStatus());
      }
      work = nullptr;
      place.reset();
      shared.reset();
    }).detach();
  } catch (const std::system_error&) {
    work(nullptr, token, refused);
  }
  return token;
}

template <typename Message>
std::shared_ptr<AsyncStream<Message>> AsyncClient::BeginStream(
    typename AsyncStream<Message>::Open open) {
  const auto token = std::make_shared<Cancellation>();
  const auto stream = std::make_shared<AsyncStream<Message>>(token);
  Begin(
      [stream, open = std::move(open)](Client* client, const std::shared_ptr<Cancellation>&,
                                       const Status& refused) {
        if (client == nullptr) {
          stream->End(refused);
        } else {
          stream->Read(*client, open);
        }
      },
      token);
  return stream;
}

std::shared_ptr<AsyncMetrics> AsyncClient::SubscribeToMetrics(
    chaos::v1::SubscribeToMetricsRequest request) {
  return BeginStream<chaos::v1::MetricUpdate>(
      [request = std::move(request)](Client& client, StreamOptions options) {
        return client.SubscribeToMetrics(request, std::move(options));
      });
}

std::shared_ptr<AsyncWatch> AsyncClient::WatchExperiments(
    chaos::v1::WatchExperimentsRequest request) {
  return BeginStream<chaos::v1::WatchExperimentsResponse>(
      [request = std::move(request)](Client& client, StreamOptions options) {
        return client.WatchExperiments(request, std::move(options));
      });
}

}  // namespace faultline::client
