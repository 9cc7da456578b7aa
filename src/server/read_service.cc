#include "server/read_service.h"

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "control/report_parts.h"
#include "control/selector.h"
#include "faults/registry.h"
#include "server/effective.h"
#include "server/report_summary.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

constexpr size_t kDefaultPageSize = 100;
// A page ends with the experiment that brings it to so many bytes.
constexpr size_t kPageBytes = 2 << 20;

Status List(const chaos::v1::ListExperimentsRequest& request, const control::State& state,
            chaos::v1::ListExperimentsResponse* response) {
  const size_t page = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  const auto& statuses = request.statuses();
  size_t bytes = 0;
  auto at = request.page_token().empty()
                ? state.experiments.end()
                : state.experiments.lower_bound(std::stoull(request.page_token()));
  while (at != state.experiments.begin()) {
    --at;
    const auto& experiment = at->second.experiment();
    const bool wanted = statuses.empty() || std::find(statuses.begin(), statuses.end(),
                                                      experiment.status()) != statuses.end();
    if (!wanted) continue;
    if (static_cast<size_t>(response->experiments_size()) == page || bytes >= kPageBytes) {
      response->set_next_page_token(fmt::format("{}", at->first + 1));
      break;
    }
    *response->add_experiments() = experiment;
    bytes += experiment.ByteSizeLong();
  }
  return absl::OkStatus();
}

Status UnknownExperiment(const std::string& id) {
  return FieldError("experiment_id", id, "the id of an experiment", "EXPERIMENT_NOT_FOUND",
                    StatusCode::kNotFound);
}

void SetLastSeen(const std::vector<v1::AgentSession>& served,
                 chaos::v1::ListAgentsResponse* response) {
  std::map<std::pair<std::string, uint64_t>, uint64_t> silent_ns;
  for (const auto& session : served) {
    const auto [at, first] =
        silent_ns.try_emplace({session.agent_id(), session.incarnation()}, session.silent_ns());
    at->second = std::min(at->second, session.silent_ns());
  }
  const int64_t now_ms = UnixNowMs();
  for (auto& agent : *response->mutable_agents()) {
    const auto found = silent_ns.find({agent.agent_id(), agent.incarnation()});
    if (found == silent_ns.end()) continue;
    const int64_t seen_ms = now_ms - static_cast<int64_t>(found->second / kNanosPerMilli);
    if (seen_ms > control::ToUnixMs(agent.last_seen())) {
      *agent.mutable_last_seen() = control::ToTimestamp(seen_ms);
    }
  }
}

}  // namespace

template <typename Response, typename Answer>
StatusOr<Response> ReadService::Look(bool stale, const Answer& answer) {
  Response response;
  uint64_t revision = 0;
  const Status status = plane_->With([&](const control::State& state, const auto& version) {
    revision = version.revision();
    return answer(state, version, &response);
  });
  if (!status.ok()) return status;
  auto* freshness = response.mutable_freshness();
  freshness->set_node_id(node_id_);
  freshness->set_revision(revision);
  freshness->set_stale(stale);
  if (!stale) return response;
  if (const auto age = leader_->Age(revision)) {
    freshness->mutable_age()->set_seconds(age->count() / 1'000'000'000);
    freshness->mutable_age()->set_nanos(static_cast<int32_t>(age->count() % 1'000'000'000));
  }
  return response;
}

template <typename Response, typename Answer>
void ReadService::Read(const CallContext& context, bool stale, Done<Response> done, Answer answer) {
  auto finish = [this, stale, done = std::move(done),
                 answer = std::move(answer)](const Status& fresh) {
    if (!fresh.ok()) return done(fresh);
    done(Look<Response>(stale, answer));
  };
  if (stale) return finish(absl::OkStatus());
  leader_->CatchUp(context, std::move(finish));
}

void ReadService::GetExperiment(const CallContext& context,
                                const chaos::v1::GetExperimentRequest& request,
                                Done<chaos::v1::GetExperimentResponse> done) {
  auto finish = [this,
                 done = std::move(done)](StatusOr<chaos::v1::GetExperimentResponse> response) {
    if (response.ok()) *response->mutable_now() = control::ToTimestamp(plane_->unix_ms());
    done(std::move(response));
  };
  Read<chaos::v1::GetExperimentResponse>(
      context, request.stale(), std::move(finish),
      [id = request.experiment_id()](const control::State& state, const auto&,
                                     chaos::v1::GetExperimentResponse* response) {
        const auto* record = state.Find(id);
        if (record == nullptr) return UnknownExperiment(id);
        *response->mutable_experiment() = record->experiment();
        *response->mutable_effective() = EffectiveOn(state, *record);
        return absl::OkStatus();
      });
}

void ReadService::GetReport(const CallContext& context, const chaos::v1::GetReportRequest& request,
                            Done<chaos::v1::GetReportResponse> done) {
  // Computed without the state locked.
  auto finish = [keep = request.include_histograms(),
                 done = std::move(done)](StatusOr<chaos::v1::GetReportResponse> response) {
    if (response.ok()) Summarize(keep, response->mutable_report());
    done(std::move(response));
  };
  Read<chaos::v1::GetReportResponse>(
      context, request.stale(), std::move(finish),
      [id = request.experiment_id()](const control::State& state, const auto&,
                                     chaos::v1::GetReportResponse* response) {
        const auto* record = state.Find(id);
        if (record == nullptr) return UnknownExperiment(id);
        if (!control::IsFinished(record->experiment())) {
          return MakeDetailedError(StatusCode::kFailedPrecondition, "NOT_ENDED",
                                   fmt::format("experiment {} has not ended yet", id));
        }
        if (!record->has_report() && state.version < control::kReportVersion) {
          return MakeDetailedError(
              StatusCode::kFailedPrecondition, "NO_REPORT",
              fmt::format(
                  "there is no report of experiment {}: the cluster is at version {}, which "
                  "knows none, until every member has said that it knows a later one "
                  "(faultline cluster status)",
                  id, state.version));
        }
        if (!record->has_report()) {
          return MakeDetailedError(
              StatusCode::kFailedPrecondition, "NO_REPORT",
              fmt::format("there is no report of experiment {}: it is written some seconds after "
                          "the end, and the newest {} are kept",
                          id, control::kMaxReports));
        }
        *response->mutable_report() = record->report();
        *response->mutable_report()->mutable_experiment() = record->experiment();
        return absl::OkStatus();
      });
}

void ReadService::ListExperiments(const CallContext& context,
                                  const chaos::v1::ListExperimentsRequest& request,
                                  Done<chaos::v1::ListExperimentsResponse> done) {
  if (const Status status = Validate(request); !status.ok()) return done(status);
  Read(context, request.stale(), std::move(done),
       [request](const control::State& state, const auto& version,
                 chaos::v1::ListExperimentsResponse* response) {
         response->set_revision(version.revision());
         return List(request, state, response);
       });
}

void ReadService::ListAgents(const CallContext& context,
                             const chaos::v1::ListAgentsRequest& request,
                             Done<chaos::v1::ListAgentsResponse> done) {
  // The state knows when an agent came and went; the nodes know when they last heard of it.
  const auto answer = [this, stale = request.stale(),
                       done = std::move(done)](const std::vector<v1::AgentSession>& elsewhere) {
    sessions_->Served([this, stale, done, elsewhere](std::vector<v1::AgentSession> served) {
      served.insert(served.end(), elsewhere.begin(), elsewhere.end());
      done(Look<chaos::v1::ListAgentsResponse>(stale,
                                               [&served](const control::State& state, const auto&,
                                                         chaos::v1::ListAgentsResponse* response) {
                                                 for (const auto& [id, agent] : state.agents)
                                                   *response->add_agents() = agent;
                                                 SetLastSeen(served, response);
                                                 return absl::OkStatus();
                                               }));
    });
  };
  if (request.stale()) return answer({});
  leader_->CatchUpWithAgents(context, [done, answer](const auto& agents) {
    if (!agents.ok()) return done(agents.status());
    answer(*agents);
  });
}

void ReadService::ListTargets(const CallContext& context,
                              const chaos::v1::ListTargetsRequest& request,
                              Done<chaos::v1::ListTargetsResponse> done) {
  Read(context, request.stale(), std::move(done),
       [text = request.target()](const control::State& state, const auto&,
                                 chaos::v1::ListTargetsResponse* response) -> Status {
         if (!text.empty()) {
           FL_ASSIGN_OR_RETURN(const auto selector, control::Selector::Parse(text));
           FL_ASSIGN_OR_RETURN(const auto targets, control::SelectTargets(selector, state.agents));
           for (const auto* target : targets) *response->add_targets() = *target;
           return absl::OkStatus();
         }
         for (const auto& [id, agent] : state.agents) {
           for (const auto& target : agent.targets()) *response->add_targets() = target;
         }
         return absl::OkStatus();
       });
}

chaos::v1::ListFaultKindsResponse ReadService::ListFaultKinds() {
  chaos::v1::ListFaultKindsResponse response;
  for (auto& info : faults::DescribeAll()) *response.add_kinds() = std::move(info);
  return response;
}

}  // namespace faultline::server
