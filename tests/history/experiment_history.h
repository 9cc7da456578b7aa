// What clients of the control plane did and saw, and whether that is what one linearizable,
// never-forgetting server could have shown them. For tests/sim and tests/cluster.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "chaos/v1/chaos.pb.h"
#include "chaos/v1/experiment.pb.h"
#include "tests/history/linearizability.h"

namespace faultline::history {

// Why an experiment ends, as its phase shows it.
enum class End { kNone, kStopped, kExpired, kByItself };

// What an answer shows of one experiment.
struct Shown {
  bool exists = false;
  std::string experiment_id;
  uint64_t revision = 0;
  End end = End::kNone;
  bool finished = false;
  std::string content;  // the rest, as text

  // Of `experiment`, which exists.
  static Shown Of(const chaos::v1::Experiment& experiment);
};

enum class Kind { kStart, kStop, kRead };

struct Call {
  Kind kind = Kind::kRead;
  // A start that was refused for good (target busy, agent gone): nothing was made.
  bool refused = false;
};

using ExperimentOp = Operation<Call, Shown>;

// The life of one experiment, from nothing to its end. The server changes experiments by itself as
// well (agents report, time passes), within rules: the revision never sinks, equal revisions show
// equal experiments, what has ended stays as it is, only a stop shows as stopped, and a stop that
// was answered does.
struct ExperimentModel {
  struct State {
    Shown shown;
    // A start made it: what it shows is not known yet.
    bool unseen = false;
    auto operator<=>(const State& other) const { return Key() <=> other.Key(); }

   private:
    std::tuple<bool, bool, std::string, uint64_t, End, bool, std::string> Key() const {
      return {shown.exists, unseen,         shown.experiment_id, shown.revision,
              shown.end,    shown.finished, shown.content};
    }
  };
  State Initial() const { return {}; }
  bool Step(const ExperimentOp& op, State* state) const;
};

// Records from any thread.
class ExperimentHistory {
 public:
  // Of the experiment that `request_id` makes. Returns the operation's number.
  size_t Begin(uint64_t now_ns, Kind kind, const std::string& request_id, const std::string& who);
  // Answered with the experiment.
  void Return(size_t operation, uint64_t now_ns, const chaos::v1::Experiment& experiment);
  // Answered: there is no such experiment, or the start was refused for good.
  void ReturnNothing(size_t operation, uint64_t now_ns);
  // The first page of a list of all experiments, as the server had them at its revision: a read of
  // each that it shows, and, when there is no other page, of each that it does not.
  void List(uint64_t called_ns, uint64_t returned_ns,
            const chaos::v1::ListExperimentsResponse& response, const std::string& who);

  // What is wrong, for a person to read: with the history of the experiment it is about. Empty when
  // the history is linearizable. Checks each experiment by the model; that a request id never makes
  // two experiments; and across experiments that no list shows an earlier revision than was seen
  // before it was asked for.
  std::string Violation() const;

  size_t size() const;
  // Starts, stops and reads that were answered.
  size_t returned() const;
  // Ids of experiments whose start was answered, by request id.
  std::map<std::string, std::string> Acknowledged() const;

 private:
  struct Record {
    std::string request_id, who;
    ExperimentOp op;
  };
  struct ListRecord {
    uint64_t called_ns, returned_ns, revision;
    std::map<std::string, Shown> shown;  // by request id
    std::string who;
    bool whole;
  };
  std::map<std::string, std::vector<Record>> ByRequest() const;
  static std::vector<Record> WithoutNeedless(std::vector<Record> records);
  std::string ListViolation() const;
  static std::string Text(const std::vector<Record>& records, const Result& result);

  mutable std::mutex mutex_;
  std::vector<Record> records_;
  std::vector<ListRecord> lists_;
};

}  // namespace faultline::history
