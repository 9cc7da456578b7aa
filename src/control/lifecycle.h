// How an experiment's status follows from the phases of its pairs, and how pairs change. Every
// function that changes a record sets the experiment's revision to `index`.
#pragma once

#include <cstdint>
#include <string_view>

#include "chaos/v1/agent.pb.h"
#include "control/v1/state.pb.h"
#include "control/version.h"

namespace faultline::control {

namespace v1 = ::control::v1;

// Where a change comes from: position in the log and the leader's time; and by the rules of which
// version it is made.
struct Moment {
  uint64_t index = 0;
  int64_t unix_ms = 0;
  uint32_t version = kFirstVersion;
};

// Since version 4: webhooks are told of this. `pair` as in Notice.
void AddNotice(v1::ExperimentRecord* record, chaos::v1::WebhookEventType type, const Moment& moment,
               int pair = 0);

// Puts a pair into a phase, unless it has ended or is there already. True when it changed.
bool SetPhase(chaos::v1::FaultTarget* pair, chaos::v1::TargetPhase phase, std::string_view reason,
              const Moment& moment);

// What an agent reports of the pair at `position` and that changes it (control::ChangesPair).
void TakeReport(const chaos::v1::FaultReport& report, int position, v1::ExperimentRecord* record,
                const Moment& moment);

// No pair is desired any longer: pairs that have not ended are REVERTING from now on. Does nothing
// to an experiment that is ending already.
void BeginEnd(v1::ExperimentRecord* record, v1::EndCause cause, std::string_view reason,
              const Moment& moment);

// Why an experiment expires.
inline constexpr char kTimeIsUp[] = "its time is up";

// Makes status, phase and end times follow from the pairs. Never COMPLETED or FAILED while a pair
// has not ended.
void Conclude(v1::ExperimentRecord* record, const Moment& moment);

}  // namespace faultline::control
