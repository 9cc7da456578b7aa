// A stream of metrics as people follow it: what shows it is drawn anew several times a second, also
// while nothing comes.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "cli/session.h"

namespace faultline::cli {

// What shows a stream. One thread.
class MetricsDisplay {
 public:
  virtual ~MetricsDisplay() = default;
  // Takes a measurement. Result: a line to be printed of it at once; empty when it shows in what is
  // drawn.
  virtual std::string Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns) = 0;
  // The experiment has ended; all that was measured in it was added before.
  virtual void End(const std::string& experiment_id) = 0;
  // What draws the present picture over the one before.
  virtual std::string Draw(const Terminal& terminal, uint64_t now_ns) = 0;
  // The last picture, when nothing more comes.
  virtual std::string Finish(const Terminal& terminal, uint64_t now_ns) {
    return Draw(terminal, now_ns);
  }
  // What takes the picture away, so that something can be printed where it was.
  virtual std::string Erase() = 0;
};

// A table with a line for each experiment and target, each updated `rate_hz` times a second, for a
// terminal that redraws.
std::unique_ptr<MetricsDisplay> MakeTable(const Terminal& terminal, double rate_hz);
// Percentiles over time; when the terminal does not redraw, a line for each second.
std::unique_ptr<MetricsDisplay> MakeChart(const Terminal& terminal, bool per_target);

// Shows the stream until it ends, Ctrl-C, or `count` updates (0: no limit). Ends of experiments,
// and that the stream goes on at another node, are notes.
Status FollowMetrics(Session& session, client::Client& client,
                     const chaos::v1::SubscribeToMetricsRequest& request, uint64_t count,
                     MetricsDisplay& display);

// Notes how these experiments ended, whose stream has ended without telling: a node of the version
// before tells no ends. Nothing of those that have not ended or cannot be asked for.
void TellEnds(Session& session, client::Client& client, const std::set<std::string>& ids);

// True when a stream has ended as it should: by itself, or by Ctrl-C.
bool IsStreamsEnd(const Status& status);

}  // namespace faultline::cli
