#include "faults/network/hold_queue.h"

#include <limits>

namespace faultline::network {

HoldQueue::~HoldQueue() { TakeAll(); }

void HoldQueue::Push(std::unique_ptr<Frame> frame, uint64_t due_ns, uint64_t floor_ns) {
  // Frames of one flow may meet the programs on two processors, in another order than they come.
  constexpr uint64_t kNoWaitNs = 1'000'000;
  auto& entry = *flows_.try_emplace(frame->flow).first;
  Flow& flow = entry.second;
  const uint64_t release_ns = std::max(due_ns, flow.floor_ns);
  const bool cut_short = frame->cut_short || release_ns > due_ns + kNoWaitNs;
  flow.floor_ns = std::max(flow.floor_ns, floor_ns);
  held_bytes_ += frame->TakenBytes();
  Frame* raw = frame.release();
  raw->next = nullptr;
  (flow.newest == nullptr ? flow.oldest : flow.newest->next) = raw;
  flow.newest = raw;
  releases_.push({release_ns, sequence_++, cut_short, &entry});
}

uint64_t HoldQueue::NextReleaseNs() const {
  return releases_.empty() ? std::numeric_limits<uint64_t>::max() : releases_.top().at_ns;
}

size_t HoldQueue::NextBytes() const {
  return releases_.empty() ? 0 : releases_.top().flow->second.oldest->what.size_bytes;
}

std::unique_ptr<Frame> HoldQueue::Pop() {
  const Release release = releases_.top();
  auto& [key, flow] = *release.flow;
  releases_.pop();
  std::unique_ptr<Frame> frame(flow.oldest);
  frame->cut_short = release.cut_short;
  flow.oldest = frame->next;
  if (flow.oldest == nullptr) flows_.erase(FlowKey(key));
  held_bytes_ -= frame->TakenBytes();
  return frame;
}

std::vector<std::unique_ptr<Frame>> HoldQueue::TakeAll() {
  std::vector<std::unique_ptr<Frame>> all;
  all.reserve(releases_.size());
  while (!releases_.empty()) all.push_back(Pop());
  return all;
}

}  // namespace faultline::network
