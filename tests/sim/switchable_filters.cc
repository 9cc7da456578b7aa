#include "sim/switchable_filters.h"

// The real ones, under other names.
#define CheckWellFormed RealCheckWellFormed
#define ReasonToDrop RealReasonToDrop
#define AnswerEarlierTerm RealAnswerEarlierTerm
#define RaiseHint RealRaiseHint
#define TrimBelowSnapshot RealTrimBelowSnapshot
#define SplitAtConfigurations RealSplitAtConfigurations
#define TellRealTerm RealTellRealTerm
#include "raft/filters.cc"
#undef CheckWellFormed
#undef ReasonToDrop
#undef AnswerEarlierTerm
#undef RaiseHint
#undef TrimBelowSnapshot
#undef SplitAtConfigurations
#undef TellRealTerm

namespace faultline::sim {

FilterSwitches& Filters() {
  static FilterSwitches switches;
  return switches;
}

}  // namespace faultline::sim

namespace faultline::raft {

Status CheckWellFormed(const pb::PeerMessage& message) { return RealCheckWellFormed(message); }

std::string_view ReasonToDrop(const CoreStatus& status, uint64_t match_index,
                              const pb::PeerMessage& message) {
  if (message.has_vote_result() && !sim::Filters().a) return {};
  if (message.has_append_result() && !sim::Filters().b) return {};
  return RealReasonToDrop(status, match_index, message);
}

bool AnswerEarlierTerm(const CoreStatus& status, const pb::PeerMessage& message,
                       pb::PeerMessage* answer) {
  return sim::Filters().f && RealAnswerEarlierTerm(status, message, answer);
}

void RaiseHint(uint64_t match_index, pb::AppendResult* result) {
  if (sim::Filters().b) RealRaiseHint(match_index, result);
}

void TrimBelowSnapshot(const CoreStatus& status, pb::AppendEntries* append) {
  if (sim::Filters().c) RealTrimBelowSnapshot(status, append);
}

std::vector<pb::AppendEntries> SplitAtConfigurations(pb::AppendEntries append) {
  if (sim::Filters().split) return RealSplitAtConfigurations(std::move(append));
  std::vector<pb::AppendEntries> whole;
  whole.push_back(std::move(append));
  return whole;
}

void TellRealTerm(uint64_t term, pb::PeerMessage* outgoing) {
  if (sim::Filters().d) RealTellRealTerm(term, outgoing);
}

}  // namespace faultline::raft
