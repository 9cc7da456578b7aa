#include "cli/wait.h"

#include <algorithm>

#include "cli/describe.h"

namespace faultline::cli {

bool IsArmed(const chaos::v1::Experiment& experiment) {
  const auto& pairs = experiment.targets();
  return std::none_of(pairs.begin(), pairs.end(), [](const auto& pair) {
    return pair.phase() == chaos::v1::TARGET_PHASE_PENDING;
  });
}

StatusOr<chaos::v1::Experiment> WaitUntilArmed(Session& session, client::Client& client,
                                               const chaos::v1::Experiment& experiment) {
  if (IsArmed(experiment) || HasEnded(experiment)) return experiment;
  chaos::v1::WatchExperimentsRequest request;
  request.add_experiment_ids(experiment.experiment_id());
  const auto stream = client.WatchExperiments(request, session.stream());
  while (true) {
    FL_ASSIGN_OR_RETURN(const auto change, stream->Next());
    for (const auto& changed : change.experiments()) {
      if (IsArmed(changed) || HasEnded(changed)) return changed;
    }
  }
}

}  // namespace faultline::cli
