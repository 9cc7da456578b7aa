#include "control/admission.h"

#include <algorithm>

#include "control/selector.h"

namespace faultline::control {
namespace {

using chaos::v1::Target;

Status CheckCapabilities(const chaos::v1::Agent& agent, const Target& target,
                         const v1::PlannedFault& fault) {
  for (const std::string& needed : fault.capabilities()) {
    const auto& known = agent.capabilities();
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const auto& c) { return c.name() == needed; });
    if (found != known.end() && found->available()) continue;
    const std::string reason = found == known.end()
                                   ? fmt::format("the agent does not know '{}'", needed)
                                   : found->reason();
    return MakeDetailedError(
        StatusCode::kFailedPrecondition, "CAPABILITY_MISSING",
        fmt::format("agent '{}' cannot put {} on target '{}': {}", agent.agent_id(),
                    fault.fault().kind(), target.target_id(), reason),
        {{"agent_id", agent.agent_id()}, {"capability", needed}});
  }
  return absl::OkStatus();
}

// A name that both occupy; empty when there is none.
std::string Overlap(const v1::PlannedFault& mine, const v1::PlannedFault& other) {
  for (const std::string& name : mine.occupies()) {
    if (std::find(other.occupies().begin(), other.occupies().end(), name) !=
        other.occupies().end()) {
      return name;
    }
  }
  return {};
}

Status CheckFree(const State& state, const Target& target, const v1::CreateExperiment& command,
                 const v1::PlannedFault& fault) {
  for (const uint64_t index : UnfinishedOfTarget(state, target.target_id())) {
    const auto& record = state.experiments.at(index);
    for (const auto& pair : record.experiment().targets()) {
      if (pair.target_id() != target.target_id() || HasEnded(pair.phase())) continue;
      const std::string name = Overlap(fault, record.faults(static_cast<int>(pair.fault_index())));
      if (name.empty()) continue;
      const std::string& other = record.experiment().experiment_id();
      return MakeDetailedError(
          StatusCode::kFailedPrecondition, "TARGET_BUSY",
          fmt::format("target '{}' is busy: experiment '{}' has {} until it ends, and '{}' wants "
                      "the same for {}; only one fault at a time may have that of a target: stop "
                      "that experiment, or ask for other targets or another filter",
                      target.target_id(), other, name, command.request_id(), fault.fault().kind()),
          {{"experiment_id", other},
           {"request_id", command.request_id()},
           {"target_id", target.target_id()},
           {"occupied", name}});
    }
  }
  return absl::OkStatus();
}

Status CheckPair(const State& state, const Target& target, const v1::CreateExperiment& command,
                 const v1::PlannedFault& fault) {
  const auto& agent = state.agents.at(target.agent_id());
  if (!agent.connected()) {
    return MakeDetailedError(StatusCode::kFailedPrecondition, "AGENT_DISCONNECTED",
                             fmt::format("agent '{}' of target '{}' is not connected",
                                         agent.agent_id(), target.target_id()),
                             {{"agent_id", agent.agent_id()}, {"target_id", target.target_id()}});
  }
  FL_RETURN_IF_ERROR(CheckCapabilities(agent, target, fault));
  return CheckFree(state, target, command, fault);
}

}  // namespace

StatusOr<Admission> Admit(const State& state, const v1::CreateExperiment& command) {
  Admission admission;
  const auto known = state.index_of_request.find(command.request_id());
  if (!command.request_id().empty() && known != state.index_of_request.end()) {
    admission.repeated = &state.experiments.at(known->second);
    if (admission.repeated->request_body() == command.request_body()) return admission;
    const std::string& id = admission.repeated->experiment().experiment_id();
    return MakeDetailedError(
        StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
        fmt::format("request id '{}' was used for another request, which made experiment '{}'",
                    command.request_id(), id),
        {{"experiment_id", id}});
  }
  FL_ASSIGN_OR_RETURN(const Selector selector, Selector::Parse(command.target()));
  FL_ASSIGN_OR_RETURN(admission.targets, SelectTargets(selector, state.agents));
  const size_t pairs = admission.targets.size() * static_cast<size_t>(command.faults_size());
  if (pairs > kMaxPairs) {
    return FieldError("target", command.target(),
                      fmt::format("at most {} pairs of fault and target in one experiment; this "
                                  "one has {}",
                                  kMaxPairs, pairs));
  }
  for (const Target* target : admission.targets) {
    for (const auto& fault : command.faults()) {
      FL_RETURN_IF_ERROR(CheckPair(state, *target, command, fault));
    }
  }
  return admission;
}

}  // namespace faultline::control
