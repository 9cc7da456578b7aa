#include "faults/network/hold_queue.h"

#include <limits>

namespace faultline::network {

HoldQueue::~HoldQueue() { TakeAll(); }

void HoldQueue::Push(std::unique_ptr<Frame> frame, uint64_t release_ns) {
  auto& entry = *flows_.try_emplace(frame->flow).first;
  held_bytes_ += frame->TakenBytes();
  const bool cut_short = frame->cut_short;
  Frame* raw = frame.release();
  raw->next = nullptr;
  Flow& flow = entry.second;
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

std::vector<HoldQueue::Released> HoldQueue::TakeAll() {
  std::vector<Released> all;
  all.reserve(releases_.size());
  while (!releases_.empty()) {
    const uint64_t at_ns = NextReleaseNs();
    all.push_back({Pop(), at_ns});
  }
  return all;
}

}  // namespace faultline::network
