// The C interface: shapes of C around AsyncClient, and nothing else.
#include "client/async.h"
#include "client/c_status.h"
#include "client/faultline.h"
#include "client/methods.h"

namespace client = faultline::client;
using faultline::Status;
using faultline::StatusOr;

struct fl_client {
  const client::Living living;
  const std::unique_ptr<client::AsyncClient> async;
};

struct fl_call {
  const client::Living living;
  const std::shared_ptr<client::Cancellation> token;
};

struct fl_watch {
  const client::Living living;
  const std::shared_ptr<client::AsyncWatch> stream;
};

struct fl_metrics {
  const client::Living living;
  const std::shared_ptr<client::AsyncMetrics> stream;
};

namespace {

std::string OrEmpty(const char* text) { return text == nullptr ? "" : text; }

// A stream that a mistake in its request has ended before it began.
template <typename Message>
std::shared_ptr<client::AsyncStream<Message>> Ended(const Status& status) {
  const auto stream =
      std::make_shared<client::AsyncStream<Message>>(std::make_shared<client::Cancellation>());
  stream->End(status);
  return stream;
}

// An interruption as C has it, valid as long as this object.
class CInterruption {
 public:
  explicit CInterruption(const std::optional<client::Interruption>& interruption) {
    if (!interruption) return;
    status_.emplace(interruption->why);
    next_ = interruption->next_address;
    c_ = {status_->get()->reason, status_->get()->message, next_.c_str()};
  }
  const fl_interruption* get() const { return status_ ? &c_ : nullptr; }

 private:
  std::optional<client::CStatus> status_;
  std::string next_;
  fl_interruption c_{};
};

// Updates as C has them, valid as long as `messages`.
class CUpdates {
 public:
  explicit CUpdates(const std::vector<chaos::v1::MetricUpdate>& messages) {
    size_t faults = 0;
    for (const auto& message : messages) faults += static_cast<size_t>(message.faults_size());
    faults_.reserve(faults);  // updates_ points into it
    updates_.reserve(messages.size());
    for (const auto& message : messages) Add(message);
  }
  const fl_update* data() const { return updates_.data(); }
  size_t size() const { return updates_.size(); }

 private:
  void Add(const chaos::v1::MetricUpdate& from) {
    fl_update to{};
    to.experiment_id = from.experiment_id().c_str();
    to.target_id = from.target_id().c_str();
    to.agent_id = from.position().agent_id().c_str();
    to.incarnation = from.position().incarnation();
    to.sequence = from.position().sequence();
    to.timestamp_ns = from.timestamp_ns();
    to.p50_latency_ms = from.p50_latency_ms();
    to.p99_latency_ms = from.p99_latency_ms();
    to.request_count = from.request_count();
    to.packet_drops = from.packet_drops();
    to.packets = from.packets();
    to.bytes = from.bytes();
    to.merged_batches = from.merged_batches();
    to.measurable = from.measurable() ? 1 : 0;
    to.not_measurable_reason = from.not_measurable_reason().c_str();
    to.faults = faults_.data() + faults_.size();
    to.fault_count = static_cast<size_t>(from.faults_size());
    for (const auto& fault : from.faults()) {
      faults_.push_back({fault.fault_index(), fault.matched(), fault.delayed(), fault.dropped(),
                         fault.lease_expired(), fault.lane_dropped(), fault.delay_given_ns(),
                         fault.delay_asked_ns()});
    }
    updates_.push_back(to);
  }

  std::vector<fl_fault_counters> faults_;
  std::vector<fl_update> updates_;
};

}  // namespace

fl_client* fl_client_open(const fl_options* options, void* context, fl_done failed) {
  client::Options given;
  given.addresses = OrEmpty(options->addresses);
  given.ca_file = OrEmpty(options->ca);
  given.cert_file = OrEmpty(options->certificate);
  given.key_file = OrEmpty(options->key);
  if (options->timeout_ms > 0) given.timeout = std::chrono::milliseconds(options->timeout_ms);
  auto made = client::AsyncClient::Create(given);
  if (made.ok()) return new fl_client{{}, std::move(*made)};
  failed(context, client::CStatus(made.status()).get(), "", 0);
  return nullptr;
}

void fl_client_close(fl_client* client) { delete client; }

fl_call* fl_call_begin(fl_client* client, const char* method, const char* json, size_t size,
                       void* context, fl_done done) {
  auto work = client::ParseCall(method, {json, size});
  auto token = client->async->Call<std::string>(
      [work = std::move(work)](client::Client& c, const client::CallOptions& options)
          -> StatusOr<std::string> { return work.ok() ? (*work)(c, options) : work.status(); },
      [context, done](const StatusOr<std::string>& answer) {
        const std::string response = answer.ok() ? *answer : "";
        done(context, client::CStatus(answer.status()).get(), response.c_str(), response.size());
      });
  return new fl_call{{}, std::move(token)};
}

void fl_call_cancel(fl_call* call) { call->token->Cancel(); }
void fl_call_release(fl_call* call) { delete call; }

fl_watch* fl_watch_open(fl_client* client, const char* json, size_t size) {
  chaos::v1::WatchExperimentsRequest request;
  const Status parsed = client::FromJson({json, size}, &request);
  return new fl_watch{{},
                      parsed.ok() ? client->async->WatchExperiments(std::move(request))
                                  : Ended<chaos::v1::WatchExperimentsResponse>(parsed)};
}

void fl_watch_next(fl_watch* watch, void* context, fl_watch_answer answer) {
  watch->stream->Next(
      1, [context, answer](const client::Batch<chaos::v1::WatchExperimentsResponse>& batch) {
        const std::string json =
            batch.messages.empty() ? std::string() : client::ToJson(batch.messages[0]);
        const CInterruption interruption(batch.interruption);
        answer(context, client::CStatus(batch.status).get(), json.c_str(), json.size(),
               interruption.get());
      });
}

void fl_watch_cancel(fl_watch* watch) { watch->stream->Cancel(); }
void fl_watch_close(fl_watch* watch) {
  watch->stream->Cancel();
  delete watch;
}

fl_metrics* fl_metrics_open(fl_client* client, const char* json, size_t size) {
  chaos::v1::SubscribeToMetricsRequest request;
  const Status parsed = client::FromJson({json, size}, &request);
  return new fl_metrics{{},
                        parsed.ok() ? client->async->SubscribeToMetrics(std::move(request))
                                    : Ended<chaos::v1::MetricUpdate>(parsed)};
}

void fl_metrics_next(fl_metrics* metrics, size_t most, void* context, fl_metrics_answer answer) {
  metrics->stream->Next(most,
                        [context, answer](const client::Batch<chaos::v1::MetricUpdate>& batch) {
                          const CUpdates updates(batch.messages);
                          const CInterruption interruption(batch.interruption);
                          answer(context, client::CStatus(batch.status).get(), updates.data(),
                                 updates.size(), interruption.get());
                        });
}

void fl_metrics_cancel(fl_metrics* metrics) { metrics->stream->Cancel(); }
void fl_metrics_close(fl_metrics* metrics) {
  metrics->stream->Cancel();
  delete metrics;
}

int64_t fl_alive(void) { return client::Alive(); }
