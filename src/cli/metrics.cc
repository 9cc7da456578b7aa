// faultline metrics [ID...]
#include "base/clock.h"
#include "cli/command.h"
#include "cli/describe.h"
#include "cli/live_chart.h"
#include "cli/metrics_view.h"

namespace faultline::cli {
namespace {

struct MetricsArguments {
  std::vector<std::string> ids;
  std::string target;
  double rate_hz = 10;
  uint64_t count = 0;
  bool histogram = false, live = false, per_target = false;
};

chaos::v1::SubscribeToMetricsRequest MakeRequest(const MetricsArguments& arguments) {
  chaos::v1::SubscribeToMetricsRequest request;
  for (const auto& id : arguments.ids) request.add_experiment_ids(id);
  request.set_all(arguments.ids.empty() && arguments.target.empty());
  request.set_target(arguments.target);
  request.set_rate_hz(arguments.rate_hz);
  request.set_include_histogram(arguments.histogram || arguments.live);
  return request;
}

// A selector that matches nothing is an error now, not a silence for ever.
Status CheckTarget(Session& session, client::Client& client, const std::string& target) {
  if (target.empty()) return absl::OkStatus();
  chaos::v1::ListTargetsRequest request;
  request.set_target(target);
  return client.ListTargets(request, session.call()).status();
}

// True when the stream has ended as it should.
bool IsEnd(StatusCode code) {
  return code == StatusCode::kCancelled || code == StatusCode::kOutOfRange;
}

// How the experiments ended whose stream is over.
void TellEnds(Session& session, client::Client& client, const std::vector<std::string>& ids) {
  for (const auto& id : ids) {
    chaos::v1::GetExperimentRequest request;
    request.set_experiment_id(id);
    const auto response = client.GetExperiment(request, session.call());
    if (!response.ok()) continue;
    const auto& experiment = response->experiment();
    session.out.Note(fmt::format("{} has ended: {}, {}{}{}", id, StatusWord(experiment.status()),
                                 experiment.phase(), experiment.reason().empty() ? "" : ": ",
                                 experiment.reason()));
  }
}

Status RunLive(Session& session, client::Client& client, const MetricsArguments& arguments) {
  constexpr uint64_t kRedrawNs = 200 * kNanosPerMilli;
  const bool draws = session.out.terminal().out;
  LiveChart chart(session.out.terminal(), arguments.per_target);
  const auto show = [&] {
    chart.set_terminal(DetectTerminal());
    session.out.Text(draws ? chart.Redraw(MonotonicNowNs()) : chart.LinesUntil(MonotonicNowNs()));
  };
  const auto stream = client.SubscribeToMetrics(MakeRequest(arguments), session.stream());
  uint64_t shown_ns = 0;
  bool has_chart = false;  // else there is only the past
  StatusCode end = StatusCode::kOk;
  for (uint64_t seen = 0; arguments.count == 0 || seen < arguments.count; ++seen) {
    if (!session.out.writable()) break;
    const auto update = stream->Next();
    end = update.status().code();
    if (IsEnd(end)) break;
    if (!update.ok()) return update.status();
    if (IsPast(*update)) {
      session.out.Text(PastLine(*update, UnixNowNs()));
      continue;
    }
    has_chart = true;
    const uint64_t now_ns = MonotonicNowNs();
    chart.Add(*update, now_ns);
    if (now_ns - shown_ns < kRedrawNs) continue;
    show();
    shown_ns = now_ns;
  }
  if (has_chart) show();
  if (end == StatusCode::kOutOfRange) TellEnds(session, client, arguments.ids);
  return absl::OkStatus();
}

Status RunMetrics(Session& session, const MetricsArguments& arguments) {
  if (arguments.per_target && !arguments.live) {
    return FieldError("--per-target", "", "only together with --live");
  }
  FL_ASSIGN_OR_RETURN(client::Client * client, session.Connect());
  FL_RETURN_IF_ERROR(CheckTarget(session, *client, arguments.target));
  if (arguments.live && !session.out.json()) return RunLive(session, *client, arguments);
  const bool live = session.out.terminal().out && !session.out.json();
  // A faster redraw than this cannot be seen.
  constexpr uint64_t kRedrawNs = 100 * kNanosPerMilli;
  MetricsView view(session.out.terminal());
  const auto redraw = [&] {
    view.set_terminal(DetectTerminal());
    session.out.Text(view.Redraw(MonotonicNowNs()));
  };
  uint64_t drawn_ns = 0;
  StatusCode end = StatusCode::kOk;
  client::StreamOptions options = session.stream();
  if (live) {
    redraw();
    options.on_interrupted = [&](const Status& why, const std::string& next) {
      view.set_notice(
          fmt::format("the stream broke ({}); going on at {}", ToString(why.message()), next));
      redraw();
    };
  }
  const auto stream = client->SubscribeToMetrics(MakeRequest(arguments), std::move(options));
  for (uint64_t seen = 0; arguments.count == 0 || seen < arguments.count; ++seen) {
    if (!session.out.writable()) break;
    const auto update = stream->Next();
    end = update.status().code();
    if (IsEnd(end)) break;
    if (!update.ok()) return update.status();
    if (!live) {
      session.out.JsonLine(*update);
      continue;
    }
    const uint64_t now_ns = MonotonicNowNs();
    view.Add(*update, now_ns);
    if (now_ns - drawn_ns < kRedrawNs) continue;
    redraw();
    drawn_ns = now_ns;
  }
  if (live) redraw();
  if (end == StatusCode::kOutOfRange) TellEnds(session, *client, arguments.ids);
  return absl::OkStatus();
}

}  // namespace

void AddMetrics(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<MetricsArguments>();
  CLI::App* command = AddCommand(
      app, session,
      {"metrics",
       "Follow what the kernel measures",
       {"faultline metrics", "faultline metrics exp-42",
        "faultline metrics --target service:checkout --rate 1",
        "faultline metrics exp-42 --live --per-target",
        "faultline metrics --target service:checkout --count 10 | jq .p99_latency_ms"},
       "A live table in a terminal, a JSON document per line in a pipe. Ends with "
       "Ctrl-C (exit code "
       "0), or soon after the experiments named have ended; of those that had ended before it "
       "gives the course from their reports."},
      [arguments](Session& s) { return RunMetrics(s, *arguments); });
  command->add_option("ID", arguments->ids, "Only these experiments; none: all of them")
      ->type_name("");
  command
      ->add_option("--target", arguments->target,
                   "Observe these targets, with or without an experiment")
      ->type_name("SELECTOR");
  command->add_option("--rate", arguments->rate_hz, "Updates a second of each line (10)")
      ->type_name("NUMBER")
      ->check(CLI::Range(0.001, 50.0));
  command->add_option("--count", arguments->count, "End after so many updates")
      ->type_name("NUMBER")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  command->add_flag("--live", arguments->live,
                    "Draw percentiles and drops over time; in a pipe a line for each second");
  command->add_flag("--per-target", arguments->per_target,
                    "With --live: each target by itself, instead of all merged");
  command->add_flag("--histogram", arguments->histogram,
                    "With each update the buckets of its interval (JSON)");
}

}  // namespace faultline::cli
