// Membership of the control plane as its nodes' services offer it: who belongs to it, and changing
// that, wherever the leader is.
//
// Threads: every method may be called from any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "base/strand.h"
#include "chaos/v1/cluster.pb.h"
#include "raft/node.h"
#include "server/cluster_peers.h"
#include "server/control_plane.h"
#include "server/peer_gate.h"

namespace faultline::server {

class Cluster {
 public:
  // All outlive the object's last call; `timers` runs pauses and time-outs.
  Cluster(uint64_t node_id, ControlPlane* plane, ClusterPeers* peers, Strand* timers)
      : node_id_(node_id), plane_(plane), peers_(peers), timers_(timers) {}

  // Tells others this node's directory, and learns theirs: asks all members from time to time until
  // each is known. Before Attach; it outlives the object's last call.
  void SetGate(PeerGate* gate);
  // The node that is asked and told; before any call below, after its members are observed, and
  // before it receives anything: when this returns, the gate knows the members, and the directories
  // of those that it has admitted are durable. Waits for the node and the disk.
  void Attach(raft::Node* node);
  // Before the node is destroyed: from now on calls fail with UNAVAILABLE.
  void Detach();
  // What refused_peers of a GetCluster answer says.
  void SetRefusals(std::function<std::map<std::string, uint64_t>()> refusals);

  // Asks all members at once, waits for them for a second at most, and answers in any case.
  void Get(const CallContext& context, Done<chaos::v1::GetClusterResponse> done);

  // Looks for a leader until the call's deadline, or this node's end (UNAVAILABLE / NO_LEADER,
  // STORAGE_FAILED, NODE_ENDING), or until `cancelled`, asked before each try, says that nobody
  // waits any more (CANCELLED). A change whose outcome became unknown, as its leader was lost, is
  // looked up with the next one, and is OK if that one has it: of an addition the member with the
  // same address. Errors of raft::Node::Change and Transfer; a promotion waits until the deadline
  // for a member that has not caught up, and for another change. A leader that is to be removed
  // hands over first. A transfer is OK once this node sees the one that was named lead (or any
  // other, when none was), also when it did before. A third one that leads instead is
  // FAILED_PRECONDITION / NOT_TRANSFERRED, and nobody new within five seconds DEADLINE_EXCEEDED /
  // OUTCOME_UNKNOWN.
  void Change(const CallContext& context, const v1::ChangeRequest& request,
              std::function<void(Status)> done, std::function<bool()> cancelled = nullptr);

  // For other nodes: this one's own view, and a change to be made here or nowhere
  // (FAILED_PRECONDITION / OTHER_CLUSTER for a node of another one).
  void Describe(Done<v1::DescribeResponse> done);
  void ChangeHere(const v1::ChangeRequest& request, std::function<void(Status)> done);

  // Hands over if this node leads, and waits, for `patience` at most, until another one does. A
  // change that is under way comes first.
  void HandOver(std::chrono::milliseconds patience);

 private:
  class Survey;
  class Search;

  void MeetOthers();
  // A change is tried here again and again while it waits: the number of this try, from 1.
  uint64_t CountTry(const std::string& what);
  void ForgetTries(const std::string& what);

  const uint64_t node_id_;
  ControlPlane* const plane_;
  ClusterPeers* const peers_;
  Strand* const timers_;
  // As in ControlPlane: never held while a callback runs that needs it exclusively.
  std::shared_mutex node_mutex_;
  raft::Node* node_ = nullptr;
  std::function<std::map<std::string, uint64_t>()> refusals_;
  PeerGate* gate_ = nullptr;
  std::mutex tries_mutex_;
  std::map<std::string, uint64_t> tries_;  // by change, of those that wait
};

}  // namespace faultline::server
