#include "cli/follow.h"

#include <algorithm>
#include <future>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "cli/describe.h"
#include "cli/live_chart.h"
#include "cli/metrics_view.h"
#include "client/async.h"

namespace faultline::cli {
namespace {

using chaos::v1::MetricUpdate;
using chaos::v1::SubscribeToMetricsRequest;
using std::chrono::nanoseconds;

// A faster redraw cannot be seen.
constexpr uint64_t kRedrawNs = 200 * kNanosPerMilli;
constexpr uint64_t kMostAtOnce = client::AsyncMetrics::kAhead;

// The stream, read by a thread of its own.
class ReadAhead {
 public:
  using Batch = client::Batch<MetricUpdate>;

  // Ends with `interrupt`.
  ReadAhead(client::Client& client, SubscribeToMetricsRequest request,
            std::shared_ptr<client::Cancellation> interrupt)
      : interrupted_(std::move(interrupt), [token = token_] { token->Cancel(); }),
        thread_([&client, stream = stream_, request = std::move(request)] {
          stream->Read(client, [&request](client::Client& at, client::StreamOptions options) {
            return at.SubscribeToMetrics(request, std::move(options));
          });
        }) {}
  ~ReadAhead() {
    token_->Cancel();
    thread_.join();
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // As AsyncStream gives it; nothing when it gives nothing in time.
  std::optional<Batch> Next(uint64_t most, nanoseconds in_time) {
    if (!asked_.valid()) {
      const auto answer = std::make_shared<std::promise<Batch>>();
      asked_ = answer->get_future();
      stream_->Next(most, [answer](Batch batch) { answer->set_value(std::move(batch)); });
    }
    if (asked_.wait_for(in_time) != std::future_status::ready) return std::nullopt;
    return asked_.get();
  }

 private:
  const std::shared_ptr<client::Cancellation> token_ = std::make_shared<client::Cancellation>();
  const client::Cancellation::Subscription interrupted_;
  const std::shared_ptr<client::AsyncMetrics> stream_ =
      std::make_shared<client::AsyncMetrics>(token_);
  std::future<Batch> asked_;
  std::thread thread_;
};

class TableDisplay final : public MetricsDisplay {
 public:
  TableDisplay(const Terminal& terminal, double rate_hz)
      : view_(terminal, static_cast<uint64_t>(1e9 / rate_hz)) {}
  std::string Add(const MetricUpdate& update, uint64_t now_ns) override {
    view_.Add(update, now_ns);
    return "";
  }
  void End(const std::string& experiment_id) override { view_.End(experiment_id); }
  std::string Draw(const Terminal& terminal, uint64_t now_ns) override {
    view_.set_terminal(terminal);
    return view_.Redraw(now_ns);
  }
  std::string Erase() override { return view_.Erase(); }

 private:
  MetricsView view_;
};

class ChartDisplay final : public MetricsDisplay {
 public:
  ChartDisplay(const Terminal& terminal, bool per_target)
      : chart_(terminal, per_target), draws_(terminal.redraws) {}
  std::string Add(const MetricUpdate& update, uint64_t now_ns) override {
    only_past_ = IsPast(update);
    if (only_past_) return PastLine(update, UnixNowNs());
    chart_.Add(update, now_ns);
    return "";
  }
  void End(const std::string&) override {}  // the chart goes on
  std::string Draw(const Terminal& terminal, uint64_t now_ns) override {
    if (only_past_) return "";
    if (!draws_) return chart_.LinesUntil(now_ns);
    chart_.set_terminal(terminal);
    return chart_.Redraw(now_ns);
  }
  std::string Finish(const Terminal& terminal, uint64_t now_ns) override {
    if (only_past_ || draws_) return Draw(terminal, now_ns);
    return chart_.LinesToTheEnd(now_ns);
  }
  std::string Erase() override { return chart_.Erase(); }

 private:
  LiveChart chart_;
  const bool draws_;
  bool only_past_ = false;  // there is nothing to draw from
};

}  // namespace

std::unique_ptr<MetricsDisplay> MakeTable(const Terminal& terminal, double rate_hz) {
  return std::make_unique<TableDisplay>(terminal, rate_hz);
}

std::unique_ptr<MetricsDisplay> MakeChart(const Terminal& terminal, bool per_target) {
  return std::make_unique<ChartDisplay>(terminal, per_target);
}

bool IsStreamsEnd(const Status& status) {
  return status.code() == StatusCode::kCancelled || status.code() == StatusCode::kOutOfRange;
}

void TellEnds(Session& session, client::Client& client, const std::set<std::string>& ids) {
  for (const std::string& id : ids) {
    chaos::v1::GetExperimentRequest request;
    request.set_experiment_id(id);
    const auto response = client.GetExperiment(request, session.call());
    if (!response.ok() || !HasEnded(response->experiment())) continue;
    session.out.Note(EndText(response->experiment()));
  }
}

Status FollowMetrics(Session& session, client::Client& client,
                     const SubscribeToMetricsRequest& request, uint64_t count,
                     MetricsDisplay& display) {
  Output& out = session.out;
  const auto draw = [&] { out.Text(display.Draw(DetectTerminal(), MonotonicNowNs())); };
  uint64_t draw_ns = 0;
  const auto note = [&](const std::string& text) {
    out.Text(display.Erase());
    out.Note(text);
    draw_ns = 0;
  };
  ReadAhead stream(client, request, session.interrupt);
  uint64_t left = count == 0 ? UINT64_MAX : count;
  std::set<std::string> untold(request.experiment_ids().begin(), request.experiment_ids().end());
  Status end;
  while (left > 0 && out.writable()) {
    const uint64_t now_ns = MonotonicNowNs();
    if (now_ns >= draw_ns) {
      draw();
      draw_ns = now_ns + kRedrawNs;
    }
    const auto batch = stream.Next(std::min(left, kMostAtOnce), nanoseconds(draw_ns - now_ns));
    if (!batch) continue;
    end = batch->status;
    if (IsStreamsEnd(end)) break;
    FL_RETURN_IF_ERROR(end);
    if (batch->interruption)
      note(BrokenText(batch->interruption->why, batch->interruption->next_address));
    for (const auto& update : batch->messages) {
      if (update.has_end()) {
        untold.erase(update.experiment_id());
        display.End(update.experiment_id());
        note(EndText(update));
      } else if (const std::string line = display.Add(update, MonotonicNowNs()); !line.empty()) {
        out.Text(display.Erase() + line);
        draw_ns = 0;
      }
    }
    left -= batch->messages.size();
  }
  out.Text(display.Finish(DetectTerminal(), MonotonicNowNs()));
  if (end.code() == StatusCode::kOutOfRange) TellEnds(session, client, untold);
  return absl::OkStatus();
}

}  // namespace faultline::cli
