#include "control/report_fit.h"

#include <algorithm>
#include <array>

#include "base/histogram.h"
#include "base/traffic.h"
#include "control/report_armings.h"

namespace faultline::control {
namespace {

using chaos::v1::FaultEffect;
using chaos::v1::LeftOut;
using chaos::v1::Measurements;
using chaos::v1::SparseHistogram;
using chaos::v1::TargetReport;

// Of one point, about.
constexpr size_t kPointBytes = 48;

std::array<Measurements*, 3> PhasesOf(TargetReport* target) {
  return {target->mutable_before(), target->mutable_during(), target->mutable_after()};
}

uint64_t CountOf(const SparseHistogram& times) {
  Histogram histogram;
  histogram.Merge(times).IgnoreError();  // what is none of ours is not counted
  return histogram.count();
}

bool HasHistograms(const Measurements& measured) {
  return measured.has_latency() || measured.traffic().has_handshake() ||
         measured.traffic().has_smoothed_rtt();
}

void MergeHistograms(const Measurements& from, Measurements* into) {
  if (from.has_latency()) {
    MergeSparse(from.latency(), into->mutable_latency()).IgnoreError();
  }
  if (from.traffic().has_handshake()) {
    auto* handshake = into->mutable_traffic()->mutable_handshake();
    MergeSparse(from.traffic().handshake(), handshake).IgnoreError();
  }
  if (from.traffic().has_smoothed_rtt()) {
    auto* smoothed_rtt = into->mutable_traffic()->mutable_smoothed_rtt();
    MergeSparse(from.traffic().smoothed_rtt(), smoothed_rtt).IgnoreError();
  }
}

void MergeGiven(const FaultEffect& from, LeftOut* into) {
  auto* faults = into->mutable_faults();
  auto of_fault = std::find_if(faults->begin(), faults->end(), [&](const FaultEffect& effect) {
    return effect.fault_index() == from.fault_index();
  });
  FaultEffect* sum = of_fault == faults->end() ? faults->Add() : &*of_fault;
  sum->set_fault_index(from.fault_index());
  MergeSparse(from.given(), sum->mutable_given()).IgnoreError();
}

std::array<const Measurements*, 3> PhasesOf(const TargetReport& target) {
  return {&target.before(), &target.during(), &target.after()};
}

bool HasPoints(const TargetReport& target) { return !target.points().empty(); }

bool HasEvents(const TargetReport& target) {
  const auto phases = PhasesOf(target);
  return std::any_of(phases.begin(), phases.end(),
                     [](const Measurements* phase) { return !phase->traffic().events().empty(); });
}

bool HasAnyHistogram(const TargetReport& target) {
  const auto phases = PhasesOf(target);
  return std::any_of(phases.begin(), phases.end(),
                     [](const Measurements* phase) { return HasHistograms(*phase); }) ||
         std::any_of(target.faults().begin(), target.faults().end(),
                     [](const FaultEffect& effect) { return effect.has_given(); });
}

bool HasManyArmings(const TargetReport& target) {
  return std::any_of(target.faults().begin(), target.faults().end(),
                     [](const FaultEffect& effect) { return effect.armings_size() > kFewArmings; });
}

void GiveUpPoints(TargetReport* target) {
  target->clear_points();
  target->set_points_left_out(true);
}

void GiveUpEvents(TargetReport* target) {
  for (Measurements* phase : PhasesOf(target)) {
    if (phase->has_traffic()) LoseEvents(phase->mutable_traffic());
  }
  target->set_events_left_out(true);
}

void GiveUpArmings(TargetReport* target) {
  for (FaultEffect& effect : *target->mutable_faults()) KeepLastArmings(kFewArmings, &effect);
}

// What the last targets have of it, until there is nothing too much.
template <typename Part, typename GiveUp>
void GiveUpFromTheEnd(Part* part, size_t* size, bool (*has)(const TargetReport&), GiveUp give_up) {
  for (int i = part->targets_size() - 1; i >= 0 && *size > kMaxReportBytes; --i) {
    if (!has(part->targets(i))) continue;
    TargetReport* target = part->mutable_targets(i);
    const size_t before = target->ByteSizeLong() + part->left_out().ByteSizeLong();
    give_up(target);
    *size += target->ByteSizeLong() + part->left_out().ByteSizeLong();
    *size -= before;
  }
}

template <typename Part>
void FitPart(Part* part) {
  size_t size = part->ByteSizeLong();
  GiveUpFromTheEnd(part, &size, HasPoints, GiveUpPoints);
  GiveUpFromTheEnd(part, &size, HasEvents, GiveUpEvents);
  GiveUpFromTheEnd(part, &size, HasManyArmings, GiveUpArmings);
  GiveUpFromTheEnd(part, &size, HasAnyHistogram, [part](TargetReport* target) {
    GiveUpHistograms(target, part->mutable_left_out());
  });
}

}  // namespace

void GiveUpHistograms(TargetReport* target, LeftOut* left_out) {
  const auto into =
      std::array{left_out->mutable_before(), left_out->mutable_during(), left_out->mutable_after()};
  const auto phases = PhasesOf(target);
  for (size_t i = 0; i < phases.size(); ++i) {
    Measurements* phase = phases[i];
    if (!HasHistograms(*phase)) continue;
    target->set_histograms_left_out(true);
    MergeHistograms(*phase, into[i]);
    phase->set_requests(phase->requests() + CountOf(phase->latency()));
    phase->set_handshakes(phase->handshakes() + CountOf(phase->traffic().handshake()));
    phase->clear_latency();
    if (phase->has_traffic()) ClearHistograms(phase->mutable_traffic());
  }
  for (FaultEffect& effect : *target->mutable_faults()) {
    if (!effect.has_given()) continue;
    target->set_histograms_left_out(true);
    MergeGiven(effect, left_out);
    effect.clear_given();
  }
}

void AddLeftOut(const LeftOut& from, LeftOut* into) {
  MergeHistograms(from.before(), into->mutable_before());
  MergeHistograms(from.during(), into->mutable_during());
  MergeHistograms(from.after(), into->mutable_after());
  for (const FaultEffect& effect : from.faults()) MergeGiven(effect, into);
}

void Fit(chaos::v1::Report* report) { FitPart(report); }
void Fit(::control::v1::RecordReport* part) { FitPart(part); }

size_t PointsFor(size_t targets) {
  return std::max(kFewPoints, kMaxReportBytes / 2 / kPointBytes / std::max<size_t>(targets, 1));
}

}  // namespace faultline::control
