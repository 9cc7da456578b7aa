#include "control/stop_answer.h"

namespace faultline::control {
namespace {

// Without copying what is left out: faults and targets are most of it.
void CopyWithoutLists(const chaos::v1::Experiment& from, chaos::v1::Experiment* to) {
  to->set_experiment_id(from.experiment_id());
  to->set_status(from.status());
  to->set_phase(from.phase());
  to->set_reason(from.reason());
  to->set_target(from.target());
  to->set_seed(from.seed());
  if (from.has_duration()) *to->mutable_duration() = from.duration();
  if (from.has_created_at()) *to->mutable_created_at() = from.created_at();
  if (from.has_ends_at()) *to->mutable_ends_at() = from.ends_at();
  if (from.has_ended_at()) *to->mutable_ended_at() = from.ended_at();
  to->set_revision(from.revision());
  to->set_created_by(from.created_by());
  to->set_request_id(from.request_id());
}

}  // namespace

void StopAnswer::Add(const chaos::v1::Experiment& experiment) {
  if (bytes_ >= kWholeBytes) return CopyWithoutLists(experiment, experiments_->Add());
  bytes_ += experiment.ByteSizeLong();
  *experiments_->Add() = experiment;
}

}  // namespace faultline::control
