// Controllers that have a network namespace each, joined by a bridge in the test's own: processes
// may be killed and stopped, links cut in each direction, disks made slow. What cannot be set up is
// a failure of the test, with the command.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rpc/endpoint.h"
#include "tests/cluster/process.h"

namespace faultline::cluster {

class Sites {
 public:
  // Moves the process into a network namespace of its own; before it has any other thread. Why it
  // cannot, in a sentence; empty when it has.
  static std::string EnterOwnNamespace();

  struct Options {
    int nodes = 3;         // 1 to n, over mutual TLS
    std::string lease{};   // empty: the default
    bool start = true;     // at once
    bool may_slow = true;  // SlowDisk may be called
  };
  // The test's own place, where agents and clients are.
  static constexpr int kTest = 100;

  explicit Sites(Options options);
  ~Sites();

  int size() const { return static_cast<int>(nodes_.size()); }
  // A node's network namespace, with the link "up0", its address there, and that of its API.
  std::string netns(int node) const { return Name(node); }
  std::string address(int node) const { return Address(node); }
  std::string api_address(int node) const;
  std::vector<std::string> api_addresses() const;
  const rpc::TlsFiles& tls() const { return tls_; }
  Process& process(int node) { return *nodes_[static_cast<size_t>(node - 1)]; }
  // A node's log, and the ends of all of them.
  std::string Log(int node) const { return nodes_[static_cast<size_t>(node - 1)]->log(); }
  std::string Logs() const;

  void Start(int node);
  // Whether the node has begun since it was started last: it ends in order from then on.
  bool Serves(int node) const;
  // Nothing that `from` sends reaches `to`, a node or kTest, any more; it is lost on the way, in
  // silence.
  void Cut(int from, int to);
  // The node's cable: nothing leaves or reaches it, and its end of the link sees no carrier.
  void Unplug(int node);
  // All that was cut and unplugged.
  void Mend();
  // Every sync of the node's disk takes so much longer.
  void SlowDisk(int node, unsigned delay_us);

 private:
  // All differ from those of every other object: the kernel takes its time to be rid of a namespace
  // and of the links in it.
  std::string Name(int node) const;
  std::string Link(int node) const;
  std::string Bridge() const;
  std::string Address(int node) const;
  void MakeLinks();
  void MakeCertificates();
  void ForgetCut(int from, int to) const;
  std::string SyncFile(int node) const;

  TempDir directory_;
  const int object_;  // which of the process it is
  const Options options_;
  rpc::TlsFiles tls_;
  std::vector<std::unique_ptr<Process>> nodes_;
};

}  // namespace faultline::cluster
