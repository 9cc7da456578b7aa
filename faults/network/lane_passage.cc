// A frame's way through the lane: read, treated by its rules, held, written back.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "base/clock.h"
#include "faults/network/lane.h"
#include "faults/network/lane_frame.h"

namespace faultline::network {
namespace {

void Add(__u64* counter, uint64_t amount) { __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED); }

ReturnFrame CopyOf(const ReturnFrame& frame) {
  ReturnFrame copy;
  copy.bytes = std::make_unique_for_overwrite<uint8_t[]>(frame.size_bytes);
  copy.size_bytes = frame.size_bytes;
  std::memcpy(copy.bytes.get(), frame.bytes.get(), frame.size_bytes);
  return copy;
}

// One that is held as long as this one, and is not accounted for.
std::unique_ptr<Frame> CopyOf(const Frame& frame) {
  auto copy = std::make_unique<Frame>();
  copy->flow = frame.flow;
  copy->lane = frame.lane;
  copy->t0_ns = frame.t0_ns;
  copy->asked_ns = frame.asked_ns;
  copy->is_copy = true;
  copy->rule_count = frame.rule_count;
  copy->rules = frame.rules;
  copy->what = CopyOf(frame.what);
  for (const ReturnFrame& behind : frame.behind) copy->behind.push_back(CopyOf(behind));
  return copy;
}

// The answers go out instead of the frame, all at once and in their order: what ends a connection
// must not get ahead of what is said in it. They keep the frame's place among those of its flow,
// also where they go back: of the other direction's nothing was asked to wait for them.
void Replace(Frame* frame, std::vector<Answer> answers) {
  frame->what = std::move(answers.front().frame);
  for (size_t i = 1; i < answers.size(); ++i) {
    frame->behind.push_back(std::move(answers[i].frame));
  }
}

}  // namespace

void Lane::Admit(unsigned number, const Device& device) {
  fl_lane_prefix prefix;
  if (!input_.FindPrefix(parked_, &prefix)) return;
  // What others have sent to the device reaches no hook or rule but those of its namespace, and is
  // held no longer than they say.
  if (__atomic_load_n(&tables_->hook[prefix.hook].netns, __ATOMIC_RELAXED) != device.netns) return;
  auto frame = std::make_unique<Frame>();
  frame->flow = {prefix.flow, prefix.hook, prefix.direction};
  frame->lane = number;
  frame->t0_ns = std::min<uint64_t>(prefix.t0_ns, BoottimeNowNs());
  for (unsigned i = 0; i < prefix.rule_count; ++i) {
    Rule& rule = rules_[prefix.rule[i]];
    if (!rule.active || rule.hook != prefix.hook) continue;
    ++rule.frames_read;
    frame->rules[frame->rule_count++] = {.rule = prefix.rule[i]};
  }
  if (queue_.held_bytes() + input_.size_bytes() > kMaxHeldBytes) {
    CountDropped(*frame);
    return;
  }
  frame->what = input_.Take(prefix);
  Verdict verdict = Obey(frame.get());
  if (verdict.drop) return;
  if (!verdict.answers.empty()) Replace(frame.get(), std::move(verdict.answers));
  for (; verdict.copies > 0; --verdict.copies) Hold(CopyOf(*frame));
  Hold(std::move(frame));
}

Lane::Verdict Lane::Obey(Frame* frame) {
  Verdict verdict;
  const std::span rules(frame->rules.data(), frame->rule_count);
  std::ranges::sort(rules, {}, [&](const HeldRule& held) {
    return std::pair(rules_[held.rule].what.index(), rules_[held.rule].armed);
  });
  for (HeldRule& held : rules) {
    const Passing passing{.at_ns = frame->t0_ns + frame->asked_ns,
                          .direction = frame->flow.direction,
                          .bytes = {frame->what.bytes.get(), frame->what.size_bytes}};
    Treatment treatment = Treat(&rules_[held.rule].what, passing);
    if (treatment.acted) Add(&counters_[held.rule].lane_acted, 1);
    verdict.drop = treatment.drop;
    if (verdict.drop) break;
    verdict.copies += treatment.twice ? 1 : 0;
    frame->flow.overtaken |= treatment.overtaken;
    held = {.rule = held.rule,
            .delay_ns = treatment.delay_ns,
            .link_bytes = static_cast<uint32_t>(treatment.link_bytes),
            .direction = passing.direction == FL_EGRESS ? uint8_t{FL_EGRESS} : uint8_t{FL_INGRESS},
            .waited = treatment.waited,
            .drawn = treatment.drawn,
            .not_meant = treatment.not_meant};
    frame->asked_ns += treatment.delay_ns;
    verdict.answers = std::move(treatment.answers);
    if (!verdict.answers.empty()) break;
  }
  return verdict;
}

void Lane::Hold(std::unique_ptr<Frame> frame) {
  std::array<std::pair<uint64_t, uint64_t>, FL_MAX_RULES_PER_PACKET> ends;  // deadline and delay
  uint64_t floor_ns = frame->t0_ns;
  for (unsigned i = 0; i < frame->rule_count; ++i) {
    const HeldRule& held = frame->rules[i];
    ends[i] = {rules_[held.rule].deadline_ns, held.delay_ns};
    if (!held.drawn) floor_ns += held.delay_ns;
  }
  std::sort(ends.begin(), ends.begin() + frame->rule_count);
  uint64_t due_ns = frame->t0_ns + frame->asked_ns;
  // A rule whose time is up holds no longer; the others do.
  for (unsigned i = 0; i < frame->rule_count && ends[i].first < due_ns; ++i) {
    due_ns = std::max(ends[i].first, due_ns - ends[i].second);
    frame->cut_short = true;
  }
  queue_.Push(std::move(frame), due_ns, std::min(floor_ns, due_ns));
}

void Lane::ReleaseDue() {
  if (queue_.size() == 0) return;
  const uint64_t now_ns = BoottimeNowNs();
  if (now_ns >= __atomic_load_n(&lease_->heartbeat_until_ns, __ATOMIC_RELAXED) ||
      now_ns >= __atomic_load_n(&lease_->control_until_ns, __ATOMIC_RELAXED)) {
    for (auto& frame : queue_.TakeAll()) {
      frame->cut_short = true;
      WriteOut(std::move(frame));
    }
    // Slower links go on empty once the lease is there again, and are measured anew.
    for (Rule& rule : rules_) {
      rule.last_sent_ns = {};
      if (auto* link = std::get_if<RateLimit>(&rule.what)) link->Empty();
    }
    return;
  }
  while (queue_.NextReleaseNs() <= BoottimeNowNs()) WriteOut(queue_.Pop());
}

void Lane::WriteOut(std::unique_ptr<Frame> frame) {
  const auto device = devices_.find(frame->lane);
  const uint64_t now_ns = BoottimeNowNs();
  if (device == devices_.end() ||
      write(device->second.fd, frame->what.bytes.get(), frame->what.size_bytes) < 0) {
    CountDropped(*frame);
    return;
  }
  for (const ReturnFrame& behind : frame->behind) {
    if (write(device->second.fd, behind.bytes.get(), behind.size_bytes) < 0) break;
  }
  input_.GiveBack(std::move(frame->what));
  if (frame->is_copy || frame->cut_short) return;
  // How much later than asked is the lane's doing, whichever rule asked.
  const auto late_ns = static_cast<int64_t>(now_ns - frame->t0_ns - frame->asked_ns);
  for (unsigned i = 0; i < frame->rule_count; ++i) {
    const HeldRule& held = frame->rules[i];
    if (held.not_meant) continue;
    const auto given_ns =
        static_cast<uint64_t>(std::max(static_cast<int64_t>(held.delay_ns) + late_ns, int64_t{0}));
    fl_counters& counters = counters_[held.rule];
    Add(&counters.delay_asked_ns, held.delay_ns);
    Add(&counters.delay_given_ns, given_ns);
    Add(&counters.delays_measured, 1);
    delay_times_->Count(held.rule, given_ns);
    if (held.link_bytes > 0) CountSent(held, now_ns);
  }
}

// From one frame to the next of a link that always had some: its rate, as the frames really left.
void Lane::CountSent(const HeldRule& held, uint64_t now_ns) {
  uint64_t& last_ns = rules_[held.rule].last_sent_ns[held.direction];
  if (held.waited && last_ns != 0) {
    Add(&counters_[held.rule].link_bytes, held.link_bytes);
    Add(&counters_[held.rule].link_busy_ns, now_ns - last_ns);
  }
  last_ns = now_ns;
}

void Lane::CountDropped(const Frame& frame) {
  if (frame.is_copy) return;
  for (unsigned i = 0; i < frame.rule_count; ++i) {
    Add(&counters_[frame.rules[i].rule].lane_dropped, 1);
  }
}

}  // namespace faultline::network
