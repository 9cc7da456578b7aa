// Kinds whose packets vanish.
#include <cmath>

#include "faults/network/plan.h"
#include "faults/network/plan_units.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

// Two states, good and bad; `mean` is the share lost in the long run, all are shares of 1. Good and
// bad alternate as chances of each packet: bad lasts 1 / to_good packets, and is the state of
// to_bad / (to_bad + to_good) of all.
fl_choice GilbertElliott(const pb::NetworkLoss& loss) {
  const double mean = loss.loss_percent() / 100;
  const double good = loss.good_loss_percent() / 100, bad = loss.bad_loss_percent() / 100;
  const double share_bad = (mean - good) / (bad - good);
  const double to_good = 1 / loss.burst_packets();
  fl_choice choice{};
  choice.chance_of_2_32 = OfTwoTo32(100 * good);
  choice.bad_chance_of_2_32 = OfTwoTo32(100 * bad);
  choice.to_bad_of_2_32 = OfTwoTo32(100 * to_good * share_bad / (1 - share_bad));
  choice.to_good_of_2_32 = OfTwoTo32(100 * to_good);
  return choice;
}

// Packets whose fates have this correlation with those before them, the share lost unchanged: all
// are lost in the bad state and none in the good one.
fl_choice Correlated(double share, double correlation) {
  fl_choice choice{};
  choice.bad_chance_of_2_32 = FL_ALWAYS;
  choice.to_bad_of_2_32 = OfTwoTo32(100 * share * (1 - correlation));
  choice.to_good_of_2_32 = OfTwoTo32(100 * (1 - share) * (1 - correlation));
  return choice;
}

fl_choice ChoiceOf(const pb::NetworkLoss& loss) {
  if (loss.model() == pb::LOSS_MODEL_GILBERT_ELLIOTT) return GilbertElliott(loss);
  if (loss.correlation_percent() > 0) {
    return Correlated(loss.loss_percent() / 100, loss.correlation_percent() / 100);
  }
  fl_choice choice{};
  if (loss.model() == pb::LOSS_MODEL_EVERY_NTH) {
    choice.every = static_cast<uint64_t>(std::llround(100 / loss.loss_percent()));
  } else {
    choice.chance_of_2_32 = OfTwoTo32(loss.loss_percent());
  }
  return choice;
}

ActionPlan Lose(const fl_choice& choice) {
  ActionPlan plan;
  plan.action = FL_ACT_LOSE;
  plan.choice = choice;
  plan.acted.in_kernel = &chaos::v1::FaultCounters::set_dropped;
  return plan;
}

ActionPlan LoseAll() {
  fl_choice all{};
  all.chance_of_2_32 = FL_ALWAYS;
  return Lose(all);
}

}  // namespace

ActionPlan Plan(const pb::NetworkLoss& loss, uint64_t /*seed*/) { return Lose(ChoiceOf(loss)); }

ActionPlan Plan(const pb::NetworkBlackhole&, uint64_t /*seed*/) { return LoseAll(); }

ActionPlan Plan(const pb::NetworkPartition&, uint64_t /*seed*/) { return LoseAll(); }

}  // namespace faultline::network
