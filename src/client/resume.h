// Where a stream stands, so that another node can go on with it: pure.
// Both filters are used by one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "base/status.h"
#include "chaos/v1/chaos.pb.h"
#include "chaos/v1/metrics.pb.h"

namespace faultline::client {

// Metric streams: every (experiment, target) of a source has its own position, and a stream may
// break between two updates of the same batch.
class MetricResume {
 public:
  // A series that is this many batches behind its source's newest no longer holds the resume
  // position back: its experiment or target is gone.
  static constexpr uint64_t kSilentAfterBatches = 100;
  // Starts of one agent that are remembered: the last words of an old one may come late.
  static constexpr size_t kIncarnationsKept = 4;

  // Series of one source that are remembered while it names no more; then silent ones are
  // forgotten.
  static constexpr size_t kLeastSeries = 1'024;

  // Most series that a request tells of; of others some measurements may come twice. Servers take
  // no more.
  static constexpr int kMostSeriesTold = 65'536;

  // True when the update is new to the consumer; it then counts as delivered. Updates without a
  // position always are. After an experiment's end nothing of it is, least of all the end, which
  // another node tells again. The first update of a series after FillIn stands for every batch
  // since the one delivered before: its merged_batches and missed_batches are made to say so.
  bool Accept(chaos::v1::MetricUpdate* update);
  // Never: a stream of metrics that the server ends is over.
  static bool Recover(const Status&) { return false; }
  // Sets `request`'s resume positions: per source the position that every series has reached, so
  // that nothing is missed, and of series that are further their own, so that nothing comes twice:
  // what does so anyway is refused by Accept. Positions of sources that have not been heard of yet
  // stay as they are. Takes out the experiments whose end was delivered:
  // a cluster forgets them some day, and would refuse the stream.
  void FillIn(chaos::v1::SubscribeToMetricsRequest* request);
  size_t series() const;  // remembered

 private:
  using Source = std::pair<std::string, uint64_t>;     // agent, incarnation
  using Series = std::pair<std::string, std::string>;  // experiment, target
  struct SeriesState {
    uint64_t delivered = 0;  // sequence
    uint64_t stream = 0;     // that it came by: count of FillIn calls
  };
  struct SourceState {
    uint64_t newest = 0;
    uint64_t last_accepted = 0;  // count of Accept calls
    std::map<Series, SeriesState> series;
    size_t look_at = kLeastSeries;

    bool IsSilent(const SeriesState& one) const {
      return one.delivered + kSilentAfterBatches < newest;
    }
    void ForgetSilentSeries();
  };
  void ForgetOldIncarnations(const std::string& agent_id);
  void LeaveOutEnded(chaos::v1::SubscribeToMetricsRequest* request) const;

  uint64_t accepts_ = 0;
  uint64_t streams_ = 0;
  std::map<Source, SourceState> sources_;
  std::set<std::string> ended_;  // of the experiments that the request names
};

// Watches: changes come in order of revision, which is the same on every node, and one revision's
// may be spread over several messages.
class WatchResume {
 public:
  // Takes out of `message` the experiments that the consumer has already seen in this revision.
  // True when the message is still worth delivering: something is left, or it is the first state.
  bool Accept(chaos::v1::WatchExperimentsResponse* message);
  void FillIn(chaos::v1::WatchExperimentsRequest* request) const;
  // Whether the watch goes on after the server has ended it with `status`: by listing again,
  // because what comes next is not kept any more (COMPACTED: the consumer then gets the present
  // state of what has changed meanwhile), or because another cluster answers (OTHER_CLUSTER: it
  // gets everything).
  bool Recover(const Status& status);

 private:
  uint64_t complete_revision_ = 0;  // all changes up to it have been delivered
  std::string cluster_id_;
  bool any_ = false;
  bool list_again_ = false;
  std::map<std::string, uint64_t>
      delivered_;  // after complete_revision_: experiment to its revision
};

}  // namespace faultline::client
