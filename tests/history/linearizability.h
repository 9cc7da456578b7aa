// Whether a history of concurrent operations is linearizable: whether each operation can be given a
// single point in time between its call and its return so that, in the order of these points, every
// operation returns what a sequential object (the model) would have returned.
//
// The search is that of J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (Journal
// of Parallel and Distributed Computing, 1993), with the memory of configurations already seen of
// G. Lowe, "Testing for linearizability" (Concurrency and Computation: Practice and Experience,
// 2017). Linearizability is local (M. Herlihy and J. M. Wing, 1990): a history over several objects
// is linearizable when its part for each object is, which is how callers keep histories short (see
// also A. Horn and D. Kroening, "Faster linearizability checking via P-compositionality", 2015).
//
// Pure; of any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <set>
#include <utility>
#include <vector>

namespace faultline::history {

// As returned_ns: the outcome is unknown. Such an operation may have taken effect at any time after
// its call, or never.
inline constexpr uint64_t kNever = UINT64_MAX;

template <typename Input, typename Output>
struct Operation {
  uint64_t called_ns = 0;
  uint64_t returned_ns = kNever;
  Input input;
  Output output;  // without meaning when the outcome is unknown
  bool returned() const { return returned_ns != kNever; }
};

enum class Verdict { kLinearizable, kNotLinearizable, kUndecided };

struct Result {
  Verdict verdict = Verdict::kUndecided;
  // Positions in the history: the longest order of operations that the model allows. When the
  // history is linearizable, all that have returned are in it.
  std::vector<size_t> order;
  // Not linearizable: the operation that returned without a place after `order`.
  size_t misfit = 0;
};

// `Model` has a type State, ordered by <, and
//   State Initial() const;
//   // Whether `operation` may return what it did in *state, which is then the state after it. An
//   // operation that has not returned may return anything.
//   bool Step(const Operation<Input, Output>& operation, State* state) const;
// kUndecided after `max_steps` tries: give the model smaller histories.
template <typename Model, typename Op>
class Checker {
 public:
  Checker(const Model& model, const std::vector<Op>& history, uint64_t max_steps = 2'000'000)
      : model_(model), history_(history), steps_left_(max_steps) {
    std::vector<Event> events;
    for (size_t i = 0; i < history.size(); ++i) {
      events.push_back({history[i].called_ns, false, i});
      if (!history[i].returned()) continue;
      events.push_back({history[i].returned_ns, true, i});
      ++returns_left_;
    }
    // Of one time, calls come first: the operations may have overlapped.
    std::sort(events.begin(), events.end());
    events_.assign(events.begin(), events.end());
  }

  Result Check() {
    State state = model_.Initial();
    std::vector<bool> done(history_.size());
    auto at = events_.begin();
    while (returns_left_ > 0) {
      if (steps_left_-- == 0) return result_;
      if (at->is_return) {
        if (order_.size() >= result_.order.size()) {
          result_.order = Order();
          result_.misfit = at->operation;
        }
        if (order_.empty()) {
          result_.verdict = Verdict::kNotLinearizable;
          return result_;
        }
        at = Undo(&state, &done);
        continue;
      }
      State next = state;
      if (!model_.Step(history_[at->operation], &next)) {
        ++at;
        continue;
      }
      done[at->operation] = true;
      if (!seen_.emplace(done, next).second) {
        done[at->operation] = false;
        ++at;
        continue;
      }
      at = Do(at, std::exchange(state, std::move(next)));
    }
    result_.verdict = Verdict::kLinearizable;
    result_.order = Order();
    return result_;
  }

 private:
  using State = typename Model::State;
  struct Event {
    uint64_t time_ns;
    bool is_return;
    size_t operation;
    auto operator<=>(const Event&) const = default;
  };
  using Events = std::list<Event>;
  // An operation that has been given its place; its events, taken out, and what stood after them.
  struct Placed {
    size_t operation;
    State before;
    Events taken_call, taken_return;
    typename Events::iterator after_call, after_return;
  };

  typename Events::iterator Do(typename Events::iterator call, State before) {
    Placed& placed = order_.emplace_back();
    placed.operation = call->operation;
    placed.before = std::move(before);
    auto returned = std::next(call);
    while (returned != events_.end() && returned->operation != call->operation) ++returned;
    placed.after_return = returned;
    if (returned != events_.end()) {
      placed.after_return = std::next(returned);
      --returns_left_;
      placed.taken_return.splice(placed.taken_return.end(), events_, returned);
    }
    placed.after_call = std::next(call);
    placed.taken_call.splice(placed.taken_call.end(), events_, call);
    return events_.begin();
  }

  // Takes the last operation's place away; the event after its call.
  typename Events::iterator Undo(State* state, std::vector<bool>* done) {
    Placed& placed = order_.back();
    *state = std::move(placed.before);
    (*done)[placed.operation] = false;
    const auto call = placed.taken_call.begin();
    events_.splice(placed.after_call, placed.taken_call);
    if (!placed.taken_return.empty()) ++returns_left_;
    events_.splice(placed.after_return, placed.taken_return);
    order_.pop_back();
    return std::next(call);
  }

  std::vector<size_t> Order() const {
    std::vector<size_t> order;
    for (const Placed& placed : order_) order.push_back(placed.operation);
    return order;
  }

  const Model& model_;
  const std::vector<Op>& history_;
  uint64_t steps_left_;
  size_t returns_left_ = 0;
  Events events_;  // of operations without a place, by time
  std::vector<Placed> order_;
  std::set<std::pair<std::vector<bool>, State>> seen_;
  Result result_;
};

template <typename Model, typename Op>
Result Check(const Model& model, const std::vector<Op>& history) {
  return Checker<Model, Op>(model, history).Check();
}

}  // namespace faultline::history
