#include "subscribers.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <condition_variable>

#include "base/clock.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "load.h"

namespace faultline::bench {

using chaos::v1::MetricUpdate;

class Subscribers::Subscriber final : public grpc::ClientReadReactor<MetricUpdate> {
 public:
  Subscriber(const chaos::v1::SubscribeToMetricsRequest& request, const std::string& address,
             const rpc::TlsFiles& tls)
      : request_(request), stub_(chaos::v1::ChaosController::NewStub(Connect(address, tls))) {
    context_.set_wait_for_ready(true);
    stub_->async()->SubscribeToMetrics(&context_, &request_, this);
    StartRead(&update_);
    StartCall();
  }
  ~Subscriber() override {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (update_.has_end()) return StartRead(&update_);
    const int64_t age_ns = UnixNowNs() - update_.timestamp_ns();
    {
      const std::lock_guard lock(mutex_);
      received_.age.Record(static_cast<uint64_t>(std::max<int64_t>(age_ns, 0)));
      ++received_.updates;
      received_.merged += update_.merged_batches();
      received_.bytes += update_.ByteSizeLong();
      reached_ = true;
      Seen& seen = seen_[update_.position().agent_id()];
      seen.batches += 1 + update_.merged_batches();
      seen.missed += update_.missed_batches();
      seen.newest = update_.position().sequence();
    }
    StartRead(&update_);
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    ended_.notify_all();
  }

  void AddTo(Received* sum) const {
    const std::lock_guard lock(mutex_);
    sum->age.Merge(received_.age);
    sum->updates += received_.updates;
    sum->merged += received_.merged;
    sum->bytes += received_.bytes;
  }
  void Clear() {
    const std::lock_guard lock(mutex_);
    received_ = {};
  }
  bool reached() const {
    const std::lock_guard lock(mutex_);
    return reached_;
  }
  std::map<std::string, Seen> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  const chaos::v1::SubscribeToMetricsRequest request_;
  const std::unique_ptr<chaos::v1::ChaosController::Stub> stub_;
  grpc::ClientContext context_;
  MetricUpdate update_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  Received received_;
  std::map<std::string, Seen> seen_;
  bool reached_ = false;
  bool done_ = false;
};

Subscribers::Subscribers(int count, const chaos::v1::SubscribeToMetricsRequest& request,
                         const std::vector<std::string>& addresses, const rpc::TlsFiles& tls) {
  for (int i = 0; i < count; ++i) {
    subscribers_.push_back(std::make_unique<Subscriber>(
        request, addresses[static_cast<size_t>(i) % addresses.size()], tls));
  }
}

Subscribers::~Subscribers() = default;

int Subscribers::reached() const {
  return static_cast<int>(std::count_if(subscribers_.begin(), subscribers_.end(),
                                        [](const auto& one) { return one->reached(); }));
}

Subscribers::Received Subscribers::received() const {
  Received sum;
  for (const auto& one : subscribers_) one->AddTo(&sum);
  return sum;
}

void Subscribers::Clear() {
  for (const auto& one : subscribers_) one->Clear();
}

std::map<std::string, Subscribers::Seen> Subscribers::seen() const {
  return subscribers_.front()->seen();
}

}  // namespace faultline::bench
