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

constexpr int64_t kLongestTimeoutMs = 24 * 3'600'000;

std::string OrEmpty(const char* text) { return text == nullptr ? "" : text; }

Status NullArgument(const char* name) {
  return faultline::FieldError(name, "NULL", "a pointer to what it is", "NULL_ARGUMENT");
}

StatusOr<std::string_view> Request(const char* json, size_t size) {
  if (json == nullptr && size > 0) return NullArgument("json");
  return json == nullptr ? std::string_view() : std::string_view(json, size);
}

StatusOr<std::unique_ptr<client::AsyncClient>> Open(const fl_options& options) {
  client::Options given;
  given.addresses = OrEmpty(options.addresses);
  given.ca_file = OrEmpty(options.ca);
  given.cert_file = OrEmpty(options.certificate);
  given.key_file = OrEmpty(options.key);
  if (options.timeout_ms < 0 || options.timeout_ms > kLongestTimeoutMs) {
    return faultline::FieldError("timeout_ms", fmt::format("{}", options.timeout_ms),
                                 fmt::format("0 to {} ms", kLongestTimeoutMs));
  }
  if (options.timeout_ms > 0) given.timeout = std::chrono::milliseconds(options.timeout_ms);
  return client::AsyncClient::Create(given);
}

// What is to run, or why it cannot.
StatusOr<client::JsonCall> Prepare(const fl_client* client, const char* method, const char* json,
                                   size_t size) {
  if (client == nullptr) return NullArgument("client");
  if (method == nullptr) return NullArgument("method");
  FL_ASSIGN_OR_RETURN(const auto text, Request(json, size));
  return client::ParseCall(method, text);
}

void Answer(fl_done done, void* context, const StatusOr<std::string>& answer) {
  if (done == nullptr) return;
  const std::string response = answer.ok() ? *answer : "";
  done(context, client::CStatus(answer.status()).get(), response.c_str(), response.size());
}

// A stream's request; OK when it can be opened.
template <typename Message>
Status Prepare(const fl_client* client, const char* json, size_t size, Message* request) {
  if (client == nullptr) return NullArgument("client");
  FL_ASSIGN_OR_RETURN(const auto text, Request(json, size));
  return client::FromJson(text, request);
}

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
    size_t faults = 0, delays = 0, ends = 0;
    for (const auto& message : messages) {
      faults += static_cast<size_t>(message.faults_size());
      delays += static_cast<size_t>(message.fault_delays_size());
      ends += message.has_end() ? 1 : 0;
    }
    faults_.reserve(faults);  // updates_ points into these
    delays_.reserve(delays);
    ends_.reserve(ends);
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
    to.missed_batches = from.missed_batches();
    to.measurable = from.measurable() ? 1 : 0;
    to.not_measurable_reason = from.not_measurable_reason().c_str();
    to.faults = faults_.data() + faults_.size();
    to.fault_count = static_cast<size_t>(from.faults_size());
    for (const auto& fault : from.faults()) {
      faults_.push_back({fault.fault_index(), fault.matched(), fault.delayed(), fault.dropped(),
                         fault.lease_expired(), fault.lane_dropped(), fault.delay_given_ns(),
                         fault.delay_asked_ns(), fault.queued(), fault.duplicated(),
                         fault.corrupted(), fault.reordered(), fault.delays_measured(),
                         fault.link_bytes(), fault.link_busy_ns()});
    }
    to.fault_delays = delays_.data() + delays_.size();
    to.fault_delay_count = static_cast<size_t>(from.fault_delays_size());
    for (const auto& delays : from.fault_delays()) {
      delays_.push_back({delays.experiment_id().c_str(), delays.fault_index(), delays.packets(),
                         delays.p50_ms(), delays.p99_ms(), delays.no_room()});
    }
    if (from.has_end()) to.end = &ends_.emplace_back(EndOf(from.end()));
    updates_.push_back(to);
  }
  static fl_end EndOf(const chaos::v1::ExperimentEnd& from) {
    constexpr int64_t kSecond = 1'000'000'000;
    return {chaos::v1::ExperimentStatus_Name(from.status()).c_str(), from.phase().c_str(),
            from.reason().c_str(), from.ended_at().seconds() * kSecond + from.ended_at().nanos()};
  }

  std::vector<fl_fault_counters> faults_;
  std::vector<fl_fault_delays> delays_;
  std::vector<fl_end> ends_;
  std::vector<fl_update> updates_;
};

}  // namespace

fl_client* fl_client_open(const fl_options* options, void* context, fl_done failed) {
  auto made = Open(options == nullptr ? fl_options{} : *options);
  if (made.ok()) return new fl_client{{}, std::move(*made)};
  Answer(failed, context, made.status());
  return nullptr;
}

void fl_client_close(fl_client* client) { delete client; }

fl_call* fl_call_begin(fl_client* client, const char* method, const char* json, size_t size,
                       void* context, fl_done done) {
  auto work = Prepare(client, method, json, size);
  if (!work.ok()) {
    Answer(done, context, work.status());
    return new fl_call{{}, std::make_shared<client::Cancellation>()};
  }
  auto token = client->async->Call<std::string>(
      std::move(*work),
      [context, done](const StatusOr<std::string>& answer) { Answer(done, context, answer); });
  return new fl_call{{}, std::move(token)};
}

void fl_call_cancel(fl_call* call) {
  if (call != nullptr) call->token->Cancel();
}
void fl_call_release(fl_call* call) { delete call; }

fl_watch* fl_watch_open(fl_client* client, const char* json, size_t size) {
  chaos::v1::WatchExperimentsRequest request;
  const Status status = Prepare(client, json, size, &request);
  return new fl_watch{{},
                      status.ok() ? client->async->WatchExperiments(std::move(request))
                                  : Ended<chaos::v1::WatchExperimentsResponse>(status)};
}

void fl_watch_next(fl_watch* watch, void* context, fl_watch_answer answer) {
  if (answer == nullptr) return;
  if (watch == nullptr) {
    return answer(context, client::CStatus(NullArgument("watch")).get(), "", 0, nullptr);
  }
  watch->stream->Next(
      1, [context, answer](const client::Batch<chaos::v1::WatchExperimentsResponse>& batch) {
        const std::string json =
            batch.messages.empty() ? std::string() : client::ToJson(batch.messages[0]);
        const CInterruption interruption(batch.interruption);
        answer(context, client::CStatus(batch.status).get(), json.c_str(), json.size(),
               interruption.get());
      });
}

void fl_watch_cancel(fl_watch* watch) {
  if (watch != nullptr) watch->stream->Cancel();
}
void fl_watch_close(fl_watch* watch) {
  fl_watch_cancel(watch);
  delete watch;
}

fl_metrics* fl_metrics_open(fl_client* client, const char* json, size_t size) {
  chaos::v1::SubscribeToMetricsRequest request;
  const Status status = Prepare(client, json, size, &request);
  return new fl_metrics{{},
                        status.ok() ? client->async->SubscribeToMetrics(std::move(request))
                                    : Ended<chaos::v1::MetricUpdate>(status)};
}

void fl_metrics_next(fl_metrics* metrics, size_t most, void* context, fl_metrics_answer answer) {
  if (answer == nullptr) return;
  if (metrics == nullptr) {
    return answer(context, client::CStatus(NullArgument("metrics")).get(), nullptr, 0, nullptr);
  }
  metrics->stream->Next(most,
                        [context, answer](const client::Batch<chaos::v1::MetricUpdate>& batch) {
                          const CUpdates updates(batch.messages);
                          const CInterruption interruption(batch.interruption);
                          answer(context, client::CStatus(batch.status).get(), updates.data(),
                                 updates.size(), interruption.get());
                        });
}

void fl_metrics_cancel(fl_metrics* metrics) {
  if (metrics != nullptr) metrics->stream->Cancel();
}
void fl_metrics_close(fl_metrics* metrics) {
  fl_metrics_cancel(metrics);
  delete metrics;
}

int64_t fl_alive(void) { return client::Alive(); }
