#include "server/experiment_service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "control/stop_answer.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

using chaos::v1::StartExperimentResponse;
using chaos::v1::StopExperimentResponse;

// A seed that survives JSON readers, whose numbers are exact up to 2^53; never 0.
uint64_t RandomSeed() { return (RandomNumber() >> 12) + 1; }

// The answer with what has become of its experiments since.
StopExperimentResponse BroughtUpToDate(const control::State& state,
                                       const StopExperimentResponse& stopped) {
  StopExperimentResponse response;
  control::StopAnswer answer(response.mutable_experiments());
  for (const auto& experiment : stopped.experiments()) {
    const auto* record = state.Find(experiment.experiment_id());
    const bool changed =
        record != nullptr && record->experiment().revision() > experiment.revision();
    answer.Add(changed ? record->experiment() : experiment);
  }
  return response;
}

// Why a call is refused, without the values that it gave: a payload may be among them.
std::string WithoutValues(const Status& status) {
  const auto detail = DetailOf(status);
  if (!detail || detail->violations().empty()) return Shown(ToString(status.message()), 512);
  std::vector<std::string> fields;
  for (const auto& violation : detail->violations()) fields.push_back(Shown(violation.field()));
  return fmt::format("{}: {}", detail->reason(), fmt::join(fields, ", "));
}

// Those who ask for too much would fill the log, too.
LogLevel LevelOf(const Status& refusal) {
  const bool overload = refusal.code() == StatusCode::kResourceExhausted;
  return overload ? LogLevel::debug : LogLevel::info;
}

void LogAccepted(const chaos::v1::Experiment& experiment) {
  const LogFields about{{"experiment_id", experiment.experiment_id()},
                        {"request_id", experiment.request_id()}};
  std::vector<std::string_view> kinds;
  for (const auto& fault : experiment.faults()) kinds.push_back(fault.kind());
  FL_LOG(info, "experiment {} is accepted: {} on {} for {} s, by {}", experiment.experiment_id(),
         fmt::join(kinds, ", "), Shown(experiment.target()), experiment.duration().seconds(),
         Shown(experiment.created_by()));
}

void LogStop(const chaos::v1::Experiment& experiment, const std::string& caller,
             const std::string& reason) {
  if (control::IsFinished(experiment)) return;
  const LogFields about{{"experiment_id", experiment.experiment_id()},
                        {"request_id", experiment.request_id()}};
  FL_LOG(info, "experiment {} is to stop, asked for by {}: {}", experiment.experiment_id(),
         Shown(caller), reason.empty() ? "no reason was given" : Shown(reason));
}

}  // namespace

void ExperimentService::Start(const CallContext& context,
                              const chaos::v1::StartExperimentRequest& request,
                              Done<StartExperimentResponse> done) {
  const auto refuse = [request_id = request.request_id(), target = request.target(),
                       caller = context.caller.name, done](const Status& status) {
    const LogFields about{{"request_id", request_id}};
    Log(LevelOf(status), "a start on {} by {} is refused: {}", Shown(target), Shown(caller),
        WithoutValues(status));
    done(status);
  };
  auto create = ToCommand(request);
  if (!create.ok()) return refuse(create.status());
  control::v1::Command command;
  auto* body = command.mutable_create_experiment();
  *body = *std::move(create);
  // With an id of its own the search for a leader may safely ask twice.
  if (body->request_id().empty()) body->set_request_id(fmt::format("auto-{:016x}", RandomNumber()));
  if (body->seed() == 0) body->set_seed(RandomSeed());
  body->set_created_by(context.caller.name);
  body->set_lease_ms(lease_.count());
  leader_->Propose(context, std::move(command),
                   [refuse, done](StatusOr<control::v1::Result> result) {
                     if (!result.ok()) return refuse(result.status());
                     StartExperimentResponse response;
                     response.mutable_experiment()->Swap(result->mutable_experiments(0));
                     response.set_experiment_id(response.experiment().experiment_id());
                     LogAccepted(response.experiment());
                     done(std::move(response));
                   });
}

void ExperimentService::Stop(const CallContext& context,
                             const chaos::v1::StopExperimentRequest& request,
                             Done<StopExperimentResponse> done) {
  const auto refuse = [id = request.experiment_id(), caller = context.caller.name,
                       done](const Status& status) {
    const LogFields about{{"experiment_id", id}};
    Log(LevelOf(status), "a stop by {} is refused: {}", Shown(caller), WithoutValues(status));
    done(status);
  };
  auto stop = ToCommand(request);
  if (!stop.ok()) return refuse(stop.status());
  const auto wait_ns = WaitNs(request);
  if (!wait_ns.ok()) return refuse(wait_ns.status());
  control::v1::Command command;
  *command.mutable_stop_experiments() = *std::move(stop);
  command.mutable_stop_experiments()->set_stopped_by(context.caller.name);
  leader_->Propose(context, std::move(command),
                   [this, context, refuse, reason = request.reason(), wait_ns = *wait_ns,
                    done = std::move(done)](StatusOr<control::v1::Result> result) {
                     if (!result.ok()) return refuse(result.status());
                     StopExperimentResponse response;
                     response.mutable_experiments()->Swap(result->mutable_experiments());
                     for (const auto& experiment : response.experiments()) {
                       LogStop(experiment, context.caller.name, reason);
                     }
                     WaitForEnd(context, wait_ns, std::move(response), done);
                   });
}

void ExperimentService::WaitForEnd(const CallContext& context, uint64_t wait_ns,
                                   StopExperimentResponse response,
                                   Done<StopExperimentResponse> done) {
  if (wait_ns == 0) return done(std::move(response));
  uint64_t stopped_at = 0;  // this node may not have applied the stop yet
  std::vector<std::string> ids;
  for (const auto& experiment : response.experiments()) {
    stopped_at = std::max(stopped_at, experiment.revision());
    ids.push_back(experiment.experiment_id());
  }
  const uint64_t limit_ns = std::min(context.deadline_ns, MonotonicNowNs() + wait_ns);
  const auto stopped = std::make_shared<const StopExperimentResponse>(std::move(response));
  auto answer = [this, stopped, done = std::move(done)](const Status&) {
    done(plane_->With([&](const control::State& state, const auto&) {
      return BroughtUpToDate(state, *stopped);
    }));
  };
  plane_->WaitForRevision(stopped_at, limit_ns,
                          [this, ids, limit_ns, answer](const Status& applied) {
                            if (!applied.ok()) return answer(applied);
                            plane_->WaitForEnds(ids, limit_ns, answer);
                          });
}

}  // namespace faultline::server
