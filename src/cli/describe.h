// Experiments and faults as words, for every command that shows them.
#pragma once

#include <string>
#include <vector>

#include "base/phase_words.h"
#include "chaos/v1/chaos.pb.h"
#include "cli/output.h"

namespace faultline::cli {

Style StyleOf(chaos::v1::ExperimentStatus status);
Style StyleOf(chaos::v1::TargetPhase phase);

// True for COMPLETED and FAILED.
bool HasEnded(const chaos::v1::Experiment& experiment);

// "KIND delay_ms=100 direction=egress"; only the kind when `brief`, several joined by " + ".
std::string FaultsText(const chaos::v1::Experiment& experiment, bool brief);

// One of them, with its parameters.
std::string FaultText(const chaos::v1::Fault& fault);

// "network/egress, local port 6379": what a rule acts on, and to which of the target's ports it
// keeps.
std::string ActsOnText(const chaos::v1::EffectiveRule& rule);

// What the faults on a target come to together, one line for each direction: "network/egress:
// delay_ms 25 ms, loss_percent 55 %".
std::vector<std::string> CombinedTexts(const chaos::v1::EffectiveTarget& target);

// What those who start an experiment should know: which others act on its targets, and what all
// come to; empty when there are none.
std::vector<std::string> StackedTexts(const chaos::v1::GetExperimentResponse& response);

// "2/3": pairs of fault and target that are active, of all.
std::string ActiveText(const chaos::v1::Experiment& experiment);

// "9m58s" left until it ends, or "-" when it has ended.
std::string LeftText(const chaos::v1::Experiment& experiment, int64_t now_unix_ns);

// "a:1,b:2" from labels.
std::string LabelsText(const google::protobuf::Map<std::string, std::string>& labels);

// "1 target", "2 targets".
std::string Counted(size_t count, std::string_view noun);

// "exp-42 has ended: completed, stopped", with the reason where there is one; of an update that
// tells an end, or an experiment that has ended.
std::string EndText(const chaos::v1::MetricUpdate& update);
std::string EndText(const chaos::v1::Experiment& experiment);

// "the stream broke (why); going on at host:7400".
std::string BrokenText(const Status& why, std::string_view next_address);

// Whose state an answer is made from, and how old that may be: "node 2's own state, with everything
// acknowledged 1s before".
std::string FreshnessText(const chaos::v1::Freshness& freshness);
// The same as a note, where the answer was asked for stale.
void NoteStale(Output& out, const chaos::v1::Freshness& freshness);

// The experiment failed: the error that ends a command which waited for it. Exit code 1.
Status FailedError(const chaos::v1::Experiment& experiment);

}  // namespace faultline::cli
