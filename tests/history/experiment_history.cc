#include "tests/history/experiment_history.h"

#include <fmt/format.h>

#include <algorithm>

namespace faultline::history {
namespace {

constexpr double kNanosPerMs = 1e6;

End EndOf(const chaos::v1::Experiment& experiment) {
  const std::string& phase = experiment.phase();
  if (phase == "stopping" || phase == "stopped") return End::kStopped;
  if (phase == "expiring" || phase == "expired") return End::kExpired;
  return phase == "active" || phase == "arming" ? End::kNone : End::kByItself;
}

const char* NameOf(Kind kind) {
  return kind == Kind::kStart ? "start" : kind == Kind::kStop ? "stop" : "read";
}

std::string Text(const ExperimentOp& op) {
  const std::string call = NameOf(op.input.kind);
  if (!op.returned()) return call + " -> unknown";
  if (!op.output.exists) return call + (op.input.refused ? " -> refused" : " -> nothing");
  return fmt::format("{} -> {} at {}: {}", call, op.output.experiment_id, op.output.revision,
                     op.output.content);
}

// Whether an experiment that shows `before` may show `after` later on.
bool MayBecome(const ExperimentModel::State& before, const Shown& after) {
  if (before.unseen) {
    // A stop may have been given its place before anybody saw the experiment.
    return before.shown.end == End::kNone ? after.end != End::kStopped
                                          : after.end == before.shown.end;
  }
  const Shown& seen = before.shown;
  if (after.experiment_id != seen.experiment_id || after.revision < seen.revision) return false;
  if (seen.end != End::kNone && after.end != seen.end) return false;
  if (seen.end == End::kNone && after.end == End::kStopped) return false;
  if (seen.finished) return after.finished && after.revision == seen.revision;
  return after.revision > seen.revision || seen.content.empty() || after.content == seen.content;
}

// A stop may wait for the end, and a start may be asked again: each then shows a later state than
// it made, and what it shows is a read of its own (ExperimentHistory::Return).
bool StepStop(const ExperimentOp& op, ExperimentModel::State* state) {
  Shown& shown = state->shown;
  if (!shown.exists) return !op.returned() || !op.output.exists;
  const End end = op.returned() ? op.output.end : End::kStopped;
  if (op.returned() && (!op.output.exists || end == End::kNone)) return false;
  if (shown.end != End::kNone) return !op.returned() || end == shown.end;
  if (end == End::kStopped) {
    shown.end = end;
    shown.content.clear();
  }
  return true;
}

}  // namespace

Shown Shown::Of(const chaos::v1::Experiment& experiment) {
  Shown shown;
  shown.exists = true;
  shown.experiment_id = experiment.experiment_id();
  shown.revision = experiment.revision();
  shown.end = EndOf(experiment);
  shown.finished = experiment.status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED ||
                   experiment.status() == chaos::v1::EXPERIMENT_STATUS_FAILED;
  shown.content = fmt::format("{}, {} ({})", chaos::v1::ExperimentStatus_Name(experiment.status()),
                              experiment.phase(), experiment.reason());
  for (const auto& pair : experiment.targets()) {
    shown.content += fmt::format("; {} {} {}", pair.target_id(),
                                 chaos::v1::TargetPhase_Name(pair.phase()), pair.reason());
  }
  return shown;
}

bool ExperimentModel::Step(const ExperimentOp& op, State* state) const {
  if (op.input.kind == Kind::kStop) return StepStop(op, state);
  if (op.returned() && !op.output.exists) return !state->shown.exists;
  if (op.input.kind == Kind::kStart) {
    if (!state->shown.exists) state->shown.exists = state->unseen = true;
    return true;
  }
  if (!op.returned()) return true;
  if (!state->shown.exists || !MayBecome(*state, op.output)) return false;
  *state = {op.output, false};
  return true;
}

size_t ExperimentHistory::Begin(uint64_t now_ns, Kind kind, const std::string& request_id,
                                const std::string& who) {
  const std::lock_guard lock(mutex_);
  records_.push_back({request_id, who, {now_ns, kNever, {kind, false}, {}}});
  return records_.size() - 1;
}

void ExperimentHistory::Return(size_t operation, uint64_t now_ns,
                               const chaos::v1::Experiment& experiment) {
  const std::lock_guard lock(mutex_);
  records_[operation].op.returned_ns = now_ns;
  records_[operation].op.output = Shown::Of(experiment);
  if (records_[operation].op.input.kind == Kind::kRead) return;
  Record shown = records_[operation];
  shown.op.input.kind = Kind::kRead;
  records_.push_back(std::move(shown));
}

void ExperimentHistory::ReturnNothing(size_t operation, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  ExperimentOp& op = records_[operation].op;
  op.returned_ns = now_ns;
  op.input.refused = op.input.kind == Kind::kStart;
}

void ExperimentHistory::List(uint64_t called_ns, uint64_t returned_ns,
                             const chaos::v1::ListExperimentsResponse& response,
                             const std::string& who) {
  const bool whole = response.next_page_token().empty();
  ListRecord list{called_ns, returned_ns, response.revision(), {}, who, whole};
  for (const auto& experiment : response.experiments()) {
    list.shown[experiment.request_id()] = Shown::Of(experiment);
  }
  const std::lock_guard lock(mutex_);
  lists_.push_back(std::move(list));
}

std::map<std::string, std::vector<ExperimentHistory::Record>> ExperimentHistory::ByRequest() const {
  std::map<std::string, std::vector<Record>> by_request;
  for (const Record& record : records_) by_request[record.request_id].push_back(record);
  for (const ListRecord& list : lists_) {
    for (auto& [request_id, records] : by_request) {
      const auto found = list.shown.find(request_id);
      if (found == list.shown.end() && !list.whole) continue;
      const Shown shown = found == list.shown.end() ? Shown{} : found->second;
      records.push_back({request_id, list.who, {list.called_ns, list.returned_ns, {}, shown}});
    }
  }
  return by_request;
}

// What was not answered may have taken effect at any time after its call, or never. A read has no
// effect, and of starts (stops) only the first has one: the one that was called first can stand for
// all others. Each more would double the orders to be tried.
std::vector<ExperimentHistory::Record> ExperimentHistory::WithoutNeedless(
    std::vector<Record> records) {
  std::map<Kind, uint64_t> first_ns;
  for (const Record& record : records) {
    if (record.op.returned() || record.op.input.kind == Kind::kRead) continue;
    const auto [found, fresh] = first_ns.emplace(record.op.input.kind, record.op.called_ns);
    found->second = std::min(found->second, record.op.called_ns);
  }
  std::erase_if(records, [&](const Record& record) {
    if (record.op.returned()) return false;
    const auto first = first_ns.find(record.op.input.kind);
    if (first == first_ns.end() || first->second != record.op.called_ns) return true;
    first_ns.erase(first);  // the others of the same time are as good
    return false;
  });
  return records;
}

std::string ExperimentHistory::Text(const std::vector<Record>& records, const Result& result) {
  std::vector<size_t> by_time(records.size());
  for (size_t i = 0; i < records.size(); ++i) by_time[i] = i;
  std::sort(by_time.begin(), by_time.end(),
            [&](size_t a, size_t b) { return records[a].op.called_ns < records[b].op.called_ns; });
  std::string text;
  for (const size_t i : by_time) {
    const Record& record = records[i];
    const auto place = std::find(result.order.begin(), result.order.end(), i);
    const std::string returned =
        record.op.returned()
            ? fmt::format("{:10.3f}", static_cast<double>(record.op.returned_ns) / kNanosPerMs)
            : "         -";
    text += fmt::format("  {:10.3f} to {} ms  {:<10} {}{}\n",
                        static_cast<double>(record.op.called_ns) / kNanosPerMs, returned,
                        record.who, history::Text(record.op),
                        i == result.misfit ? "   <-- has no place"
                        : place == result.order.end()
                            ? ""
                            : fmt::format("   [{}]", place - result.order.begin() + 1));
  }
  return text;
}

// No answer may be older than what anybody had seen before it was asked for.
std::string ExperimentHistory::ListViolation() const {
  struct Seen {
    uint64_t time_ns, revision;
  };
  std::vector<Seen> seen;
  for (const Record& record : records_) {
    if (record.op.returned() && record.op.output.exists) {
      seen.push_back({record.op.returned_ns, record.op.output.revision});
    }
  }
  for (const ListRecord& list : lists_) seen.push_back({list.returned_ns, list.revision});
  for (const ListRecord& list : lists_) {
    for (const Seen& before : seen) {
      if (before.time_ns < list.called_ns && before.revision > list.revision) {
        return fmt::format(
            "a list asked for by {} at {:.3f} ms shows revision {}, but {} was seen "
            "at {:.3f} ms",
            list.who, static_cast<double>(list.called_ns) / kNanosPerMs, list.revision,
            before.revision, static_cast<double>(before.time_ns) / kNanosPerMs);
      }
    }
  }
  return {};
}

std::string ExperimentHistory::Violation() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string> request_of;
  for (const auto& [request_id, all_records] : ByRequest()) {
    const std::vector<Record> records = WithoutNeedless(all_records);
    std::vector<ExperimentOp> history;
    for (const Record& record : records) history.push_back(record.op);
    const Result result = Check(ExperimentModel{}, history);
    if (result.verdict != Verdict::kLinearizable) {
      return fmt::format(
          "the history of request {} is {}:\n{}", request_id,
          result.verdict == Verdict::kUndecided ? "too long to judge" : "not linearizable",
          Text(records, result));
    }
    for (const ExperimentOp& op : history) {
      if (!op.returned() || !op.output.exists) continue;
      const auto [found, fresh] = request_of.emplace(op.output.experiment_id, request_id);
      if (found->second != request_id) {
        return fmt::format("requests {} and {} both made {}", found->second, request_id,
                           op.output.experiment_id);
      }
    }
  }
  return ListViolation();
}

size_t ExperimentHistory::size() const {
  const std::lock_guard lock(mutex_);
  return records_.size() + lists_.size();
}

size_t ExperimentHistory::returned() const {
  const std::lock_guard lock(mutex_);
  return lists_.size() +
         static_cast<size_t>(std::count_if(records_.begin(), records_.end(),
                                           [](const Record& r) { return r.op.returned(); }));
}

std::map<std::string, std::string> ExperimentHistory::Acknowledged() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string> acknowledged;
  for (const Record& record : records_) {
    if (record.op.input.kind == Kind::kStart && record.op.returned() && record.op.output.exists) {
      acknowledged[record.request_id] = record.op.output.experiment_id;
    }
  }
  return acknowledged;
}

}  // namespace faultline::history
