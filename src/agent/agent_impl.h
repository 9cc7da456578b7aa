// The inside of agent/agent.h: the parts on one strand, and how they act on one another.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "agent/agent.h"
#include "agent/baselines.h"
#include "agent/heartbeat.h"
#include "agent/lease_keeper.h"
#include "agent/metrics_buffer.h"
#include "agent/reconciler.h"
#include "agent/sample_totals.h"
#include "agent/session.h"
#include "agent/total_families.h"
#include "base/meter.h"
#include "base/strand.h"

namespace faultline::agent {

// Everything but the constructor runs on the strand.
struct Agent::Impl {
  Impl(const Config& given, const FaultGroups& fault_groups, Guardian* its_guardian,
       UndoJournal* its_journal)
      : config(given),
        guardian(its_guardian),
        journal(its_journal),
        undo(fault_groups.undo),
        drivers(fault_groups),
        metrics(config.agent_id, incarnation,
                MetricsBuffer::kKeptSeconds * config.metrics_rate_hz) {}

  struct Meters {
    Counter sessions, renewals, grants, grants_refused, desired, desired_refused, batches;
    Counter guardian_restarts;
  };
  static uint64_t RandomIncarnation();

  Status Begin();
  void MakeReconciler();
  void OnLeasePage(int map_fd, faults::LeasePage* its_page);
  // Shows the drivers the targets; true when others than before came of it to tell of.
  bool ApplyTargets();
  StatusOr<std::unique_ptr<Session>> MakeSession();

  void OnWelcome(const chaos::v1::AgentWelcome& welcome);
  void OnGrant(const chaos::v1::LeaseGrant& grant);
  void OnDesired(const chaos::v1::DesiredState& desired);
  void OnEnd();

  // The strand lives, and may go on with what it began then, or others have waited long enough.
  bool GoOn(uint64_t begun_ns);
  void Beat(uint64_t due_ns);
  void Check();
  void Measure(uint64_t now_ns);
  void KeepLease(uint64_t now_ns);
  void SendRenewal();
  void SendReports();
  // True when what is armed, or why not, has changed since: the controller and the guardian know.
  bool TellChanges();
  void End();

  chaos::v1::Agent Describe() const;
  std::string HaltFile() const { return config.state_dir + "/halted"; }
  ::agent::v1::StatusResponse DescribeStatus() const;
  ::agent::v1::HaltResponse Halt();
  void AddOwn(http::Families& families) const;

  const Config config;
  Guardian* const guardian;
  UndoJournal* const journal;
  const UndoFunction undo;
  const uint64_t incarnation = RandomIncarnation();
  DriverSet drivers;
  faults::LeasePage* page = nullptr;
  std::unique_ptr<Heartbeat> heartbeat;
  LeaseKeeper lease;
  std::unique_ptr<Reconciler> reconciler;
  MetricsBuffer metrics;
  Baselines baselines;  // of the batches that `metrics` has made
  uint64_t last_node_id = 0;
  SampleTotals totals;
  UnseenByTarget unseen;
  Meters meters;
  std::set<std::string> told;  // problems and warnings of targets, as they were logged
  uint64_t measured_ns = 0, check_due_ns = 0, check_spent_ns = 0;
  uint64_t beats = 0;
  bool ending = false;
  std::unique_ptr<Session> session;
  Strand strand{"fl-agent"};
};

}  // namespace faultline::agent
