#include "faults/network/port_sets.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace faultline::network {

Status PortSets::Add(unsigned bit, const std::vector<PortRange>& ranges) {
  for (const PortRange& range : ranges) FL_RETURN_IF_ERROR(AddRange(bit, range.first, range.last));
  return absl::OkStatus();
}

void PortSets::Remove(unsigned bit, const std::vector<PortRange>& ranges) {
  for (const PortRange& range : ranges) RemoveRange(bit, range.first, range.last);
}

void PortSets::Number(uint32_t first, uint32_t last, unsigned set) {
  for (uint32_t port = first; port <= last; ++port) {
    __atomic_store_n(&numbers_[port], static_cast<__u16>(set), __ATOMIC_RELEASE);
  }
}

Status PortSets::SplitAt(uint32_t port) {
  auto after = runs_.upper_bound(port);
  if (after == runs_.begin()) return absl::OkStatus();
  const auto run = std::prev(after);
  if (run->first == port || run->second.last < port) return absl::OkStatus();
  FL_ASSIGN_OR_RETURN(const unsigned set, sets_->Make(run->second.set));
  runs_.emplace(port, Run{run->second.last, set});
  Number(port, run->second.last, set);
  run->second.last = port - 1;
  return absl::OkStatus();
}

Status PortSets::AddRange(unsigned bit, uint32_t first, uint32_t last) {
  FL_RETURN_IF_ERROR(SplitAt(first));
  FL_RETURN_IF_ERROR(SplitAt(last + 1));
  for (uint32_t at = first; at <= last;) {
    auto run = runs_.lower_bound(at);
    if (run == runs_.end() || run->first != at) {
      const uint32_t end = run == runs_.end() ? last : std::min(last, run->first - 1);
      FL_ASSIGN_OR_RETURN(const unsigned set, sets_->Make());
      Assign(&(*sets_)[set], bit, true);
      run = runs_.emplace(at, Run{end, set}).first;
      Number(at, end, set);
    } else {
      Assign(&(*sets_)[run->second.set], bit, true);
    }
    at = run->second.last + 1;
  }
  return absl::OkStatus();
}

void PortSets::RemoveRange(unsigned bit, uint32_t first, uint32_t last) {
  auto run = runs_.lower_bound(first);
  while (run != runs_.end() && run->first <= last) {
    fl_bits& bits = (*sets_)[run->second.set];
    Assign(&bits, bit, false);
    if (IsEmpty(bits)) {
      Number(run->first, run->second.last, 0);
      sets_->GiveBack(run->second.set);
      run = runs_.erase(run);
      continue;
    }
    const auto next = std::next(run);
    JoinBefore(run);
    run = next;
  }
  if (run != runs_.end()) JoinBefore(run);
}

void PortSets::JoinBefore(Runs::iterator run) {
  if (run == runs_.begin()) return;
  const auto before = std::prev(run);
  if (before->second.last + 1 != run->first) return;
  if (std::memcmp(&(*sets_)[before->second.set], &(*sets_)[run->second.set], sizeof(fl_bits)) != 0)
    return;
  Number(run->first, run->second.last, before->second.set);
  before->second.last = run->second.last;
  sets_->GiveBack(run->second.set);
  runs_.erase(run);
}

}  // namespace faultline::network
