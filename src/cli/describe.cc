#include "cli/describe.h"

#include <algorithm>
#include <map>
#include <set>

#include "cli/format.h"

namespace faultline::cli {
namespace {

using chaos::v1::Experiment;
using chaos::v1::ExperimentStatus;
using chaos::v1::TargetPhase;

// Of an Experiment, or of an ExperimentEnd.
template <typename Ended>
std::string EndTextOf(const std::string& id, const Ended& ended) {
  return fmt::format("{} has ended: {}, {}{}{}", id, StatusWord(ended.status()), ended.phase(),
                     ended.reason().empty() ? "" : ": ", ended.reason());
}

}  // namespace

Style StyleOf(ExperimentStatus status) {
  switch (status) {
    case chaos::v1::EXPERIMENT_STATUS_RUNNING:
      return Style::kWarning;
    case chaos::v1::EXPERIMENT_STATUS_COMPLETED:
      return Style::kGood;
    case chaos::v1::EXPERIMENT_STATUS_FAILED:
      return Style::kBad;
    default:
      return Style::kPlain;
  }
}

Style StyleOf(TargetPhase phase) {
  switch (phase) {
    case chaos::v1::TARGET_PHASE_ACTIVE:
    case chaos::v1::TARGET_PHASE_REVERTING:
      return Style::kWarning;
    case chaos::v1::TARGET_PHASE_REVERTED:
      return Style::kGood;
    case chaos::v1::TARGET_PHASE_REFUSED:
    case chaos::v1::TARGET_PHASE_LOST:
      return Style::kBad;
    default:
      return Style::kPlain;
  }
}

bool HasEnded(const Experiment& experiment) {
  return experiment.status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED ||
         experiment.status() == chaos::v1::EXPERIMENT_STATUS_FAILED;
}

std::string FaultsText(const Experiment& experiment, bool brief) {
  std::vector<std::string> faults;
  for (const auto& fault : experiment.faults()) {
    faults.push_back(brief ? fault.kind() : FaultText(fault));
  }
  return fmt::format("{}", fmt::join(faults, " + "));
}

std::string FaultText(const chaos::v1::Fault& fault) {
  std::string text = fault.kind();
  const std::map<std::string, std::string> sorted(fault.parameters().begin(),
                                                  fault.parameters().end());
  for (const auto& [name, value] : sorted) text += fmt::format(" {}={}", name, value);
  return text;
}

std::string ActsOnText(const chaos::v1::EffectiveRule& rule) {
  std::string text = fmt::format("{}", fmt::join(rule.acts_on(), ", "));
  if (!rule.local_ports().empty()) {
    text += fmt::format(", local port {}", fmt::join(rule.local_ports(), " "));
  }
  return text;
}

std::vector<std::string> CombinedTexts(const chaos::v1::EffectiveTarget& target) {
  std::map<std::string, std::vector<std::string>> effects;  // by what they act on
  for (const auto& combined : target.combined()) {
    effects[combined.acts_on()].push_back(
        fmt::format("{} {:.10g} {}", combined.name(), combined.value(), combined.unit()));
  }
  std::vector<std::string> texts;
  for (const auto& [acts_on, texts_on] : effects) {
    texts.push_back(fmt::format("{}: {}", acts_on, fmt::join(texts_on, ", ")));
  }
  return texts;
}

std::vector<std::string> StackedTexts(const chaos::v1::GetExperimentResponse& response) {
  std::vector<std::string> texts;
  for (const auto& target : response.effective()) {
    std::vector<std::string> others;
    for (const auto& rule : target.rules()) {
      if (rule.experiment_id() != response.experiment().experiment_id())
        others.push_back(rule.experiment_id());
    }
    if (others.empty()) continue;
    // As they began: their numbers grow.
    std::ranges::sort(others, {}, [](const auto& id) { return std::pair(id.size(), id); });
    others.erase(std::unique(others.begin(), others.end()), others.end());
    const auto combined = CombinedTexts(target);
    texts.push_back(fmt::format("{} also carries {}{}", target.target_id(), fmt::join(others, ", "),
                                combined.empty() ? "" : "; together, of those that are active:"));
    for (const std::string& line : combined) texts.push_back("  " + line);
  }
  return texts;
}

std::string ActiveText(const Experiment& experiment) {
  const auto& pairs = experiment.targets();
  const auto active = std::count_if(pairs.begin(), pairs.end(), [](const auto& pair) {
    return pair.phase() == chaos::v1::TARGET_PHASE_ACTIVE;
  });
  return fmt::format("{}/{}", active, pairs.size());
}

std::string LeftText(const Experiment& experiment, int64_t now_unix_ns) {
  if (HasEnded(experiment) || !experiment.has_ends_at()) return "-";
  return FormatDuration(std::max<int64_t>(0, ToUnixNanos(experiment.ends_at()) - now_unix_ns));
}

std::string LabelsText(const google::protobuf::Map<std::string, std::string>& labels) {
  std::set<std::string> sorted;
  for (const auto& [key, value] : labels) sorted.insert(fmt::format("{}:{}", key, value));
  return fmt::format("{}", fmt::join(sorted, ","));
}

std::string Counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string EndText(const chaos::v1::MetricUpdate& update) {
  return EndTextOf(update.experiment_id(), update.end());
}

std::string EndText(const Experiment& experiment) {
  return EndTextOf(experiment.experiment_id(), experiment);
}

std::string BrokenText(const Status& why, std::string_view next_address) {
  return fmt::format("the stream broke ({}); going on at {}", ToString(why.message()),
                     next_address);
}

std::string FreshnessText(const chaos::v1::Freshness& freshness) {
  if (!freshness.stale()) {
    return fmt::format("given by node {}, with everything acknowledged before",
                       freshness.node_id());
  }
  return fmt::format("node {}'s own state, {}", freshness.node_id(),
                     freshness.has_age() ? "with everything acknowledged " +
                                               FormatDuration(freshness.age()) + " before"
                                         : "of which it is not known how far it is behind");
}

void NoteStale(Output& out, const chaos::v1::Freshness& freshness) {
  if (freshness.stale()) out.Note(FreshnessText(freshness));
}

Status FailedError(const Experiment& experiment) {
  std::string why = experiment.reason();
  for (const auto& pair : experiment.targets()) {
    if (!why.empty()) break;
    if (!pair.reason().empty()) why = fmt::format("{}: {}", pair.target_id(), pair.reason());
  }
  return MakeDetailedError(StatusCode::kAborted, "EXPERIMENT_FAILED",
                           fmt::format("experiment {} failed: {}", experiment.experiment_id(),
                                       why.empty() ? experiment.phase() : why),
                           {{"experiment_id", experiment.experiment_id()}});
}

}  // namespace faultline::cli
