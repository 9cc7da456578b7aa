#include "tests/cluster/subscriber.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/metrics_buffer.h"
#include "base/clock.h"
#include "tests/cluster/cluster.h"

namespace faultline::cluster {
namespace {

// first + ... + last.
uint64_t SumOf(uint64_t first, uint64_t last) { return (first + last) * (last - first + 1) / 2; }

}  // namespace

std::unique_ptr<client::Client> ClientOf(const std::string& addresses, const rpc::TlsFiles& tls) {
  client::Options options;
  options.addresses = addresses;
  options.ca_file = tls.ca_file;
  options.cert_file = tls.cert_file;
  options.key_file = tls.key_file;
  options.timeout = std::chrono::seconds(60);
  auto created = client::Client::Create(options);
  EXPECT_TRUE(created.ok()) << created.status();
  return *std::move(created);
}

Subscriber::Subscriber(const std::string& addresses, const std::string& experiment_id,
                       const rpc::TlsFiles& tls)
    : client_(ClientOf(addresses, tls)), cancellation_(std::make_shared<client::Cancellation>()) {
  thread_ = std::thread([this, experiment_id] {
    chaos::v1::SubscribeToMetricsRequest request;
    request.set_experiment_id(experiment_id);
    client::StreamOptions options;
    options.cancellation = cancellation_;
    const auto stream = client_->SubscribeToMetrics(request, options);
    while (true) {
      auto update = stream->Next();
      if (!update.ok()) {
        EXPECT_EQ(update.status().code(), StatusCode::kCancelled) << update.status();
        return;
      }
      const std::lock_guard lock(mutex_);
      arrivals_.push_back({*std::move(update), MonotonicNowNs()});
    }
  });
}

void Subscriber::End() {
  cancellation_->Cancel();
  if (thread_.joinable()) thread_.join();
}

uint64_t Subscriber::newest() const {
  const std::lock_guard lock(mutex_);
  return arrivals_.empty() ? 0 : arrivals_.back().update.position().sequence();
}

std::vector<Arrival> Subscriber::arrivals() const {
  const std::lock_guard lock(mutex_);
  return arrivals_;
}

Subscribers SubscribeAtEach(const std::vector<std::string>& nodes, const std::string& experiment_id,
                            const rpc::TlsFiles& tls) {
  Subscribers subscribers;
  auto order = nodes;
  for (size_t i = 0; i < nodes.size(); ++i) {
    subscribers.push_back(
        std::make_unique<Subscriber>(fmt::format("{}", fmt::join(order, ",")), experiment_id, tls));
    std::rotate(order.begin(), order.begin() + 1, order.end());
  }
  return subscribers;
}

void ExpectMore(const Subscribers& subscribers, uint64_t batches) {
  uint64_t wanted = 0;
  for (const auto& subscriber : subscribers) {
    wanted = std::max(wanted, subscriber->newest() + batches);
  }
  for (const auto& subscriber : subscribers) {
    EXPECT_TRUE(Eventually([&] { return subscriber->newest() >= wanted; }));
  }
}

IdleWatcher::IdleWatcher(const std::string& addresses)
    : client_(ClientOf(addresses)), cancellation_(std::make_shared<client::Cancellation>()) {
  thread_ = std::thread([this] {
    client::StreamOptions options;
    options.cancellation = cancellation_;
    options.on_interrupted = [this](const Status& why, const std::string&) {
      interruptions_.push_back(ToString(why.message()));
    };
    const auto stream = client_->WatchExperiments({}, options);
    while (stream->Next().ok()) {
    }
  });
}

std::vector<std::string> IdleWatcher::End() {
  cancellation_->Cancel();
  if (thread_.joinable()) thread_.join();
  return interruptions_;
}

void ExpectWhole(const std::vector<Arrival>& arrivals) {
  constexpr uint64_t kKeptNs = agent::MetricsBuffer::kKeptSeconds * kNanosPerSecond;
  ASSERT_GT(arrivals.size(), 1u);
  for (size_t i = 1; i < arrivals.size(); ++i) {
    const auto& update = arrivals[i].update;
    const auto& before = arrivals[i - 1].update;
    const uint64_t last = before.position().sequence();
    const uint64_t sequence = update.position().sequence();
    SCOPED_TRACE(fmt::format("update {} after {}, merged {}, missed {}", sequence, last,
                             update.merged_batches(), update.missed_batches()));
    EXPECT_EQ(sequence, last + 1 + update.merged_batches() + update.missed_batches());
    EXPECT_EQ(update.packets(), 1 + update.merged_batches());
    EXPECT_EQ(update.packet_drops() - before.packet_drops(), static_cast<int64_t>(sequence - last));
    if (update.missed_batches() == 0) {
      EXPECT_EQ(update.bytes(), SumOf(last + 1, sequence));
    } else {
      // But for how late the one before may have come.
      EXPECT_GE(arrivals[i].at_ns + kNanosPerSecond, arrivals[i - 1].at_ns + kKeptNs);
    }
  }
}

uint64_t LongestPauseNs(const std::vector<Arrival>& arrivals, uint64_t since_ns) {
  uint64_t longest_ns = 0;
  for (const Arrival& arrival : arrivals) {
    if (arrival.at_ns < since_ns) continue;
    longest_ns = std::max(longest_ns, arrival.at_ns - since_ns);
    since_ns = arrival.at_ns;
  }
  return longest_ns;
}

}  // namespace faultline::cluster
