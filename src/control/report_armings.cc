#include "control/report_armings.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "base/counters.h"

namespace faultline::control {
namespace {

using chaos::v1::FaultArming;
using chaos::v1::FaultCounters;
using chaos::v1::FaultEffect;
using Armings = std::vector<FaultArming>;

auto OrderOf(const FaultArming& arming) {
  return std::tuple(arming.incarnation(), arming.first(), arming.last(),
                    arming.counters().matched());
}

Armings Ordered(const FaultEffect& effect) {
  Armings ordered(effect.armings().begin(), effect.armings().end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const FaultArming& a, const FaultArming& b) {
    return OrderOf(a) < OrderOf(b);
  });
  return ordered;
}

// Whether they are stretches of one arming, for all that can be told; `b` is the later one.
bool GoesOn(const FaultArming& a, const FaultArming& b) {
  if (a.incarnation() != b.incarnation()) return false;
  // In one batch, too.
  if (a.ended() && b.began() && b.first() >= a.last()) return false;
  if (b.first() <= a.last()) return true;
  return !a.ended() && !b.began() && b.first_matched() >= a.counters().matched();
}

// The sum over the armings of their last counters.
FaultCounters SumOf(const Armings& ordered) {
  FaultCounters sum;
  for (size_t i = 0; i < ordered.size();) {
    FaultArming arming = ordered[i++];
    for (; i < ordered.size() && GoesOn(arming, ordered[i]); ++i) {
      const FaultArming& next = ordered[i];
      if (next.last() >= arming.last()) arming.set_ended(next.ended());
      arming.set_last(std::max(arming.last(), next.last()));
      if (next.counters().matched() >= arming.counters().matched()) {
        *arming.mutable_counters() = next.counters();
      }
    }
    AddUpCounters(arming.counters(), &sum);
  }
  return sum;
}

}  // namespace

void AddUpCounters(const FaultCounters& from, FaultCounters* into) {
  ForEachCounter(from, into, [](uint64_t a, uint64_t b) { return a + b; });
}

void TakeOffCounters(const FaultCounters& less, FaultCounters* into) {
  ForEachCounter(less, into, [](uint64_t a, uint64_t b) { return b - std::min(a, b); });
}

bool IsWhole(const FaultArming& arming) { return arming.began() && arming.ended(); }

void KeepLastArmings(int most, FaultEffect* effect) {
  const int more = effect->armings_size() - most;
  if (more > 0) effect->mutable_armings()->DeleteSubrange(0, more);
}

void MergeCounters(const FaultEffect& from, FaultEffect* into) {
  if (!from.by_arming() || !into->by_arming()) {
    if (from.counters().matched() > into->counters().matched()) {
      *into->mutable_counters() = from.counters();
    }
    into->clear_armings();
    into->set_by_arming(false);
    return;
  }
  AddUpCounters(from.counters(), into->mutable_counters());
  for (const FaultEffect* part : {&from, static_cast<const FaultEffect*>(into)}) {
    TakeOffCounters(SumOf(Ordered(*part)), into->mutable_counters());
  }
  into->mutable_armings()->MergeFrom(from.armings());
  const Armings all = Ordered(*into);
  AddUpCounters(SumOf(all), into->mutable_counters());
  into->mutable_armings()->Assign(all.begin(), all.end());
  KeepLastArmings(kMaxArmings, into);
}

}  // namespace faultline::control
