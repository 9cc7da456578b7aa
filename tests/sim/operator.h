// Who changes the group of a simulated cluster, as people do with `faultline cluster`: adds nodes
// and promotes them, removes and replaces them, gives them other addresses (mistyped ones too), has
// leadership handed over, and asks for what makes no sense. One thing after the other; but now and
// then somebody else asks for something at the same time.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/controller.h"

namespace faultline::sim {

class Operator {
 public:
  // All pointers outlive the operator.
  struct Means {
    World* world = nullptr;
    Network* network = nullptr;
    Directory* directory = nullptr;
    Referee* referee = nullptr;
    bool members = false;     // changes them
    bool transfers = false;   // has leadership handed over
    size_t least_voters = 3;  // never removes one of no more than these
    // Sets up a node that is to join, without starting it; its id.
    std::function<uint64_t()> install;
    std::function<void(uint64_t node)> start;
    // For good.
    std::function<void(uint64_t node)> stop;
    // The node whose data is lost; 0: none.
    std::function<uint64_t()> lost;
  };
  // On the operator's host. Begins.
  explicit Operator(Means means);

  // Where a node listens when nobody has moved it.
  static std::string AddressOf(uint64_t node) { return fmt::format("n{}:7401", node); }

  // Faults have ended. From now on it only puts the group in order: without the lost node, nobody a
  // learner, nobody at a mistyped address, three voters at least.
  void Mend();
  // Mend has come to its end, and nothing is being asked for.
  bool AtRest() const { return mending_ && !busy_ && (!means_.members || InOrder()); }
  // Whether a majority is left for good when that node's data is lost now, whatever comes of the
  // changes that were asked for.
  bool MayLose(uint64_t node) const;

 private:
  using Request = server::v1::ChangeRequest;
  using Then = std::function<void(bool made)>;

  void Step();
  void Next();
  void Grow(uint64_t in_place_of);
  void Replace();
  void Remove(uint64_t node);
  void Move();
  void HandOver();
  void Nonsense();
  void Repair();
  bool InOrder() const;
  // Sees to nodes that have become members, or are none any more.
  void FollowUp();

  // Asks one node after the other until it is known what came of it, `tries` times at most.
  void Ask(const Request& request, int tries, Then then);
  // Somebody else's request: nothing that the group would not be without.
  void AskAside();
  void Send(const Request& request, std::function<void(const Status&)> done);
  void Take(const Request& request, uint64_t since, const Status& status);

  uint64_t Pick(bool voters) const;  // a member; 0: there is none yet
  uint64_t NewNode();                // 0: there are enough
  std::string RightAddress(uint64_t node) const;
  bool MayRemove(uint64_t node) const;

  const Means means_;
  World* const world_;
  const HostId host_;
  bool mending_ = false;
  bool busy_ = false;
  int moves_ = 0;
  std::set<uint64_t> installed_;
  std::set<uint64_t> left_;                // were members; seen to
  std::set<uint64_t> removing_;            // whose removal was asked for
  std::map<std::string, uint64_t> given_;  // every address that a node was to have
  std::map<uint64_t, std::string> right_;  // where nodes are that have been moved
  std::set<std::string> mistyped_;
};

}  // namespace faultline::sim
