#include "server/validation.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <charconv>
#include <map>

#include "base/baseline.h"
#include "base/clock.h"
#include "base/text.h"
#include "control/selector.h"
#include "faults/registry.h"

namespace faultline::server {
namespace {

using google::protobuf::Duration;

constexpr int64_t kDefaultDurationMs = 10 * 60 * 1'000;
constexpr int64_t kMinDurationMs = 1'000;
constexpr int64_t kMaxDurationMs = 24LL * 3'600 * 1'000;
constexpr int64_t kMaxWaitMs = 10 * 60 * 1'000;
constexpr double kMaxRateHz = 50;
constexpr uint32_t kMaxPageSize = 1'000;
constexpr int kMaxResumeSeries = 65'536;  // which the client library keeps to

Status CheckText(std::string_view field, const std::string& text) {
  if (text.size() > kMaxTextBytes) {
    return FieldError(field, text, fmt::format("at most {} bytes", kMaxTextBytes));
  }
  // They would be shown to other people.
  if (HasControlCharacters(text)) return FieldError(field, text, "no control characters");
  return absl::OkStatus();
}

Status CheckCount(std::string_view field, int count, int most, std::string_view of) {
  if (count <= most) return absl::OkStatus();
  return FieldError(field, fmt::format("{} {}", count, of), fmt::format("at most {} {}", most, of));
}

Status CheckIdCount(int count) {
  return CheckCount("experiment_ids", count, kMaxExperimentIds, "ids");
}

// Milliseconds; FieldError when the duration is not from `min_ms` to `max_ms`.
StatusOr<int64_t> DurationMs(std::string_view field, const Duration& duration, int64_t min_ms,
                             int64_t max_ms, std::string_view allowed) {
  constexpr int64_t kSaneSeconds = 1'000'000'000;
  constexpr int32_t kNanosInMs = 1'000'000;
  const bool sane = duration.seconds() >= 0 && duration.seconds() <= kSaneSeconds &&
                    duration.nanos() >= 0 && duration.nanos() < 1'000 * kNanosInMs;
  if (sane) {
    const int64_t whole_ms = duration.seconds() * 1'000 + duration.nanos() / kNanosInMs;
    // Rounded up, so that what is too long by a nanosecond is too long.
    const int64_t ms = whole_ms + (duration.nanos() % kNanosInMs != 0 ? 1 : 0);
    if (whole_ms >= min_ms && ms <= max_ms) return ms;
  }
  return FieldError(field,
                    fmt::format("{}s", static_cast<double>(duration.seconds()) +
                                           static_cast<double>(duration.nanos()) / 1e9),
                    allowed);
}

Status ParseFault(const std::string& kind,
                  const google::protobuf::Map<std::string, std::string>& parameters,
                  std::string_view prefix, control::v1::CreateExperiment* command) {
  const std::map<std::string, std::string> given(parameters.begin(), parameters.end());
  FL_ASSIGN_OR_RETURN(auto config, faults::ParseParameters(kind, given, prefix));
  auto* planned = command->add_faults();
  planned->mutable_fault()->set_kind(kind);
  for (auto& [name, text] : faults::ParametersToText(config)) {
    (*planned->mutable_fault()->mutable_parameters())[name] = std::move(text);
  }
  for (auto& name : faults::Occupies(config)) planned->add_occupies(name);
  for (auto& name : faults::CapabilitiesOf(*faults::FindKind(kind))) {
    planned->add_capabilities(std::move(name));
  }
  *planned->mutable_config() = std::move(config);
  return absl::OkStatus();
}

Status ParseFaults(const chaos::v1::StartExperimentRequest& request,
                   control::v1::CreateExperiment* command) {
  if (request.faults().empty()) {
    if (request.fault_type().empty()) {
      return FieldError("fault_type", "", "it must be given: a fault kind, or `faults` instead");
    }
    return ParseFault(request.fault_type(), request.parameters(), "parameters.", command);
  }
  if (!request.fault_type().empty() || !request.parameters().empty()) {
    return FieldError(request.fault_type().empty() ? "parameters" : "fault_type",
                      request.fault_type(), "nothing when `faults` is given");
  }
  if (request.faults_size() > kMaxFaults) {
    return FieldError("faults", fmt::format("{} faults", request.faults_size()),
                      fmt::format("at most {} faults in one experiment", kMaxFaults));
  }
  for (int i = 0; i < request.faults_size(); ++i) {
    const auto& fault = request.faults(i);
    FL_RETURN_IF_ERROR(ParseFault(fault.kind(), fault.parameters(),
                                  fmt::format("faults[{}].parameters.", i), command));
  }
  return absl::OkStatus();
}

// Two faults of one experiment that want the same for themselves cannot both have it.
Status CheckContradictions(const control::v1::CreateExperiment& command) {
  std::map<std::string, int> owners;
  for (int i = 0; i < command.faults_size(); ++i) {
    for (const std::string& name : command.faults(i).occupies()) {
      const auto [owner, free] = owners.try_emplace(name, i);
      if (free) continue;
      return FieldError(
          fmt::format("faults[{}]", i), command.faults(i).fault().kind(),
          fmt::format("no fault that contradicts faults[{}]: both want {}", owner->second, name));
    }
  }
  return absl::OkStatus();
}

// Of FaultCounters or FaultDelays of one sample.
template <typename OfFaults>
Status CheckFaults(std::string_view field, const OfFaults& faults) {
  FL_RETURN_IF_ERROR(CheckCount(field, faults.size(), kMaxSampleFaults, "faults"));
  for (const auto& fault : faults) {
    if (fault.fault_index() < kMaxFaults) continue;
    return FieldError(fmt::format("{}.fault_index", field), fmt::to_string(fault.fault_index()),
                      fmt::format("below {}", kMaxFaults));
  }
  return absl::OkStatus();
}

// The same bytes for the same request, whatever its id.
std::string CanonicalBody(chaos::v1::StartExperimentRequest request) {
  request.clear_request_id();
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  request.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

StatusOr<control::v1::CreateExperiment> ToCommand(
    const chaos::v1::StartExperimentRequest& request) {
  control::v1::CreateExperiment command;
  FL_RETURN_IF_ERROR(CheckText("target", request.target()));
  FL_RETURN_IF_ERROR(CheckText("request_id", request.request_id()));
  FL_RETURN_IF_ERROR(control::Selector::Parse(request.target()).status());
  FL_RETURN_IF_ERROR(ParseFaults(request, &command));
  FL_RETURN_IF_ERROR(CheckContradictions(command));
  int64_t duration_ms = kDefaultDurationMs;
  if (request.has_duration()) {
    FL_ASSIGN_OR_RETURN(duration_ms, DurationMs("duration", request.duration(), kMinDurationMs,
                                                kMaxDurationMs, "1 s to 24 h"));
  }
  command.set_duration_ms(duration_ms);
  command.set_target(request.target());
  command.set_request_id(request.request_id());
  command.set_request_body(CanonicalBody(request));
  command.set_seed(request.seed());
  return command;
}

StatusOr<control::v1::StopExperiments> ToCommand(const chaos::v1::StopExperimentRequest& request) {
  const auto ids = IdsOf(request);
  FL_RETURN_IF_ERROR(CheckText("reason", request.reason()));
  FL_RETURN_IF_ERROR(CheckIdCount(request.experiment_ids_size()));
  if (ids.empty() && !request.all()) {
    return FieldError("experiment_id", "",
                      "it must be given: an experiment's id, or `all` instead");
  }
  if (!ids.empty() && request.all()) {
    return FieldError("experiment_id", *ids.begin(), "nothing when `all` is given");
  }
  control::v1::StopExperiments command;
  for (const auto& id : ids) command.add_experiment_ids(id);
  command.set_all(request.all());
  command.set_reason(request.reason());
  return command;
}

StatusOr<uint64_t> WaitNs(const chaos::v1::StopExperimentRequest& request) {
  if (!request.has_wait()) return 0;
  FL_ASSIGN_OR_RETURN(const int64_t ms,
                      DurationMs("wait", request.wait(), 0, kMaxWaitMs, "0 s to 10 m"));
  return static_cast<uint64_t>(ms) * kNanosPerMilli;
}

Status Validate(const chaos::v1::ListExperimentsRequest& request) {
  if (request.page_size() > kMaxPageSize) {
    return FieldError("page_size", fmt::format("{}", request.page_size()), "1 to 1000");
  }
  for (const int status : request.statuses()) {
    if (status != chaos::v1::EXPERIMENT_STATUS_UNSPECIFIED &&
        chaos::v1::ExperimentStatus_IsValid(status)) {
      continue;
    }
    return FieldError("statuses", fmt::format("{}", status),
                      "PENDING, RUNNING, COMPLETED or FAILED");
  }
  const std::string& token = request.page_token();
  uint64_t index = 0;
  const char* const end = token.data() + token.size();
  const auto parsed = std::from_chars(token.data(), end, index);
  if (!token.empty() && (parsed.ec != std::errc() || parsed.ptr != end)) {
    return FieldError("page_token", token, "the next_page_token of an earlier answer");
  }
  return absl::OkStatus();
}

Status Validate(const chaos::v1::WatchExperimentsRequest& request) {
  return CheckIdCount(request.experiment_ids_size());
}

Status Validate(const chaos::v1::SubscribeToMetricsRequest& request) {
  FL_RETURN_IF_ERROR(CheckText("target", request.target()));
  FL_RETURN_IF_ERROR(CheckIdCount(request.experiment_ids_size()));
  if (IdsOf(request).empty() && !request.all() && request.target().empty()) {
    return FieldError("experiment_id", "",
                      "it must be given: an experiment's id, or `all` or `target` instead");
  }
  if (!request.target().empty()) {
    FL_RETURN_IF_ERROR(control::Selector::Parse(request.target()).status());
  }
  FL_RETURN_IF_ERROR(
      CheckCount("resume_series", request.resume_series_size(), kMaxResumeSeries, "series"));
  // Written so that what is no number is refused too.
  if (!(request.rate_hz() >= 0 && request.rate_hz() <= kMaxRateHz)) {
    return FieldError("rate_hz", fmt::format("{}", request.rate_hz()),
                      "above 0, up to 50 updates a second");
  }
  return absl::OkStatus();
}

Status Validate(const chaos::v1::AgentHello& hello) {
  const auto& agent = hello.agent();
  if (agent.agent_id().empty() || agent.agent_id().size() > kMaxTextBytes) {
    return FieldError("hello.agent.agent_id", agent.agent_id(), "1 to 1024 bytes");
  }
  if (agent.incarnation() == 0) {
    return FieldError("hello.agent.incarnation", "0", "a random number above 0");
  }
  FL_RETURN_IF_ERROR(
      CheckCount("hello.agent.targets", agent.targets_size(), kMaxAgentTargets, "targets"));
  std::set<std::string> ids;
  for (const auto& target : agent.targets()) {
    const bool own = target.target_id().starts_with(agent.agent_id() + "/");
    if (!own || !ids.insert(target.target_id()).second) {
      return FieldError("hello.agent.targets.target_id", target.target_id(),
                        fmt::format("'{}/<name>', each once", agent.agent_id()));
    }
  }
  return absl::OkStatus();
}

Status Validate(const chaos::v1::MetricsBatch& batch) {
  FL_RETURN_IF_ERROR(
      CheckCount("metrics.samples", batch.samples_size(), kMaxAgentTargets, "targets"));
  for (const auto& sample : batch.samples()) {
    FL_RETURN_IF_ERROR(CheckFaults("metrics.samples.faults", sample.faults()));
    FL_RETURN_IF_ERROR(CheckFaults("metrics.samples.fault_delays", sample.fault_delays()));
  }
  return absl::OkStatus();
}

Status BaselineLimits::Check(const chaos::v1::AgentBaselines& given) {
  bytes_ += given.ByteSizeLong();
  if (bytes_ > kMaxBaselineBytes) {
    return FieldError("baselines", fmt::format("{} bytes", bytes_),
                      fmt::format("at most {} bytes in one stream", kMaxBaselineBytes));
  }
  for (const auto& target : given.targets()) {
    if (!targets_.insert(target.target_id()).second) {
      return FieldError("baselines.targets.target_id", target.target_id(), "each target once");
    }
    FL_RETURN_IF_ERROR(
        CheckCount("baselines.targets.slots", target.slots_size(), Baseline::kMaxSlots, "slots"));
    FL_RETURN_IF_ERROR(CheckCount("baselines.targets.faults", target.faults_size(),
                                  Baseline::kMaxFaults, "faults"));
  }
  return absl::OkStatus();
}

}  // namespace faultline::server
